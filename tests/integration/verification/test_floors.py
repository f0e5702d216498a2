"""Verification of floors: no guarded debit takes a hot account below its credit limit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from runtime.core.timestamps import to_timestamp
from runtime.ledger.accounts.models import Account
from runtime.ledger.rules import receivable_account
from runtime.ledger.transfers.models import Leg, Transfer
from tests.support.engines.engine import Engine
from tests.support.outside import new_id
from tests.support.platform import SETUP
from tests.support.simulation.ledger import LedgerPlatform


@pytest.fixture
def ledger(engine: Engine, dice: Random) -> Iterator[LedgerPlatform]:
    ledger = LedgerPlatform(engine, str(dice.random()))
    logging.disable(logging.CRITICAL)
    yield ledger
    logging.disable(logging.NOTSET)
    ledger.platform.drop()


def found_by(ledger: LedgerPlatform) -> dict[str, list[tuple[str, Any, Any]]]:
    ledger.poller.drain()
    return {
        check.name.value: [(v.id, v.expected, v.found) for v in check.violations]
        for check in ledger.verify_ledger().checks
        if not check.holds
    }


def taken_past_the_guard(ledger: LedgerPlatform, source: str, target: str, amount: int) -> None:
    """A transfer without the floor check, but otherwise correct: both rows are changed."""
    platform, now = ledger.platform, ledger.platform.clock()
    transfer_id, at = new_id("trf", now), to_timestamp(now)
    leg = Leg(from_account_id=source, to_account_id=target, amount=amount)
    platform.put(
        Transfer(
            id=transfer_id,
            operation_id=transfer_id,
            legs=(leg,),
            amount=amount,
            posted_amount=amount,
            currency="USD",
            status="processed",
            processed_at=at,
            created_at=at,
            updated_at=at,
            **SETUP.stamp(),
        )
    )
    for account_id, change in ((source, -amount), (target, amount)):
        (row,) = (r for r in platform.rows(Account) if (r.id, r.shard) == (account_id, "00"))
        changes = {
            "balance": row.balance + change,
            "spendable": row.spendable + change,
            "version": row.version + 1,
            "cause": transfer_id,
            "last_operation_id": transfer_id,
        }
        platform.put(row.model_copy(update=changes))


def test_an_overdrawn_hot_account_is_reported(ledger: LedgerPlatform) -> None:
    hot, payee = ledger.open(opening=500, folded=True, credit=100), ledger.open()
    ledger.poller.drain()
    taken_past_the_guard(ledger, hot, payee, 600)
    assert found_by(ledger) == {}
    taken_past_the_guard(ledger, hot, payee, 1)
    assert found_by(ledger) == {"floors": [(hot, -100, -101)]}


def test_a_debit_that_ignored_an_earlier_refund_is_reported(ledger: LedgerPlatform) -> None:
    platform, payee = ledger.platform, ledger.open()
    payment_id = platform.paid(ledger.merchant, amount=10_000)
    receivable = receivable_account(ledger.merchant.id, "USD")
    assert platform.operate(ledger.merchant, payment_id, "refund", amount=9_000).status == 200
    ledger.poller.drain()
    total = sum(row.balance for row in platform.rows(Account) if row.account_id == receivable)
    platform.clock.advance(3_600)
    taken_past_the_guard(ledger, receivable, payee, total + 9_000)
    assert found_by(ledger)["floors"] == [(receivable, 0, -9_000)]


def test_a_negative_receivable_caused_by_refunds_alone_is_not_a_violation(
    ledger: LedgerPlatform,
) -> None:
    platform, payee = ledger.platform, ledger.open()
    payment_id = platform.paid(ledger.merchant, amount=10_000)
    receivable = receivable_account(ledger.merchant.id, "USD")
    ledger.poller.drain()
    total = sum(row.balance for row in platform.rows(Account) if row.account_id == receivable)
    payout = ledger.order(receivable, payee, total)
    assert ledger.calm.send(payout).status == 201
    assert platform.operate(ledger.merchant, payment_id, "refund", amount=9_000).status == 200
    platform.clock.advance(3_600)
    assert platform.operate(ledger.merchant, payment_id, "refund", amount=900).status == 200
    assert found_by(ledger) == {}
    assert (
        sum(row.balance for row in platform.rows(Account) if row.account_id == receivable) == -9_900
    )
