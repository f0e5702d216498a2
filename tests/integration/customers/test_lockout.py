"""Three failures in a row lock a customer; each counts once, whoever records it, whatever fails."""

from __future__ import annotations

import json
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from runtime.core.errors import Locked, NotFound
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.customers.customers import erase_customer
from runtime.customers.models import Customer
from runtime.dynamodb.optional_writes import MAX_ADAPTATIONS
from runtime.payments.models import PaymentStatus
from runtime.payments.transaction_models import Transaction
from tests.support.engines.faults import ItemLocks
from tests.support.lockout_buyer import (
    HALF_AN_HOUR,
    Buyer,
)
from tests.support.platform import Hooked, Platform, at_once


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
