"""Verification of payments: each fact is posted exactly once, and the ceilings are correct."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from random import Random

import pytest

from runtime.core.errors import PlatformError
from runtime.core.timestamps import to_timestamp
from runtime.ledger.rules import reversal_legs
from runtime.ledger.transfers.models import Transfer
from runtime.payments.models import Payment
from runtime.payments.posting_ids import returned_refund_posting_id
from runtime.payments.transaction_models import AuditStep
from runtime.verification.segments import Phase
from tests.support.outside import new_id
from tests.support.platform import Platform
from tests.support.proved_shop import Shop


@pytest.fixture
def shop(platform: Platform) -> Shop:
    return Shop(platform)


def test_correct_postings_are_verified_without_drills(shop: Shop) -> None:
    shop.trade()
    shop.disputed(shop.paid(amount=2_000))
    shop.disputed(shop.paid(amount=2_000), returned=450)
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}
    assert Phase.DRILL_PAYMENTS not in shop.phases
    assert Phase.DRILL_POSTINGS not in shop.phases


def test_a_returned_refund_has_two_postings_and_is_verified(shop: Shop) -> None:
    payment_id = shop.paid(amount=5_000)
    shop.operate(payment_id, "refund", amount=1_200)
    (refund,) = shop.transactions("refund")
    shop.platform.clock.advance(3_600)
    returned_at = shop.payment(payment_id)
    legs = reversal_legs(shop.merchant.id, "USD", 1_200)
    shop.post(returned_at, returned_refund_posting_id(refund.id), legs)
    failed = AuditStep(status="failed", at=to_timestamp(shop.platform.clock()), by="x")
    trail = (*refund.audit_trail, failed)
    shop.platform.put(refund.model_copy(update={"status": "failed", "audit_trail": trail}))
    changes = {"amount_refunded": 0, "refundable_minor": 5_000}
    shop.platform.put(returned_at.model_copy(update=changes))
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def test_a_capture_posted_twice_is_reported(shop: Shop) -> None:
    shop.trade()
    (posting, *_) = (shop.posting_of(each) for each in shop.transactions("capture"))
    second = new_id("trf", shop.platform.clock())
    shop.platform.put(posting.model_copy(update={"id": second}))
    shop.pass_the_cut()
    ((name, expected, _),) = shop.verify_ledger()["payment_postings"]
    assert name == second
    assert posting.payment_id is not None
    assert posting.payment_id in expected


def test_a_capture_without_a_posting_is_reported(shop: Shop) -> None:
    shop.trade()
    capture = shop.transactions("capture")[0]
    posting = shop.posting_of(capture)
    shop.platform.delete(posting)
    ((name, expected, found),) = shop.verify_ledger()["payment_postings"]
    assert name == f"{capture.id} capture"
    assert posting.id in expected
    assert found == "no posting"


def test_a_dispute_without_its_reversal_is_reported(shop: Shop) -> None:
    payment_id = shop.paid(amount=2_000)
    shop.disputed(payment_id, returned=600)
    (reversal,) = (
        row
        for row in shop.platform.rows(Transfer)
        if row.payment_id == payment_id and row.amount == 600 and len(row.legs) == 1
    )
    shop.platform.delete(reversal)
    shop.pass_the_cut()
    found = shop.verify_ledger()["payment_postings"]
    assert {name for name, _, _ in found} == {f"{payment_id} dp_1"}
    assert (f"{payment_id} dp_1", f"posted by {reversal.id}", "no posting") in found


def plant_amount(shop: Shop) -> str:
    """Post a refund with one unit too much."""
    (refund,) = shop.transactions("refund")
    posting = shop.posting_of(refund)
    legs = (posting.legs[0].model_copy(update={"amount": 1_201}),)
    shop.platform.put(posting.model_copy(update={"legs": legs, "amount": 1_201}))
    return f"{refund.id} refund"


def plant_fee(shop: Shop) -> str:
    """Remove the posting of a capture's fee."""
    capture = shop.transactions("capture")[0]
    posting = shop.posting_of(capture)
    assert len(posting.legs) == 2
    shop.platform.put(posting.model_copy(update={"legs": posting.legs[:1]}))
    return f"{capture.id} capture"


def plant_other_payment(shop: Shop) -> str:
    """Change the payment id of a posting."""
    one, other, *_ = shop.transactions("capture")
    posting = shop.posting_of(one)
    shop.platform.put(posting.model_copy(update={"payment_id": other.payment_id}))
    return f"{one.id} capture"


@pytest.mark.parametrize("plant", [plant_amount, plant_fee, plant_other_payment])
def test_a_posting_that_differs_from_its_fact_is_reported(
    shop: Shop, plant: Callable[[Shop], str]
) -> None:
    shop.trade()
    name = plant(shop)
    shop.pass_the_cut()
    assert name in {each for each, _, _ in shop.verify_ledger()["payment_postings"]}


def test_a_wrong_total_or_ceiling_is_reported(shop: Shop) -> None:
    shop.trade()
    payment = shop.platform.payments()[1]
    checks = {
        "payment_totals": ("amount_captured", "amount_refunded", "fee"),
        "payment_ceilings": ("refundable", "capturable", "pending_capture", "pending_refund"),
    }
    for check, names in checks.items():
        for name in names:
            field_name = name if name in Payment.model_fields else f"{name}_minor"
            stored = getattr(payment, field_name) + 1
            shop.platform.put(payment.model_copy(update={field_name: stored}))
            found = {each: (right, there) for each, right, there in shop.verify_ledger()[check]}
            right, there = found[f"{payment.id} {name}"]
            assert (right + 1, there) == (stored, stored)
    shop.platform.put(payment)
    assert shop.verify_ledger() == {}


# -------------------------------------------------------------------- while money moves


@contextmanager
def trading(shop: Shop, dice: Random) -> Iterator[list[int]]:
    """Sales, captures and refunds by three clients until the block ends."""
    stop, done = threading.Event(), [0, 0, 0]

    def work(number: int) -> None:
        own = Random(f"{dice.random()}-{number}")
        while not stop.is_set():
            try:
                manual = own.random() < 0.4
                method = "manual" if manual else "automatic"
                payment_id = shop.paid(amount=1_000, capture_method=method)
                if manual:
                    shop.operate(payment_id, "capture", amount=400, final=own.random() < 0.5)
                shop.operate(payment_id, "refund", amount=own.randrange(1, 300))
            except PlatformError:
                continue
            done[number] += 1

    with ThreadPoolExecutor(3) as pool:
        workers = [pool.submit(work, number) for number in range(3)]
        try:
            yield done
        finally:
            stop.set()
            for worker in workers:
                worker.result()


def test_runs_find_no_violations_during_payments(shop: Shop, dice: Random) -> None:
    shop.trade()
    with trading(shop, dice) as done:
        for _ in range(2):
            shop.platform.clock.advance(1)
            # A cut without a delay: operations in progress are newer only by the clock.
            assert shop.verify_ledger(timedelta(milliseconds=500)) == {}
    assert sum(done) > 0
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}
