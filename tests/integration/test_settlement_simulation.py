"""Payments and payouts of every kind, files in any order: money is settled once, and all of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from random import Random

import pytest

from runtime.domain import settlement_plan
from runtime.models.settlement import LineStatus, Settlement, SettlementLine
from runtime.models.settlement_file import FileStatus, SettlementFile
from runtime.models.transaction import Transaction, TransactionStatus
from tests.support.engines import Engine
from tests.support.proved_shop import Shop
from tests.support.settlement_town import Town
from tests.support.world import TIMING, World

NO_CUT = timedelta(0)
"""Nothing is under way when the books are proved."""
ROUNDS = int(os.environ.get("OPERATIONS") or 2)
TRADES = 9


@pytest.fixture
def town(request: pytest.FixtureRequest, engine: Engine, dice: Random) -> Iterator[Town]:
    """`request.param`: basis points of the fees that the processor reports at once."""
    timing = TIMING.model_copy(update={"sandbox_fee_basis_points": request.param})
    world = World(engine, timing)
    yield Town(Shop(world), dice)
    world.drop()


def must_balance(town: Town) -> None:
    """After every step: nothing is created or lost, and the books agree with the lines."""
    assert sum(town.shop.world.balances().values()) == 0
    town.shop.world.clock.advance(1)
    assert town.shop.prove(NO_CUT, page=250) == {}


def must_be_paid_out(town: Town) -> None:
    """Once all files are right: what was paid out has left nothing behind, all else is there."""
    world = town.shop.world
    done = {LineStatus.MATCHED, LineStatus.SUPERSEDED}
    others = [row for row in world.rows(SettlementLine) if row.status not in done]
    assert [(row.type, row.payment_id, row.status, row.reason) for row in others] == []
    for settlement in world.rows(Settlement):
        assert settlement.status == "completed", settlement
        assert not any(settlement.remainder.values()), settlement
    assert {file.status for file in world.rows(SettlementFile)} <= {
        FileStatus.COMPLETED,
        FileStatus.COMPLETED_WITH_EXCEPTIONS,
    }
    balances, left = world.balances(), town.left()
    for account in left.keys() | {"acc_clearing_USD", "acc_fees_USD", "acc_writeoff_USD"}:
        assert balances[account] == left[account], account
    receivable = f"acc_receivable_{town.shop.merchant.id}_USD"
    assert balances[receivable] == -sum(left.values())


@pytest.mark.parametrize("town", [290, 0], indirect=True, ids=["fees known", "fees learned"])
def test_whatever_comes_in_whichever_order_all_is_settled_once(
    town: Town, dice: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(ROUNDS):
        monkeypatch.setattr(settlement_plan, "CHUNK_LINES", dice.randrange(2, 8))
        town.trade(TRADES)
        payouts = [town.pay_out()]
        if town.waiting:
            payouts.append(town.pay_out(everything=number == ROUNDS - 1))
        town.drop(payouts[:1], town.damaged)
        town.drop(payouts, town.damaged)
        town.reconciler.work(dice)
        must_balance(town)
        town.decide()
        must_balance(town)
        town.undo()
        must_balance(town)
        # The corrected files come at once, one of them with both payouts.
        town.drop(payouts)
        town.drop(payouts[:1])
        town.reconciler.work(dice)
        must_balance(town)
        if not town.torn:
            must_be_paid_out(town)
    assert not town.left()
    before = (town.shop.world.balances(), len(town.shop.world.rows(SettlementLine)))
    town.drop(town.payouts)
    town.reconciler.work(dice)
    assert (town.shop.world.balances(), len(town.shop.world.rows(SettlementLine))) == before
    must_balance(town)
    print(dict(town.seen))


def test_a_capture_and_its_full_refund_in_one_file_leave_nothing_behind(world: World) -> None:
    town = Town(Shop(world), Random(7))
    town.sale()
    (payment,) = world.payments()
    town.shop.operate(payment.id, "refund", amount=payment.amount)
    (refund,) = town.shop.transactions("refund")
    town.moved("refund", payment.id, transaction_id=refund.id, amount=-refund.amount)
    town.drop([town.pay_out(everything=True)])
    world.work_queue()
    must_balance(town)
    must_be_paid_out(town)
    assert {row.status for row in world.rows(Transaction)} == {TransactionStatus.SETTLED}
    assert not any(world.balances().values())
