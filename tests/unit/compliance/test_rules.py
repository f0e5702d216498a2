"""Changes that raise an alert, and changes that belong to the same alert."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.alerts.models import AlertType
from runtime.alerts.raising import alert_of
from runtime.compliance.rules import (
    VELOCITY_PERIOD,
    busy_minutes,
    large_payment,
    large_transfer,
    lockout,
    minute_of,
)
from runtime.customers.models import CustomerState
from runtime.ledger.accounts.models import Account
from runtime.ledger.transfers.models import Leg, Transfer
from runtime.payments.models import Payment
from tests.support.fakes import START
from tests.support.outside import new_id

THRESHOLD = 1_000_000
STAMP = {
    "created_at": "2026-03-14T09:00:00.000Z",
    "updated_at": "2026-03-14T09:00:05.000Z",
    "merchant_id": "mer_1",
    "changed_by": "test",
    "request_id": "req",
    "cause": "test",
}


def payment(status: str, amount: int = THRESHOLD, **more: Any) -> Payment:
    values: dict[str, Any] = {
        "id": "pay_1",
        "status": status,
        "amount": amount,
        "currency": "USD",
        "payment_method": "tok_approved",
        "processor": "sandbox",
        **STAMP,
        **more,
    }
    return Payment(**values)


def transfer(status: str, amount: int = THRESHOLD, **more: Any) -> Transfer:
    values: dict[str, Any] = {
        "id": "trf_1",
        "operation_id": "trf_1",
        "legs": (Leg(from_account_id="acc_a", to_account_id="acc_b", amount=amount),),
        "amount": amount,
        "currency": "USD",
        "status": status,
        **STAMP,
        **more,
    }
    return Transfer(**values)


def customer(locked_until: str | None) -> CustomerState:
    return CustomerState(id="cus_1", merchant_bucket="b", locked_until=locked_until, **STAMP)


def account(locked_until: str | None, **more: Any) -> Account:
    values: dict[str, Any] = {"id": "acc_1", "account_type": "wallet", "currency": "USD"}
    return Account(**{**values, **STAMP, "locked_until": locked_until, **more})


@pytest.mark.parametrize(
    ("before", "after", "is_worth_one"),
    [
        (None, "processing", False),
        (None, "succeeded", True),
        ("processing", "succeeded", True),
        ("processing", "requires_capture", True),
        ("unknown", "succeeded", True),
        ("processing", "unknown", False),
        ("processing", "failed", False),
        ("requires_capture", "succeeded", False),
        ("requires_capture", "requires_capture", False),
        ("requires_capture", "canceled", False),
        ("succeeded", "succeeded", False),
    ],
)
def test_a_large_payment_is_found_when_it_is_first_charged_or_authorized(
    before: str | None, after: str, is_worth_one: bool
) -> None:
    old = payment(before) if before else None
    found = large_payment(old, payment(after), THRESHOLD)
    assert (found is not None) == is_worth_one
    assert large_payment(old, payment(after, THRESHOLD - 1), THRESHOLD) is None


def test_a_large_payment_alert_has_its_merchant_and_amount() -> None:
    found = large_payment(None, payment("succeeded", customer_id="cus_1"), THRESHOLD)
    assert found is not None
    row = alert_of(found)
    assert row.type is AlertType.LARGE_TRANSACTION
    assert (row.merchant_id, row.entity_id) == ("mer_1", "pay_1")
    assert row.created_at == "2026-03-14T09:00:05.000Z"
    assert row.detail == {
        "entity_type": "payment",
        "amount": THRESHOLD,
        "currency": "USD",
        "status": "succeeded",
        "customer_id": "cus_1",
    }
    assert alert_of(found) == row


@pytest.mark.parametrize(
    ("before", "after", "is_worth_one"),
    [
        (None, transfer("processed"), True),
        (None, transfer("pending"), False),
        (None, transfer("failed"), False),
        (transfer("pending"), transfer("processed", posted_amount=THRESHOLD), True),
        (transfer("pending"), transfer("processed", posted_amount=THRESHOLD - 1), False),
        (transfer("pending"), transfer("canceled"), False),
        (transfer("processed"), transfer("processed"), False),
        (None, transfer("processed", payment_id="pay_1"), False),
        (None, transfer("processed", settlement_id="set_1"), False),
        (None, transfer("processed", THRESHOLD - 1), False),
    ],
)
def test_a_large_transfer_is_found_unless_it_belongs_to_a_payment(
    before: Transfer | None, after: Transfer, is_worth_one: bool
) -> None:
    assert (large_transfer(before, after, THRESHOLD) is not None) == is_worth_one


EARLIER, LATER = "2026-03-14T09:30:00.000Z", "2026-03-14T10:00:00.000Z"


@pytest.mark.parametrize(
    ("before", "after", "is_worth_one"),
    [
        (None, LATER, True),
        (EARLIER, LATER, True),
        (LATER, LATER, False),
        (LATER, EARLIER, False),
        (LATER, None, False),
        (None, None, False),
    ],
)
def test_a_lockout_is_found_when_it_begins_or_is_extended(
    before: str | None, after: str | None, is_worth_one: bool
) -> None:
    assert (lockout(customer(before), customer(after)) is not None) == is_worth_one
    assert (lockout(account(before), account(after)) is not None) == is_worth_one
    assert (lockout(None, account(after)) is not None) == (after is not None)


def test_each_lock_of_a_customer_is_one_alert_and_balance_shards_have_none() -> None:
    found = [lockout(customer(None), customer(until)) for until in (EARLIER, LATER, EARLIER)]
    ids = [alert_of(each).id for each in found if each is not None]
    assert ids[0] == ids[2] != ids[1]
    assert lockout(None, account(LATER, shard="f#03")) is None
    one = lockout(None, account(LATER, customer_id="cus_1"))
    assert one is not None
    assert one.detail == {"locked_until": LATER, "customer_id": "cus_1"}


# ------------------------------------------------------------ velocity


def made_at(*seconds: float) -> list[str]:
    return [new_id("pay", START + timedelta(seconds=each)) for each in seconds]


@pytest.mark.parametrize(
    ("seconds", "busy"),
    [
        ((0, 1, 2, 3), []),
        ((0, 1, 2, 3, 4), [0]),
        ((0, 15, 30, 45, 59.999), [0]),
        ((0, 15, 30, 45, 60), []),
        ((0.001, 15, 30, 45, 60), [1]),
        ((50, 55, 58, 61, 62), [1]),
        ((0, 1, 2, 3, 4, 60, 61, 62, 63, 64), [0, 1]),
        ((0, 1, 2, 3, 4, 5, 6, 7, 8, 9), [0]),
        ((0, 20, 40, 61, 80, 100, 121, 140), []),
    ],
)
def test_a_minute_is_busy_if_a_payment_in_it_is_the_fifth_within_a_sliding_minute(
    seconds: tuple[float, ...], busy: list[int]
) -> None:
    found = busy_minutes(made_at(*seconds), 5)
    assert sorted(found) == [START + timedelta(minutes=each) for each in busy]


def test_the_first_payments_of_a_busy_minute_are_listed() -> None:
    ids = made_at(0, 1, 2, 3, 4, 5, 6)
    assert busy_minutes(Random(1).sample(ids, 7), 5) == {START: tuple(ids[:5])}
    assert minute_of(ids[0]) == START


@given(st.lists(st.integers(0, 300_000), max_size=40), st.randoms(use_true_random=False))
def test_payments_in_any_order_make_the_same_minutes_busy(
    milliseconds: list[int], dice: Random
) -> None:
    ids = made_at(*(each / 1000 for each in milliseconds))
    whole = set(busy_minutes(ids, 5))
    found: set[datetime] = set()
    known: set[str] = set()
    for payment_id in dice.sample(ids, len(ids)):
        known.add(payment_id)
        begin = minute_of(payment_id)
        around = {begin - VELOCITY_PERIOD, begin, begin + VELOCITY_PERIOD}
        seen = [each for each in known if minute_of(each) in around]
        found |= {minute for minute in busy_minutes(seen, 5) if minute >= begin}
    assert found == whole
