"""Batches of settlement lines on DynamoDB: settled and posted once, whoever else is at work."""

from __future__ import annotations

from runtime.models.settlement import LineStatus, LineType, SettlementLine
from runtime.models.transaction import Transaction, TransactionType
from runtime.models.transfer import Transfer
from tests.support.settlement_batches import file_of, line_of, read_line, settle
from tests.support.world import World


def transactions(world: World, kind: TransactionType) -> list[Transaction]:
    rows = [row for row in world.rows(Transaction) if row.type is kind]
    return sorted(rows, key=lambda row: row.id)


def lines_of(world: World) -> dict[int, SettlementLine]:
    return {row.line: row for row in world.rows(SettlementLine)}


def statuses(world: World) -> dict[int, LineStatus]:
    return {number: row.status for number, row in sorted(lines_of(world).items())}


def test_a_payout_of_captures_refunds_fees_and_adjustments_leaves_nothing_in_the_books(
    world: World,
) -> None:
    shop = world.merchant()
    first, second = world.paid(shop, amount=1000), world.paid(shop, amount=500)
    world.operate(shop, first, "refund", amount=1000)
    captures = transactions(world, TransactionType.CAPTURE)
    (refund,) = transactions(world, TransactionType.REFUND)
    total = sum(row.amount - row.fee for row in captures) - refund.amount - 50 + 20
    lines = [
        line_of(2, captures[0]),
        line_of(3, captures[1]),
        line_of(4, refund),
        read_line(5, type=LineType.FEE, amount=-50),
        read_line(6, type=LineType.ADJUSTMENT, amount=20),
        read_line(7, type=LineType.PAYOUT, amount=-total),
    ]
    chunk = settle(world, shop, file_of(world, shop), lines)
    assert set(statuses(world).values()) == {LineStatus.MATCHED}
    assert {row.status for row in world.rows(Transaction)} == {"settled"}
    assert set(world.balances().values()) <= {0}
    (delta,) = chunk.deltas.values()
    assert delta.counts == {LineStatus.MATCHED: 6}
    assert delta.payout == {"USD": total}
    posted = [row for row in world.rows(Transfer) if row.settlement_id is not None]
    assert [row.settlement_lines for row in posted] == [(2, 3, 4, 5, 6)]
    assert second
