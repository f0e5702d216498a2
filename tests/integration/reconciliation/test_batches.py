"""Batches of settlement lines on DynamoDB: settled and posted once, also under concurrency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from runtime.core.errors import StaleWrite
from runtime.dynamodb.schema import TableSchema
from runtime.dynamodb.store import Store
from runtime.ledger.transfers.models import Transfer
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction, TransactionType
from runtime.reconciliation.files.models import SettlementChunk
from runtime.reconciliation.importers.line import ImportedLine, References, UnreadableLine
from runtime.reconciliation.settlements.deltas import by_settlement
from runtime.reconciliation.settlements.models import (
    LineStatus,
    LineType,
    Settlement,
    SettlementIdentity,
    SettlementLine,
)
from tests.support.platform import Platform, at_once
from tests.support.proved_shop import Shop
from tests.support.reconciliation.batches import (
    chunk_of,
    file_of,
    line_of,
    read_line,
    settle,
    settle_chunk,
)


@pytest.fixture
def shop(platform: Platform) -> Shop:
    return Shop(platform)


def of_type(platform: Platform, kind: TransactionType) -> list[Transaction]:
    rows = [row for row in platform.rows(Transaction) if row.type is kind]
    return sorted(rows, key=lambda row: row.id)


def statuses(platform: Platform) -> dict[int, LineStatus]:
    rows = sorted(platform.rows(SettlementLine), key=lambda row: (row.settlement_id, row.line))
    return {row.line: row.status for row in rows}


def postings(platform: Platform) -> list[Transfer]:
    rows = [row for row in platform.rows(Transfer) if row.settlement_id is not None]
    return sorted(rows, key=lambda row: row.id)


def nothing_is_left(platform: Platform) -> bool:
    return set(platform.balances().values()) <= {0}


def forget_fees(platform: Platform, payment_id: str) -> None:
    """As if the processor had not reported its fee: none of it is booked."""
    for row in platform.rows(Transaction):
        if row.payment_id == payment_id and row.fee:
            platform.put(row.model_copy(update={"fee": 0}))
            posting = next(t for t in platform.rows(Transfer) if t.id == f"trf_{row.id[4:]}")
            legs = tuple(
                leg for leg in posting.legs if not leg.to_account_id.startswith("acc_fees")
            )
            platform.put(posting.model_copy(update={"legs": legs}))
    (payment,) = (each for each in platform.payments() if each.id == payment_id)
    platform.put(payment.model_copy(update={"fee": 0}))


def test_a_file_with_lines_of_every_type_leaves_clearing_and_fees_at_zero(
    platform: Platform, shop: Shop
) -> None:
    sale = shop.paid(amount=1000)
    shop.operate(sale, "refund", amount=1000)
    disputed = shop.paid(amount=1000)
    shop.disputed(disputed, returned=600)
    lost = shop.paid(amount=1000)
    shop.disputed(lost)
    parts = shop.paid(amount=3000, capture_method="manual")
    shop.operate(parts, "capture", amount=800)
    for payment_id in (sale, disputed, lost, parts):
        forget_fees(platform, payment_id)
    charges = {row.payment_id: row for row in of_type(platform, TransactionType.CAPTURE)}
    (refund,) = of_type(platform, TransactionType.REFUND)
    by_processor = References(processor_ids=("unknown", charges[disputed].processor_id or ""))
    euros = {"amount": 950, "fee": 40, "currency": "EUR"}
    lines = [
        line_of(2, charges[sale], fee=59),
        line_of(3, refund),
        read_line(4, references=by_processor, fee=10),
        read_line(5, type=LineType.DISPUTE, amount=-600, fee=15, references=by_processor),
        read_line(6, type=LineType.DISPUTE_REVERSAL, amount=600, references=by_processor),
        line_of(7, charges[lost], **euros, presented_amount=1000, presented_currency="USD"),
        read_line(
            8,
            type=LineType.DISPUTE,
            amount=-600,
            fee=15,
            references=References(payment_id=lost, dispute_id="dp_1"),
        ),
        read_line(9, amount=3000, fee=90, references=References(payment_id=parts)),
        read_line(10, amount=-2200, fee=-60, references=References(payment_id=parts)),
        read_line(11, type=LineType.FEE, amount=-50),
        read_line(12, type=LineType.ADJUSTMENT, amount=20),
        read_line(13, type=LineType.PAYOUT, amount=-800),
    ]
    chunk = settle(platform, shop.merchant, file_of(platform, shop.merchant), lines)
    assert set(statuses(platform).values()) == {LineStatus.MATCHED}
    assert nothing_is_left(platform)
    (delta,) = chunk.deltas.values()
    assert (delta.counts, delta.payout) == ({LineStatus.MATCHED: 12}, {"USD": 800})
    assert [(row.currency, row.settlement_lines) for row in postings(platform)] == [
        ("EUR", (7,)),
        ("USD", (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)),
    ]
    after = {row.payment_id: row for row in of_type(platform, TransactionType.CAPTURE)}
    assert after[sale].learned_fee == 59
    assert shop.payment(parts).fee == 30
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def test_repeated_lines_change_no_line_and_post_nothing(platform: Platform, shop: Shop) -> None:
    shop.paid(amount=1000)
    (capture,) = of_type(platform, TransactionType.CAPTURE)
    lines = [line_of(2, capture), line_of(3, capture, identity="x"), UnreadableLine(4, "broken")]
    settle(platform, shop.merchant, file_of(platform, shop.merchant), lines)
    before = [
        sorted(platform.rows(model), key=str) for model in (SettlementLine, Transfer, Payment)
    ]
    chunk = settle(platform, shop.merchant, file_of(platform, shop.merchant), lines)
    after = [sorted(platform.rows(model), key=str) for model in (SettlementLine, Transfer, Payment)]
    assert after == before
    (delta,) = chunk.deltas.values()
    assert (delta.counts, delta.by_type, delta.open_exceptions) == ({}, {}, 0)


def test_a_corrected_file_reverses_wrong_postings_and_posts_correct_ones(
    platform: Platform, shop: Shop
) -> None:
    shop.paid(amount=1000)
    (capture,) = of_type(platform, TransactionType.CAPTURE)
    shop.paid(amount=500)
    right = [line_of(2, capture), read_line(3, type=LineType.FEE, amount=-60)]
    wrong = [line_of(2, capture), read_line(3, type=LineType.FEE, amount=-50)]
    files = [file_of(platform, shop.merchant) for _ in range(3)]
    chunks = [settle(platform, shop.merchant, files[0], wrong)]
    chunks.append(settle(platform, shop.merchant, files[1], right))
    moved = [replace(line, payout_reference="po_1") for line in right]
    chunks.append(settle(platform, shop.merchant, files[2], moved))
    counts = [delta.counts for delta in by_settlement([c.deltas for c in chunks]).values()]
    assert counts == [{LineStatus.SUPERSEDED: 2}, {LineStatus.MATCHED: 2}]
    costs = [
        leg.amount
        for row in postings(platform)
        for leg in row.legs
        if "receivable" in leg.from_account_id and "fees" in leg.to_account_id
    ]
    assert costs == [50, 10, 60]
    (balance,) = {left for name, left in platform.balances().items() if "clearing" in name}
    assert balance == -500
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


# -------------------------------------------------------------------- concurrency


def test_an_unreadable_line_of_a_file_in_progress_is_superseded_by_a_later_file(
    platform: Platform, shop: Shop
) -> None:
    payment_id = shop.paid(amount=1000)
    (capture,) = shop.transactions("capture")
    first = file_of(platform, shop.merchant)
    settle(platform, shop.merchant, first, [UnreadableLine(2, "fee '1,0O' is not a number")])
    settle(platform, shop.merchant, file_of(platform, shop.merchant), [line_of(2, capture)])
    found = {row.status: row for row in platform.rows(SettlementLine)}
    assert set(found) == {LineStatus.SUPERSEDED, LineStatus.MATCHED}
    assert found[LineStatus.MATCHED].payment_id == payment_id
    assert found[LineStatus.SUPERSEDED].exception_key is None


def test_a_corrected_line_that_is_unreadable_again_becomes_another_row(
    platform: Platform, shop: Shop
) -> None:
    shop.paid(amount=1000)
    (capture,) = shop.transactions("capture")
    unreadable = UnreadableLine(2, "fee '1,0O' is not a number")
    for line in (unreadable, line_of(2, capture), unreadable):
        settle(platform, shop.merchant, file_of(platform, shop.merchant), [line])
    found = sorted(platform.rows(SettlementLine), key=lambda row: row.line)
    statuses = [row.status for row in found]
    assert statuses == [LineStatus.SUPERSEDED, LineStatus.MATCHED, LineStatus.INVALID]
    assert [row.exception_key is None for row in found] == [True, True, False]


def test_of_two_workers_on_one_chunk_one_settles_it(platform: Platform, shop: Shop) -> None:
    lines = sales(platform, shop, 30)
    file = file_of(platform, shop.merchant)
    chunk = chunk_of(platform, file, lines)

    def work() -> SettlementChunk:
        return settle_chunk(platform, shop.merchant, file, chunk, lines)

    outcomes = at_once(work, work)
    assert StaleWrite in {type(each) for each in outcomes}
    (stored,) = platform.rows(SettlementChunk)
    settle_chunk(platform, shop.merchant, file, stored, lines)
    assert set(statuses(platform).values()) == {LineStatus.MATCHED}
    assert nothing_is_left(platform)


def test_two_chunks_with_the_same_payments_settle_each_payment_once(
    platform: Platform, shop: Shop
) -> None:
    sales(platform, shop, 8)
    for row in platform.payments():
        forget_fees(platform, row.id)
    charges = of_type(platform, TransactionType.CAPTURE)
    halves = [
        [
            read_line(
                2 + n + 100 * half,
                identity=f"{half}-{n}",
                amount=600 if half else charge.amount - 600,
                fee=half,
                references=References(payment_id=charge.payment_id),
            )
            for n, charge in enumerate(charges)
        ]
        for half in (0, 1)
    ]
    file = file_of(platform, shop.merchant)
    chunks = [chunk_of(platform, file, lines, n) for n, lines in enumerate(halves)]
    outcomes = at_once(
        *(
            lambda c=chunk, part=lines: settle_chunk(platform, shop.merchant, file, c, part)
            for chunk, lines in zip(chunks, halves, strict=True)
        )
    )
    assert [each for each in outcomes if isinstance(each, Exception)] == []
    assert set(statuses(platform).values()) == {LineStatus.MATCHED}
    assert len(statuses(platform)) == 16
    assert nothing_is_left(platform)
    assert {row.fee for row in platform.payments()} == {1}
    deltas = by_settlement([each.deltas for each in outcomes if isinstance(each, SettlementChunk)])
    (delta,) = deltas.values()
    assert delta.counts == {LineStatus.MATCHED: 16}
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def sales(platform: Platform, shop: Shop, count: int) -> list[ImportedLine]:
    for _ in range(count):
        shop.paid(amount=1000)
    charges = of_type(platform, TransactionType.CAPTURE)
    return [line_of(2 + n, row) for n, row in enumerate(charges)]


class Meddling(Store):
    """A store that calls a function just before its first commit of more than one write."""

    meddle: Callable[[], None] | None = None

    def transact(self, writes: Sequence[Any], **options: Any) -> None:
        meddle = self.__dict__.get("meddle")
        if meddle is not None and len(writes) > 1:
            object.__setattr__(self, "meddle", None)
            meddle()
        super().transact(writes, **options)


def meddling(platform: Platform, meddle: Callable[[], None]) -> Store:
    store = Meddling(
        platform.store.client, platform.tables, platform.store.codec, lambda: 60.0, platform.outside
    )
    object.__setattr__(store, "meddle", meddle)
    return store


@pytest.mark.parametrize("model", [Transaction, Payment, SettlementLine, SettlementIdentity])
def test_rows_that_change_after_they_were_read_are_read_and_evaluated_again(
    platform: Platform, shop: Shop, model: type[Any]
) -> None:
    """Each row of the commit in turn; for a repeated line, all of them."""
    sale = shop.paid(amount=1000)
    forget_fees(platform, sale)
    (capture,) = of_type(platform, TransactionType.CAPTURE)
    settle(platform, shop.merchant, file_of(platform, shop.merchant), [line_of(2, capture, fee=20)])
    met: list[str] = []

    def meddle() -> None:
        (row,) = platform.rows(model)
        changes = (
            {"file_id": "fil_0"} if model is SettlementIdentity else {"version": row.version + 1}
        )
        platform.put(row.model_copy(update=changes))
        met.append(TableSchema.of(model).name)

    file = file_of(platform, shop.merchant)
    line = line_of(2, capture, fee=30)
    settle(platform, shop.merchant, file, [line], store=meddling(platform, meddle))
    assert met == [TableSchema.of(model).name]
    assert nothing_is_left(platform)
    assert platform.payment().fee == 30
    (row,) = platform.rows(SettlementLine)
    assert [booking.flows.fee for booking in row.bookings] == [20, 10]


def test_a_worker_stops_when_another_has_passed_its_checkpoint(
    platform: Platform, shop: Shop
) -> None:
    lines = sales(platform, shop, 2)
    file = file_of(platform, shop.merchant)
    chunk = chunk_of(platform, file, lines)

    def meddle() -> None:
        settle_chunk(platform, shop.merchant, file, chunk, lines)

    with pytest.raises(StaleWrite):
        settle_chunk(platform, shop.merchant, file, chunk, lines, store=meddling(platform, meddle))
    assert len(postings(platform)) == 1
    assert nothing_is_left(platform)


def test_more_lines_than_fit_into_one_transaction_are_settled_in_several(
    platform: Platform, shop: Shop
) -> None:
    lines = sales(platform, shop, 50)
    chunk = settle(platform, shop.merchant, file_of(platform, shop.merchant), lines)
    assert chunk.version > 2
    taken = [len(row.settlement_lines) for row in postings(platform)]
    assert sum(taken) == 50
    assert max(taken) <= 33
    assert nothing_is_left(platform)
    (settlement,) = platform.rows(Settlement)
    assert settlement.file_ids == (chunk.file_id,)


def test_rows_of_another_merchant_are_not_matched(platform: Platform, shop: Shop) -> None:
    other = Shop(platform)
    other.paid(amount=1000)
    (capture,) = of_type(platform, TransactionType.CAPTURE)
    by_processor = References(processor_ids=(capture.processor_id or "",))
    lines = [line_of(2, capture), read_line(3, references=by_processor)]
    settle(platform, shop.merchant, file_of(platform, shop.merchant), lines)
    assert set(statuses(platform).values()) == {LineStatus.UNEXPECTED}
    assert postings(platform) == []
