"""Incremental runs verify payments, settlements and holds that changed, whatever their age."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from runtime.ledger.transfers.models import Transfer, TransferStatus
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.settlements.models import Settlement, SettlementLine
from runtime.verification.models import BASELINE, BASELINE_PART
from runtime.verification.repository import Stored, VerificationRepository
from runtime.verification.rules import Baseline, RunKind
from tests.integration.verification.test_settlements import LINES, SETTLEMENT, settle
from tests.support.engines.engine import Engine
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform
from tests.support.proved_shop import Found, Shop
from tests.support.simulation.ledger import LedgerPlatform

INCREMENTAL, FULL = RunKind.INCREMENTAL, RunKind.FULL


@pytest.fixture
def shop(platform: Platform) -> Shop:
    """Payments of every kind that a full run has verified."""
    shop = Shop(platform)
    shop.trade()
    shop.paid(amount=7_000)
    next_day(shop)
    assert shop.verify_ledger() == {}
    make_verified(shop)
    return shop


def make_verified(shop: Shop) -> None:
    """Make the last run's cut the verified state.

    Nothing projects entries here, so other checks have violations, which these tests ignore.
    """
    repository = VerificationRepository(shop.platform.store)
    report, before = repository.latest(), repository.baseline()
    assert report is not None
    after = Baseline(verified_until=report.as_of, last_full=report.as_full_run)
    row = repository._row(
        BASELINE, BASELINE_PART, Stored(after, before.version), shop.platform.clock()
    )
    shop.platform.put(row)


def verified_changes(shop: Shop) -> Found:
    """Violations that an incremental run finds, whose cut becomes the verified state."""
    found = shop.verify_ledger(kind=INCREMENTAL)
    make_verified(shop)
    return found


def next_day(shop: Shop, **how: Any) -> None:
    shop.changes.archive(**how)
    shop.platform.clock.advance(86_400)


def changes_of(shop: Shop, **how: Any) -> Found:
    """Violations that an incremental run finds, which are those of a full one."""
    next_day(shop, **how)
    found = shop.verify_ledger(kind=INCREMENTAL)
    assert found == shop.verify_ledger()
    return found


def settled(shop: Shop) -> Transfer:
    """Two captures and a refund of the past, paid out now."""
    platform = shop.platform
    transfer = settle(shop, [*shop.transactions("capture")[:2], shop.transactions("refund")[0]])
    at = transfer.created_at
    platform.put(
        Settlement(
            id=SETTLEMENT,
            merchant_id=shop.merchant.id,
            date=at[:10],
            status="completed",
            source="test",
            sha256="0" * 64,
            line_buckets=(0, 1),
            created_at=at,
            updated_at=at,
            **SETUP.stamp(),
        )
    )
    return transfer


# -------------------------------------------------------------------- what is right


def test_later_changes_of_old_payments_are_verified(shop: Shop) -> None:
    old = next(each for each in shop.platform.payments() if each.amount == 7_000)
    shop.operate(old.id, "refund", amount=1_500)
    next_day(shop)
    assert verified_changes(shop) == {}
    settled(shop)
    next_day(shop)
    assert verified_changes(shop) == {}
    shop.disputed(old.id, returned=450)
    next_day(shop, by_hand=())
    assert verified_changes(shop) == {}
    assert shop.verify_ledger() == {}


# -------------------------------------------------------------------- what is wrong


def test_a_payment_edited_by_hand_is_found_whatever_its_age(shop: Shop) -> None:
    old = next(each for each in shop.platform.payments() if each.amount == 7_000)
    shop.platform.put(old.model_copy(update={"amount_captured": 7_001}))
    found = changes_of(shop, by_hand={old.id})
    assert found["payment_totals"] == [(f"{old.id} amount_captured", 7_000, 7_001)]


def _without_posting(shop: Shop, payment: Payment) -> set[str]:
    (refund,) = (each for each in shop.transactions("refund") if each.payment_id == payment.id)
    posting = shop.posting_of(refund)
    shop.platform.delete(posting)
    return {posting.id}


def _with_another_amount(shop: Shop, payment: Payment) -> set[str]:
    (refund,) = (each for each in shop.transactions("refund") if each.payment_id == payment.id)
    posting = shop.posting_of(refund)
    leg = posting.legs[0].model_copy(update={"amount": 1_501})
    shop.platform.put(posting.model_copy(update={"legs": (leg,)}))
    return {posting.id}


def _with_two_postings(shop: Shop, payment: Payment) -> set[str]:
    (refund,) = (each for each in shop.transactions("refund") if each.payment_id == payment.id)
    shop.post(payment, new_id("trf", shop.platform.clock()), shop.posting_of(refund).legs)
    return set()


@pytest.mark.parametrize("plant", [_without_posting, _with_another_amount, _with_two_postings])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_refund_that_is_not_posted_once_is_found(
    shop: Shop, plant: Callable[[Shop, Payment], set[str]], *, is_new: bool
) -> None:
    old = next(each for each in shop.platform.payments() if each.amount == 7_000)
    shop.operate(old.id, "refund", amount=1_500)
    if not is_new:
        next_day(shop)
        assert verified_changes(shop) == {}
    by_hand = plant(shop, old)
    assert "payment_postings" in changes_of(shop, by_hand=by_hand)


@pytest.mark.parametrize("is_new", [True, False])
def test_an_edited_settlement_posting_is_found(shop: Shop, *, is_new: bool) -> None:
    transfer = settled(shop)
    if not is_new:
        next_day(shop)
        assert verified_changes(shop) == {}
    first, *rest = transfer.legs
    legs = (first.model_copy(update={"amount": first.amount + 1}), *rest)
    shop.platform.put(transfer.model_copy(update={"legs": legs}))
    found = changes_of(shop, by_hand={transfer.id})["settlement_postings"]
    assert transfer.id in {name for name, _, _ in found}


def test_a_line_that_settles_a_payment_without_its_mark_is_found(shop: Shop) -> None:
    settled(shop)
    capture = next(each for each in shop.platform.rows(SettlementLine) if each.line == LINES[0])
    before = next(
        each for each in shop.platform.rows(Transaction) if each.id == capture.transaction_id
    )
    unmarked = {"status": "succeeded", "settlement_id": None, "settled_at": None}
    trail = before.audit_trail[:-1]
    shop.platform.put(before.model_copy(update={**unmarked, "audit_trail": trail}))
    found = changes_of(shop)["settlement_postings"]
    assert [name for name, _, _ in found] == [f"{capture.payment_id} settled"]


# -------------------------------------------------------------------- holds


@pytest.fixture
def ledger(engine: Engine, dice: Random) -> Iterator[LedgerPlatform]:
    ledger = LedgerPlatform(engine, str(dice.random()))
    logging.disable(logging.CRITICAL)
    yield ledger
    logging.disable(logging.NOTSET)
    ledger.platform.drop()


def holds_found(
    ledger: LedgerPlatform, kind: RunKind, **how: Any
) -> dict[str, list[tuple[str, Any, Any]]]:
    ledger.poller.drain()
    ledger.changes.archive(**how)
    ledger.platform.clock.advance(600)
    report = ledger.verify_ledger(kind)
    assert report.kind is kind
    return {
        check.name.value: [(v.id, v.expected, v.found) for v in check.violations]
        for check in report.checks
        if not check.holds
    }


def test_holds_that_are_open_across_runs_are_verified(ledger: LedgerPlatform) -> None:
    payer, payee = ledger.open(opening=50_000), ledger.open()
    hot = ledger.open(folded=True)
    holds = [ledger.hold(payer, payee, amount) for amount in range(10, 14)]
    holds += [ledger.hold(payer, hot, 90)]
    assert holds_found(ledger, FULL) == {}
    ledger.calm.send(ledger.post_order(holds[0], 3))
    ledger.calm.send(ledger.cancel_order(holds[1]))
    ledger.hold(payer, payee, 77)
    assert holds_found(ledger, INCREMENTAL) == {}
    ledger.calm.send(ledger.post_order(holds[4]))
    assert holds_found(ledger, INCREMENTAL) == {}
    assert holds_found(ledger, INCREMENTAL) == {}
    assert holds_found(ledger, FULL) == {}


def _canceled(row: Transfer) -> Transfer:
    changes = {"status": TransferStatus.CANCELED, "version": row.version + 1}
    return row.model_copy(update={**changes, "hold_bucket": None, "status_bucket": None})


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_hold_that_only_its_row_ended_is_found(ledger: LedgerPlatform, *, by_hand: bool) -> None:
    payer, payee = ledger.open(opening=5_000), ledger.open()
    hold_id = ledger.hold(payer, payee, 4_000)
    assert holds_found(ledger, FULL) == {}
    assert holds_found(ledger, INCREMENTAL) == {}
    (row,) = (each for each in ledger.platform.rows(Transfer) if each.id == hold_id)
    ledger.platform.put(_canceled(row))
    found = holds_found(ledger, INCREMENTAL, by_hand={hold_id} if by_hand else ())
    assert sorted(found["open_holds"]) == sorted(
        [(f"{payer}#00 held_out", 0, 4_000), (f"{payee}#00 held_in", 0, 4_000)]
    )
    assert sorted(found["open_holds"]) == sorted(holds_found(ledger, FULL)["open_holds"])
