"""Payments and payouts of every kind, files in any order: all money is settled exactly once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from random import Random

import pytest

from runtime.payments.transaction_models import Transaction, TransactionStatus
from runtime.reconciliation.files import plan
from runtime.reconciliation.files.models import FileStatus, SettlementFile
from runtime.reconciliation.settlements.models import LineStatus, Settlement, SettlementLine
from tests.support.engines.engine import Engine
from tests.support.platform import TIMING, Platform
from tests.support.proved_shop import Shop
from tests.support.simulation.settlements import SettlementSimulation

NO_CUT = timedelta(0)
"""No request is in progress when the ledger is verified."""
ROUNDS = int(os.environ.get("OPERATIONS") or 2)
TRADES = 9


@pytest.fixture
def simulation(
    request: pytest.FixtureRequest, engine: Engine, dice: Random
) -> Iterator[SettlementSimulation]:
    """`request.param`: basis points of the fees that the processor reports at once."""
    timing = TIMING.model_copy(update={"sandbox_fee_basis_points": request.param})
    platform = Platform(engine, timing)
    yield SettlementSimulation(Shop(platform), dice)
    platform.drop()


def must_balance(simulation: SettlementSimulation) -> None:
    """After every step: no money is created or lost, and the ledger agrees with the lines."""
    assert sum(simulation.shop.platform.balances().values()) == 0
    simulation.shop.platform.clock.advance(1)
    assert simulation.shop.verify_ledger(NO_CUT, page=250) == {}


def must_be_paid_out(simulation: SettlementSimulation) -> None:
    """Once all files are correct: paid out transactions are settled, all others are open."""
    platform = simulation.shop.platform
    done = {LineStatus.MATCHED, LineStatus.SUPERSEDED}
    others = [row for row in platform.rows(SettlementLine) if row.status not in done]
    assert [(row.type, row.payment_id, row.status, row.reason) for row in others] == []
    for settlement in platform.rows(Settlement):
        assert settlement.status == "completed", settlement
        assert not any(settlement.remainder.values()), settlement
    assert {file.status for file in platform.rows(SettlementFile)} <= {
        FileStatus.COMPLETED,
        FileStatus.COMPLETED_WITH_EXCEPTIONS,
    }
    balances, left = platform.balances(), simulation.left()
    for account in left.keys() | {"acc_clearing_USD", "acc_fees_USD", "acc_writeoff_USD"}:
        assert balances[account] == left[account], account
    receivable = f"acc_receivable_{simulation.shop.merchant.id}_USD"
    assert balances[receivable] == -sum(left.values())


@pytest.mark.parametrize("simulation", [290, 0], indirect=True, ids=["fees known", "fees learned"])
def test_payouts_and_files_in_any_order_settle_everything_once(
    simulation: SettlementSimulation, dice: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(ROUNDS):
        monkeypatch.setattr(plan, "CHUNK_LINES", dice.randrange(2, 8))
        simulation.trade(TRADES)
        payouts = [simulation.pay_out()]
        if simulation.waiting:
            payouts.append(simulation.pay_out(everything=number == ROUNDS - 1))
        simulation.drop(payouts[:1], simulation.damaged)
        simulation.drop(payouts, simulation.damaged)
        simulation.reconciler.work(dice)
        must_balance(simulation)
        simulation.decide()
        must_balance(simulation)
        simulation.undo()
        must_balance(simulation)
        # The corrected files arrive at once, one of them with both payouts.
        simulation.drop(payouts)
        simulation.drop(payouts[:1])
        simulation.reconciler.work(dice)
        must_balance(simulation)
        if not simulation.torn:
            must_be_paid_out(simulation)
    assert not simulation.left()
    before = (
        simulation.shop.platform.balances(),
        len(simulation.shop.platform.rows(SettlementLine)),
    )
    simulation.drop(simulation.payouts)
    simulation.reconciler.work(dice)
    assert (
        simulation.shop.platform.balances(),
        len(simulation.shop.platform.rows(SettlementLine)),
    ) == before
    must_balance(simulation)
    print(dict(simulation.seen))


def test_a_capture_and_its_full_refund_in_one_file_leave_no_balance(platform: Platform) -> None:
    simulation = SettlementSimulation(Shop(platform), Random(7))
    simulation.sale()
    (payment,) = platform.payments()
    simulation.shop.operate(payment.id, "refund", amount=payment.amount)
    (refund,) = simulation.shop.transactions("refund")
    simulation.moved("refund", payment.id, transaction_id=refund.id, amount=-refund.amount)
    simulation.drop([simulation.pay_out(everything=True)])
    platform.work_queue()
    must_balance(simulation)
    must_be_paid_out(simulation)
    assert {row.status for row in platform.rows(Transaction)} == {TransactionStatus.SETTLED}
    assert not any(platform.balances().values())
