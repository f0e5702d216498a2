"""Verification of settlements: each transfer books its lines exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from runtime.core.timestamps import to_timestamp
from runtime.ledger.rules import total_of
from runtime.ledger.transfers.models import Transfer
from runtime.payments.posting_ids import POSTING_OPERATION
from runtime.payments.transaction_models import AuditStep, Transaction, TransactionStatus
from runtime.reconciliation.matching.flows import Amounts, added, flow_legs, settled
from runtime.reconciliation.settlements.line_keys import line_partition
from runtime.reconciliation.settlements.models import (
    Flows,
    LineBooking,
    LineStatus,
    LineType,
    SettlementLine,
)
from runtime.verification.segments import Phase
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform
from tests.support.proved_shop import Shop
from tests.support.simulation.settlements import SettlementSimulation

SETTLEMENT = "set_A"
LINES = (2, 1_003, 1_004)
"""Line numbers in two partitions."""


@pytest.fixture
def shop(platform: Platform) -> Shop:
    shop = Shop(platform)
    shop.trade()
    return shop


def settle(shop: Shop, transactions: Sequence[Transaction], **changes: Any) -> Transfer:
    """Settle transactions by lines and one transfer, like a file. `changes`: to the transfer."""
    now = shop.platform.clock()
    at, transfer_id = to_timestamp(now), new_id("trf", now)
    lines = [
        settled_line(each, number, transfer_id, shop)
        for each, number in zip(transactions, LINES[: len(transactions)], strict=True)
    ]
    flows = added(booking.flows for line in lines for booking in line.bookings)
    legs = flow_legs(flows, shop.merchant.id, "USD")
    transfer = Transfer(
        id=transfer_id,
        merchant_id=shop.merchant.id,
        operation_id=new_id(POSTING_OPERATION, now),
        legs=legs,
        amount=total_of(legs),
        currency="USD",
        status="processed",
        posted_amount=total_of(legs),
        processed_at=at,
        settlement_id=SETTLEMENT,
        settlement_lines=tuple(line.line for line in lines),
        created_at=at,
        updated_at=at,
        **SETUP.stamp(),
    )
    for row in (*lines, transfer.model_copy(update=changes)):
        shop.platform.put(row)
    for each in transactions:
        step = AuditStep(status=TransactionStatus.SETTLED, at=at, by="x")
        done = {"status": "settled", "settled_at": at, "settlement_id": SETTLEMENT}
        trail = (*each.audit_trail, step)
        shop.platform.put(each.model_copy(update={**done, "audit_trail": trail}))
    return transfer


def settled_line(
    transaction: Transaction, number: int, transfer_id: str, shop: Shop
) -> SettlementLine:
    """The matched line of a capture or refund."""
    sign = 1 if transaction.type == "capture" else -1
    read = Amounts(amount=sign * transaction.amount, fee=transaction.fee)
    at = to_timestamp(shop.platform.clock())
    return SettlementLine(
        settlement_bucket=line_partition(SETTLEMENT, number),
        line=number,
        settlement_id=SETTLEMENT,
        merchant_id=shop.merchant.id,
        status=LineStatus.MATCHED,
        type=LineType(transaction.type),
        payment_id=transaction.payment_id,
        transaction_id=transaction.id,
        amount=read.amount,
        fee=read.fee,
        net=read.net,
        currency="USD",
        bookings=(LineBooking(transfer_id=transfer_id, currency="USD", flows=settled(read)),),
        created_at=at,
        updated_at=at,
        **SETUP.stamp(),
    )


def settle_three(shop: Shop) -> Transfer:
    """Two captures and a refund."""
    transactions = [*shop.transactions("capture")[:2], *shop.transactions("refund")]
    transfer = settle(shop, transactions)
    shop.pass_the_cut()
    return transfer


def line(shop: Shop, number: int = LINES[0]) -> SettlementLine:
    (row,) = (each for each in shop.platform.rows(SettlementLine) if each.line == number)
    return row


def change_line(shop: Shop, number: int = LINES[0], **changes: Any) -> SettlementLine:
    row = line(shop, number)
    shop.platform.put(row.model_copy(update=changes))
    return row


def found_by(shop: Shop) -> dict[str, list[tuple[Any, Any]]]:
    """Expected and found values of the check's violations, by id."""
    found = shop.verify_ledger()
    assert set(found) == {"settlement_postings"}
    named: dict[str, list[tuple[Any, Any]]] = {}
    for name, expected, there in found["settlement_postings"]:
        named.setdefault(name, []).append((expected, there))
    return named


# -------------------------------------------------------------------- correct settlements


def test_a_correct_settlement_is_verified_without_drills(shop: Shop) -> None:
    settle_three(shop)
    assert shop.verify_ledger() == {}
    assert not set(shop.phases) & {
        Phase.DRILL_SETTLEMENTS,
        Phase.DRILL_LINES,
        Phase.DRILL_SETTLED,
    }


def test_lines_settled_after_the_cut_are_left_to_the_next_run(shop: Shop) -> None:
    settle(shop, shop.transactions("capture")[:3])
    assert shop.verify_ledger() == {}
    assert Phase.DRILL_SETTLED not in shop.phases
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def test_a_learned_fee_belongs_to_the_settlement_not_to_the_capture(shop: Shop) -> None:
    capture = shop.transactions("capture")[0]
    payment = shop.payment(capture.payment_id)
    transfer = settle(shop, [capture])
    learned, fee = 7, capture.fee + 7
    row = line(shop)
    flows = settled(Amounts(amount=capture.amount, fee=fee), learned_fee=learned)
    booking = LineBooking(transfer_id=transfer.id, currency="USD", flows=flows)
    read = {"fee": fee, "net": capture.amount - fee, "bookings": (booking,)}
    shop.platform.put(row.model_copy(update=read))
    legs = flow_legs(flows, shop.merchant.id, "USD")
    shop.platform.put(transfer.model_copy(update={"legs": legs}))
    (settled_row,) = (each for each in shop.platform.rows(Transaction) if each.id == capture.id)
    shop.platform.put(settled_row.model_copy(update={"fee": fee, "learned_fee": learned}))
    shop.platform.put(payment.model_copy(update={"fee": fee}))
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


# -------------------------------------------------------------------- violations


def test_a_missing_transfer_is_reported_for_its_lines(shop: Shop) -> None:
    transfer = settle_three(shop)
    shop.platform.delete(transfer)
    named = found_by(shop)
    assert set(named) == {f"{SETTLEMENT} line {number}" for number in LINES}
    for ((expected, found),) in named.values():
        assert transfer.id in expected
        assert found == "no posting"


def test_an_altered_transfer_is_reported(shop: Shop) -> None:
    transfer = settle_three(shop)
    first, *rest = transfer.legs
    legs = (first.model_copy(update={"amount": first.amount + 1}), *rest)
    shop.platform.put(transfer.model_copy(update={"legs": legs}))
    ((expected, found),) = found_by(shop)[transfer.id]
    assert f"{first.amount} from {first.from_account_id}" in expected
    assert SETTLEMENT in expected
    assert f"{first.amount + 1} from {first.from_account_id}" in found


def test_an_altered_line_is_reported(shop: Shop) -> None:
    settle_three(shop)
    row = change_line(shop, amount=901, net=(line(shop).net or 0) + 1)
    ((expected, found),) = found_by(shop)[f"{SETTLEMENT} line 2"]
    assert expected == f"net {(row.net or 0) + 1} and fee {row.fee} USD"
    assert found == f"net {row.net}, fee {row.fee} USD"


def plant_no_booking(shop: Shop, transfer: Transfer) -> None:
    change_line(shop, bookings=())


def plant_other_flows(shop: Shop, transfer: Transfer) -> None:
    (booking,) = line(shop).bookings
    flows = booking.flows.model_copy(update={"net": booking.flows.net + 1})
    change_line(shop, bookings=(booking.model_copy(update={"flows": flows}),))


def plant_a_booking_twice(shop: Shop, transfer: Transfer) -> None:
    change_line(shop, bookings=line(shop).bookings * 2)


PLANTED = [plant_no_booking, plant_other_flows, plant_a_booking_twice]


@pytest.mark.parametrize("plant", PLANTED)
def test_a_wrongly_booked_line_is_reported_with_its_transfer_and_payment(
    shop: Shop, plant: Callable[[Shop, Transfer], None]
) -> None:
    transfer = settle_three(shop)
    plant(shop, transfer)
    payment_id = line(shop).payment_id
    named = found_by(shop)
    assert set(named) == {f"{SETTLEMENT} line 2", transfer.id, f"{payment_id} settled"}


def test_a_line_booked_by_two_transfers_is_reported_with_its_payment(shop: Shop) -> None:
    first = settle(shop, shop.transactions("capture")[:1])
    shop.platform.clock.advance(1)
    settled_once = line(shop)
    capture = next(each for each in shop.platform.rows(Transaction) if each.settlement_id)
    settle(shop, [capture])
    change_line(shop, bookings=(*settled_once.bookings, *line(shop).bookings))
    shop.pass_the_cut()
    named = found_by(shop)
    assert set(named) == {f"{SETTLEMENT} line 2", f"{capture.payment_id} settled"}
    assert first.id not in named


def test_a_settlement_posting_without_lines_is_reported(shop: Shop) -> None:
    transfer = settle_three(shop)
    stray = transfer.model_copy(update={"id": new_id("trf", shop.platform.clock())})
    nothing = stray.model_copy(
        update={"id": new_id("trf", shop.platform.clock()), "settlement_lines": ()}
    )
    shop.platform.put(stray)
    shop.platform.put(nothing)
    shop.pass_the_cut()
    named = found_by(shop)
    assert set(named) == {stray.id, nothing.id}
    assert (f"a booking of {SETTLEMENT} line 2 by {stray.id}", "no booking") in named[stray.id]
    ((expected, _),) = named[nothing.id]
    assert expected == f"nothing, by the lines of {SETTLEMENT}"


def test_a_line_missing_in_its_transfer_is_reported(shop: Shop) -> None:
    transfer = settle_three(shop)
    shop.platform.put(transfer.model_copy(update={"settlement_lines": LINES[1:]}))
    named = found_by(shop)
    ((_, found),) = named[f"{SETTLEMENT} line 2"]
    assert found == "a posting that does not include the line"
    assert transfer.id in named


def test_an_open_exception_with_a_booking_is_reported(shop: Shop) -> None:
    settle_three(shop)
    change_line(shop, status=LineStatus.FEE_MISMATCH)
    ((expected, found),) = found_by(shop)[f"{SETTLEMENT} line 2"]
    assert expected == "nothing booked of a line that is fee_mismatch"
    assert found.startswith("net ")


def test_a_capture_marked_settled_without_a_line_is_reported(shop: Shop) -> None:
    capture = shop.transactions("capture")[0]
    settle(shop, [capture])
    for row in (line(shop), *shop.platform.rows(Transfer)):
        if isinstance(row, SettlementLine) or row.settlement_id:
            shop.platform.delete(row)
    shop.pass_the_cut()
    named = found_by(shop)
    assert set(named) == {f"{capture.payment_id} settled"}
    ((expected, found),) = named[f"{capture.payment_id} settled"]
    assert expected == f"{capture.amount} on acc_clearing_USD, {-capture.fee} on acc_fees_USD"
    assert found == "nothing"


def test_a_line_of_a_nonexistent_payment_is_reported(shop: Shop) -> None:
    settle_three(shop)
    paid = line(shop).payment_id
    change_line(shop, payment_id="pay_unknown")
    named = found_by(shop)
    assert named[f"{SETTLEMENT} line 2"] == [("a payment pay_unknown", "none")]
    assert f"{paid} settled" in named


def test_a_line_of_another_payments_transaction_is_reported(shop: Shop) -> None:
    settle_three(shop)
    first, second = line(shop, LINES[0]), line(shop, LINES[1])
    assert first.payment_id != second.payment_id
    change_line(shop, payment_id=second.payment_id)
    expected = f"a transaction of {second.payment_id}"
    named = found_by(shop)
    assert named[f"{SETTLEMENT} line {LINES[0]}"] == [(expected, first.transaction_id)]
    assert f"{first.payment_id} settled" in named


def test_a_fee_line_with_a_remainder_on_fees_is_reported(shop: Shop) -> None:
    settle_three(shop)
    fee = {"type": LineType.FEE, "payment_id": None, "transaction_id": None, "amount": -50}
    flows = Flows(net=-50, fee=50, cost=40)
    transfer_id = line(shop).bookings[0].transfer_id
    booking = LineBooking(transfer_id=transfer_id, currency="USD", flows=flows)
    change_line(shop, **fee, fee=0, net=-50, bookings=(booking,))
    assert (
        "0 on acc_fees_USD, as of a line without a payment",
        "-10",
    ) in found_by(shop)[f"{SETTLEMENT} line 2"]


# -------------------------------------------------------------------- while files are reconciled


@contextmanager
def reconciling(simulation: SettlementSimulation, dice: Random) -> Iterator[list[int]]:
    """Payments and their settlement files, damaged and corrected, until the block ends."""
    stop, rounds = threading.Event(), [0]

    def work() -> None:
        while not stop.is_set():
            simulation.trade(3, calm=True)
            payout = simulation.pay_out()
            simulation.drop([payout], simulation.damaged)
            simulation.reconciler.work(dice)
            simulation.drop([payout])
            simulation.reconciler.work(dice)
            rounds[0] += 1

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            yield rounds
        finally:
            stop.set()
            working.result()


def test_runs_find_no_violations_while_settlements_are_booked(
    platform: Platform, dice: Random
) -> None:
    simulation = SettlementSimulation(Shop(platform), dice)
    with reconciling(simulation, dice) as rounds:
        for _ in range(4):
            platform.clock.advance(1)
            # A cut without a delay: operations in progress are newer only by the clock.
            assert simulation.shop.verify_ledger(timedelta(milliseconds=500)) == {}
    assert rounds[0] > 0
    assert platform.rows(SettlementLine)
    simulation.shop.pass_the_cut()
    simulation.shop.phases.clear()
    assert simulation.shop.verify_ledger() == {}
    assert Phase.DRILL_SETTLEMENTS not in simulation.shop.phases
