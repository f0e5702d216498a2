"""Three failures in a row lock a customer; each counts once, whoever records it, whatever fails."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from runtime.core.errors import Locked, NotFound
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.customers.customers import erase_customer, unlock_customer
from runtime.customers.models import Customer
from runtime.dynamodb.optional_writes import MAX_ADAPTATIONS
from runtime.http.responses import StoredAnswer
from runtime.payments.models import PaymentStatus
from runtime.payments.transaction_models import Transaction
from tests.support.engines.faults import Fault, Faults, ItemLocks, ProcessKilled, at_commit, seeded
from tests.support.http import OPERATOR, token_of
from tests.support.platform import TIMING, Hooked, Platform, at_once
from tests.support.stages.running_stage import Stage

HALF_AN_HOUR = 1_800
MANY_FAILURES = 100
FIRST_INTENT, INTENT, CHARGE, FIRST_OUTCOME, OUTCOME = range(1, 6)
"""Commits of the decline that locks: its intent and its outcome are refused once."""


class Buyer:
    """A customer who pays."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.shop = platform.merchant()
        self.id = platform.customer(self.shop)

    def pay(self, token: str | None = None, key: str | None = None, **more: Any) -> StoredAnswer:
        body = {"customer_id": self.id, "payment_method": token or "tok_approved", **more}
        return self.platform.pay(self.shop, key, **body)

    def fail(self, times: int) -> None:
        for _ in range(times):
            assert self.pay("tok_declined").status == 402

    @property
    def row(self) -> Customer:
        (row,) = (each for each in self.platform.rows(Customer) if each.id == self.id)
        return row

    @property
    def standing(self) -> tuple[int, bool]:
        """Consecutive failures, and whether the customer is locked."""
        until = self.row.locked_until
        return self.row.failed_attempts, until is not None and until > to_timestamp(
            self.platform.clock()
        )

    def unlock(self) -> None:
        call = self.platform.call(None, {}, path=f"/v1/customers/{self.id}/unlock", operator=True)
        unlock_customer(self.id, call, self.platform.customer_dependencies())


@pytest.fixture
def buyer(platform: Platform) -> Buyer:
    return Buyer(platform)


# ------------------------------------------------------------ counting


def test_the_third_decline_in_a_row_locks_for_half_an_hour(
    platform: Platform, buyer: Buyer
) -> None:
    buyer.fail(2)
    assert buyer.standing == (2, False)
    buyer.fail(1)
    assert buyer.standing == (3, True)
    failed_at = to_datetime(platform.payments()[-1].updated_at)
    assert buyer.row.locked_until == to_timestamp(failed_at + timedelta(seconds=HALF_AN_HOUR))
    with pytest.raises(Locked, match=f"{buyer.id} is locked until 2026-03-14T09:30") as reported:
        buyer.pay()
    assert reported.value.param == "customer_id"
    assert len(platform.payments()) == 3, "the refused payment is not stored"
    platform.must_agree()


def test_a_refusal_because_of_a_lock_is_not_stored_as_an_answer(
    platform: Platform, buyer: Buyer
) -> None:
    buyer.fail(3)
    with pytest.raises(Locked):
        buyer.pay(key="later")
    platform.clock.advance(HALF_AN_HOUR)
    assert buyer.pay(key="later").status == 201
    assert buyer.standing == (0, False)
    assert buyer.row.locked_until is None


def test_a_success_resets_the_count(buyer: Buyer) -> None:
    buyer.fail(2)
    assert buyer.pay().status == 201
    assert buyer.standing == (0, False)
    buyer.fail(2)
    assert buyer.standing == (2, False)
    assert buyer.pay(capture_method="manual").status == 201
    assert buyer.standing == (0, False), "an authorization is a success as well"


def test_after_a_lock_expires_counting_starts_again(platform: Platform, buyer: Buyer) -> None:
    buyer.fail(3)
    platform.clock.advance(HALF_AN_HOUR)
    buyer.fail(1)
    assert buyer.standing == (1, False)
    assert buyer.row.locked_until is None
    buyer.fail(2)
    assert buyer.standing == (3, True)


def test_after_an_operator_unlocks_counting_starts_again(buyer: Buyer) -> None:
    buyer.fail(3)
    buyer.unlock()
    assert buyer.standing == (0, False)
    buyer.fail(2)
    assert buyer.pay().status == 201


def test_repetitions_do_not_count_and_are_answered_despite_a_lock(buyer: Buyer) -> None:
    paid, declined = buyer.pay(key="paid"), buyer.pay("tok_declined", key="declined")
    for _ in range(5):
        assert buyer.pay("tok_declined", key="declined") == declined.again()
    assert buyer.standing == (1, False)
    buyer.fail(2)
    assert buyer.standing == (3, True)
    assert buyer.pay(key="paid") == paid.again()
    assert buyer.pay("tok_declined", key="declined") == declined.again()
    assert buyer.standing == (3, True)


def test_only_the_customer_itself_is_locked(platform: Platform, buyer: Buyer) -> None:
    other = platform.customer(buyer.shop, "other@example.com")
    buyer.fail(3)
    assert platform.pay(buyer.shop, customer_id=other).status == 201
    assert platform.pay(buyer.shop).status == 201
    for _ in range(4):
        assert platform.pay(buyer.shop, payment_method="tok_declined").status == 402
    with pytest.raises(NotFound):
        platform.pay(platform.merchant(), customer_id=buyer.id)


def test_a_locked_customers_payments_can_be_captured_and_refunded(
    platform: Platform, buyer: Buyer
) -> None:
    held = json.loads(buyer.pay(capture_method="manual").body)["id"]
    buyer.fail(3)
    assert platform.operate(buyer.shop, held, "capture").status == 200
    assert platform.operate(buyer.shop, held, "refund").status == 200
    platform.must_agree()


def test_an_outage_of_the_processor_locks_no_customer(platform: Platform, buyer: Buyer) -> None:
    for _ in range(4):
        assert buyer.pay("tok_timeout_not_charged").status == 202
    platform.resolve_until_quiet()
    assert {row.failure_code for row in platform.payments()} == {"processor_unreachable"}
    assert buyer.standing == (0, False)


# ------------------------------------------------------------ cost


def test_a_sale_of_a_customer_without_failures_takes_two_round_trips_and_does_not_write_it(
    platform: Platform, buyer: Buyer
) -> None:
    store = platform.store_on(platform.engine.dynamodb())
    deps = platform.deps(store, processor=platform.sandbox())

    def trips(token: str) -> int:
        store.usage.restart()
        buyer.pay(token, deps=deps)
        return store.usage.counts()["round_trips"]

    assert trips("tok_approved") == 2
    assert buyer.row.version == 1
    assert trips("tok_declined") == 2
    assert trips("tok_approved") == 3, "the intent is retried with a reset of the count"
    assert buyer.row.version == 3
    assert trips("tok_approved") == 2
    assert buyer.row.version == 3


def test_every_version_of_the_customer_has_its_author_and_cause(
    platform: Platform, buyer: Buyer
) -> None:
    before = buyer.row
    buyer.fail(1)
    first = buyer.row
    (transaction,) = platform.rows(Transaction)
    assert (first.version, first.cause) == (before.version + 1, transaction.id)
    assert (first.changed_by, first.request_id) == ("user", platform.payment().request_id)
    assert first.updated_at == transaction.processed_at
    buyer.pay()
    assert buyer.row.version == before.version + 2
    assert buyer.row.cause not in (first.cause, before.cause)
    personal = ("email", "name", "email_index", "payment_methods", "merchant_bucket")
    assert [getattr(buyer.row, n) for n in personal] == [getattr(before, n) for n in personal]


# ------------------------------------------------------------ concurrency


class LocksSet:
    """Counts the commits that set a lock of a customer, on all clients that it is attached to."""

    def __init__(self, platform: Platform) -> None:
        self.table = platform.tables["customers"]
        self.number = 0

    def attach(self, client: Any) -> Any:
        client.meta.events.register("before-call.dynamodb.TransactWriteItems", self._before)
        client.meta.events.register("after-call.dynamodb.TransactWriteItems", self._after)
        return client

    def _before(self, params: Any, context: Any, **_: Any) -> None:
        parts = (part.get("Update", {}) for part in json.loads(params["body"])["TransactItems"])
        context["locks"] = any(
            part.get("TableName") == self.table
            and "#locked_until = " in part["UpdateExpression"].partition("REMOVE")[0]
            for part in parts
        )

    def _after(self, http_response: Any, context: Any, **_: Any) -> None:
        self.number += context["locks"] and http_response.status_code == 200


def together(platform: Platform, number: int) -> Hooked:
    """A processor that answers once it has this many requests: all have begun by then."""
    barrier = Barrier(number)
    return Hooked(platform.sandbox(), after=lambda: barrier.wait(timeout=60) and None)


@pytest.mark.parametrize("number", [2, 3, 10])
def test_concurrent_declines_are_all_counted_and_set_one_lock(
    platform: Platform, buyer: Buyer, number: int
) -> None:
    locks = LocksSet(platform)
    processor = together(platform, number)
    deps_list = [
        platform.deps(platform.store_on(locks.attach(platform.engine.dynamodb())), processor)
        for _ in range(number)
    ]
    answers = at_once(*[lambda d=deps: buyer.pay("tok_declined", deps=d) for deps in deps_list])
    assert [getattr(each, "status", each) for each in answers] == [402] * number
    assert buyer.standing == (number, number >= 3)
    assert locks.number == int(number >= 3)
    assert buyer.row.version == 1 + number
    platform.must_agree()


def test_conflicts_on_the_customer_lose_no_count_and_no_outcome(
    platform: Platform, buyer: Buyer
) -> None:
    conflicts = ItemLocks(platform.key_names, hold_seconds=0.002)
    processor = together(platform, 6)
    deps_list = [
        platform.deps(
            platform.store_on(conflicts.attach(platform.engine.dynamodb()), sleep=_short, seed=n),
            processor,
        )
        for n in range(6)
    ]
    answers = at_once(*[lambda d=deps: buyer.pay("tok_declined", deps=d) for deps in deps_list])
    assert [getattr(each, "status", each) for each in answers] == [402] * 6
    assert conflicts.conflicts > 0
    assert buyer.standing == (6, True)


def _short(seconds: float) -> None:
    import time  # noqa: PLC0415

    time.sleep(min(seconds, 0.05))


def test_a_success_despite_a_lock_does_not_unlock(platform: Platform, buyer: Buyer) -> None:
    buyer.fail(1)
    deps = platform.deps(processor=Hooked(platform.sandbox(), after=lambda: buyer.fail(2)))
    assert buyer.pay(deps=deps).status == 201
    assert buyer.standing == (3, True)


def test_a_success_resets_only_an_existing_count(platform: Platform, buyer: Buyer) -> None:
    buyer.fail(1)
    deps = platform.deps(processor=Hooked(platform.sandbox(), after=buyer.unlock))
    assert buyer.pay(deps=deps).status == 201
    assert buyer.standing == (0, False)
    assert buyer.row.version == 3, "the decline, the operator"


# ------------------------------------------------------------ outcomes take precedence


def test_an_outcome_is_booked_although_its_customer_was_erased_and_its_claim_taken(
    platform: Platform, buyer: Buyer
) -> None:
    def everything_goes() -> None:
        (claim,) = platform.claims()
        platform.put(claim.model_copy(update={"owner": "another owner"}))
        call = platform.call(buyer.shop)
        erase_customer(buyer.id, call, platform.customer_dependencies())

    deps = platform.deps(processor=Hooked(platform.sandbox(), after=everything_goes))
    assert buyer.pay("tok_declined", deps=deps).status == 402
    assert platform.payment().status is PaymentStatus.FAILED
    assert buyer.row.failed_attempts == 0
    platform.must_agree()


def test_an_outcome_is_booked_although_its_customer_is_gone(
    platform: Platform, buyer: Buyer
) -> None:
    deps = platform.deps(
        processor=Hooked(platform.sandbox(), after=lambda: platform.delete(buyer.row))
    )
    assert buyer.pay("tok_declined", deps=deps).status == 402
    assert platform.rows(Customer) == []


def test_a_decline_is_counted_although_its_claim_was_taken(
    platform: Platform, buyer: Buyer
) -> None:
    def taken() -> None:
        (claim,) = platform.claims()
        platform.put(claim.model_copy(update={"owner": "another owner"}))

    buyer.fail(2)
    for claim in platform.claims():
        platform.delete(claim)
    deps = platform.deps(processor=Hooked(platform.sandbox(), after=taken))
    assert buyer.pay("tok_declined", deps=deps).status == 402
    assert buyer.standing == (3, True)


def test_a_constantly_changing_customer_does_not_prevent_an_outcome_from_being_booked(
    platform: Platform, buyer: Buyer
) -> None:
    flips = 0

    def flip(model: Any, **_: Any) -> None:
        """Before every attempt the customer is locked, or a lock expires."""
        nonlocal flips
        flips += 1
        until = "2999-01-01T00:00:00.000Z" if flips % 2 else "2000-01-01T00:00:00.000Z"
        platform.put(buyer.row.model_copy(update={"locked_until": until}))

    client = platform.engine.dynamodb()
    deps = platform.deps(
        platform.store_on(client),
        Hooked(
            platform.sandbox(),
            after=lambda: client.meta.events.register(
                "before-call.dynamodb.TransactWriteItems", flip
            ),
        ),
    )
    assert buyer.pay("tok_declined", deps=deps).status == 402
    assert flips == MAX_ADAPTATIONS + 2
    assert platform.payment().status is PaymentStatus.FAILED


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
    assert locked.body == {
        "type": locked.body["type"],
        "title": "The customer or account is locked after failed attempts",
        "status": 423,
        "detail": f"Customer {customer} is locked until {shown['locked_until']}",
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
