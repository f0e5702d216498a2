"""Lockout under crashes, lost answers and faults, and through the functions."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from runtime.core.errors import Locked
from runtime.payments.models import PaymentStatus
from tests.support.engines.faults import Fault, Faults, ProcessKilled, at_commit, seeded
from tests.support.http import OPERATOR, token_of
from tests.support.lockout_buyer import (
    CHARGE,
    FIRST_INTENT,
    FIRST_OUTCOME,
    INTENT,
    MANY_FAILURES,
    OUTCOME,
    Buyer,
)
from tests.support.platform import TIMING, Platform, at_once
from tests.support.stages.running_stage import Stage


@pytest.fixture
def buyer(platform: Platform) -> Buyer:
    return Buyer(platform)


# ------------------------------------------------------------ recovery and faults


@pytest.mark.parametrize(
    ("commit", "when", "counted"),
    [
        (FIRST_INTENT, Fault.KILLED_AFTER, None),
        (INTENT, Fault.KILLED_AFTER, None),
        (CHARGE, Fault.KILLED_BEFORE, None),
        (CHARGE, Fault.KILLED_AFTER, "resolver"),
        (FIRST_OUTCOME, Fault.KILLED_BEFORE, "resolver"),
        (FIRST_OUTCOME, Fault.KILLED_AFTER, "resolver"),
        (OUTCOME, Fault.KILLED_BEFORE, "resolver"),
        (OUTCOME, Fault.KILLED_AFTER, "user"),
    ],
)
def test_a_decline_whose_request_died_is_counted_once_by_the_resolver(
    platform: Platform, buyer: Buyer, commit: int, when: Fault, counted: str | None
) -> None:
    buyer.fail(2)
    faults = Faults(at_commit(commit, when))
    store = platform.store_on(faults.attach(platform.engine.dynamodb()))
    with pytest.raises(ProcessKilled):
        buyer.pay("tok_declined", deps=platform.deps(store))
    assert buyer.standing == ((3, True) if counted == "user" else (2, False))
    platform.clock.advance(120)
    assert platform.resolve().failed == 0
    if counted is None:
        assert buyer.standing == (2, False)
        return
    assert buyer.standing == (3, True)
    assert (buyer.row.changed_by, buyer.row.version) == (counted, 4)
    with pytest.raises(Locked):
        buyer.pay()


def test_a_success_found_by_the_resolver_resets_the_count(platform: Platform, buyer: Buyer) -> None:
    buyer.fail(2)
    assert buyer.pay("tok_timeout").status == 202
    assert buyer.standing == (2, False)
    platform.clock.advance(120)
    assert platform.resolve().resolved == 1
    assert buyer.standing == (0, False)


@pytest.mark.parametrize("commit", [INTENT, CHARGE, FIRST_OUTCOME, OUTCOME])
def test_a_lost_answer_does_not_change_the_count(
    platform: Platform, buyer: Buyer, commit: int
) -> None:
    buyer.fail(2)
    faults = Faults(at_commit(commit, Fault.ANSWER_LOST))
    client = faults.attach(platform.engine.dynamodb())
    assert buyer.pay("tok_declined", deps=platform.deps(platform.store_on(client))).status == 402
    assert faults.injected
    assert buyer.standing == (3, True)


def test_an_answer_lost_beyond_the_token_lifetime_is_counted_once(
    platform: Platform, buyer: Buyer
) -> None:
    buyer.fail(2)
    faults = Faults(at_commit(OUTCOME, Fault.ANSWER_LOST))
    client = faults.attach(platform.engine.dynamodb())

    def forget_tokens(params: dict[str, object], **_: object) -> dict[str, object]:
        return {**params, "ClientRequestToken": uuid.uuid4().hex}

    client.meta.events.register("provide-client-params.dynamodb.TransactWriteItems", forget_tokens)
    assert buyer.pay("tok_declined", deps=platform.deps(platform.store_on(client))).status == 402
    assert faults.injected
    assert buyer.standing == (3, True)


def test_every_decline_is_counted_exactly_once_whatever_fails(engine: Any, seed: str) -> None:
    timing = TIMING.model_copy(update={"lock_after_failures": MANY_FAILURES})
    platform = Platform(engine, timing)
    buyer = Buyer(platform)

    def declines(name: str) -> Callable[[], None]:
        faults = Faults(seeded(f"{seed}-{name}", 0.15, 0.1))
        deps = platform.deps(platform.store_on(faults.attach(platform.engine.dynamodb())))

        def run() -> None:
            for number in range(6):
                try:
                    buyer.pay("tok_declined", f"{name}-{number}", deps=deps)
                except ProcessKilled:
                    continue

        return run

    results = at_once(*[declines(f"client-{n}") for n in range(4)])
    assert results == [None] * 4
    platform.resolve_until_quiet()
    counted = [row for row in platform.payments() if row.failure_code != "processor_unreachable"]
    assert {row.status for row in counted} == {PaymentStatus.FAILED}
    assert buyer.row.failed_attempts == len(counted) == buyer.row.version - 1
    platform.must_agree()
    platform.drop()


@pytest.fixture
def seed() -> str:
    return uuid.uuid4().hex[:8]


# ------------------------------------------------------------ through the functions


def test_a_locked_customer_gets_423_until_an_operator_unlocks_it(stage: Stage) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    person = {"name": "Jane", "email": "jane@example.com"}
    customer = stage.api("POST", "/v1/customers", person, authorizer=who).body["id"]

    def pay(token: str, key: str | None = None) -> Any:
        body = {"amount": 5, "currency": "USD", "payment_method": token, "customer_id": customer}
        headers = {"idempotency-key": key or uuid.uuid4().hex}
        return stage.api("POST", "/v1/payments", body, headers=headers, authorizer=who)

    assert [pay("tok_declined").status for _ in range(3)] == [402] * 3
    locked = pay("tok_approved", "k")
    shown = stage.api("GET", f"/v1/customers/{customer}", authorizer=who).body
    assert locked.status == 423
    assert 0 < int(locked.headers["Retry-After"]) <= 1800
    assert locked.body == {
        "type": locked.body["type"],
        "title": "The customer or account is locked after failed attempts",
        "status": 423,
        "detail": f"Customer {customer} is locked until {shown['locked_until']} after too many "
        "failed attempts; send the request again then, or unlock it before with POST "
        f"/v1/customers/{customer}/unlock (permission merchant, or an operator)",
        "instance": "/v1/payments",
        "code": "locked",
        "param": "customer_id",
        "request_id": locked.body["request_id"],
    }
    unlock = f"/v1/customers/{customer}/unlock"
    assert stage.api("POST", unlock, {}, authorizer=OPERATOR).body["locked_until"] is None
    assert pay("tok_approved", "k").status == 201


def test_declines_found_by_the_resolvers_function_lock(stage: Stage) -> None:
    shop: dict[str, Any] = stage.shop()
    who = token_of(shop["id"])
    person = {"name": "Jane", "email": "jane@example.com"}
    customer = stage.api("POST", "/v1/customers", person, authorizer=who).body["id"]

    def pay(token: str) -> Any:
        body = {"amount": 5, "currency": "USD", "payment_method": token, "customer_id": customer}
        headers = {"idempotency-key": uuid.uuid4().hex}
        return stage.api("POST", "/v1/payments", body, headers=headers, authorizer=who)

    assert [pay("tok_declined").status for _ in range(2)] == [402] * 2
    made = pay("tok_timeout")
    assert made.status == 202
    stage.dynamodb.update_item(
        TableName=stage.tables["sandbox_charges"],
        Key={"reference": {"S": made.body["id"]}},
        UpdateExpression="SET #s = :declined, response_code = :code",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={":declined": {"S": "declined"}, ":code": {"S": "stolen_card"}},
    )
    assert stage.api.resolve()["resolved"] >= 1
    assert pay("tok_approved").status == 423
