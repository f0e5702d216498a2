"""Lines that are repeated, corrected, or depend on each other."""

from __future__ import annotations

from dataclasses import replace

from runtime.payments.posting_ids import charge_transaction_id
from runtime.reconciliation.importers.line import References, UnreadableLine
from runtime.reconciliation.matching.judgement import charges_of
from runtime.reconciliation.settlements.models import (
    LineStatus,
    LineType,
    Resolution,
    ResolutionAction,
    SettlementFormat,
    SettlementLine,
)
from tests.support.reconciliation.batches import CONTEXT, read_line
from tests.support.reconciliation.books import SettlementBooks
from tests.support.reconciliation.judged_lines import capture, dispute, judged

# -------------------------------------------------------------------- repeated lines


def test_a_repeated_matched_line_changes_nothing() -> None:
    books = SettlementBooks()
    line = capture(books.pay(1000))
    before = judged(books, line)
    assert judged(books, line, file_id="fil_2") == before


def test_a_repeated_resolved_line_stays_resolved() -> None:
    books = SettlementBooks()
    line = capture(books.pay(1000), amount=900)
    row = judged(books, line)
    accepted = Resolution(
        action=ResolutionAction.ACCEPT, note="n", by="u", at="2026-03-15T12:00:00.000Z"
    )
    row = row.model_copy(update={"resolution": accepted})
    books.found.lines[row.settlement_id, row.line] = row
    books.settle("fil_2", [line])
    assert books.line(line.identity) == row


def test_an_older_file_processed_late_changes_nothing() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    after = judged(books, capture(payment_id), file_id="fil_2")
    judged(books, capture(payment_id, amount=900), file_id="fil_1")
    assert books.lines() == [after]


def test_a_line_that_moves_to_another_payout_is_superseded_in_the_old_one() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, fee=29)
    line = capture(payment_id, fee=29)
    first = judged(books, line)
    row = judged(books, replace(line, payout_reference="po_1"), file_id="fil_2")
    old = books.found.lines[first.settlement_id, first.line]
    assert (old.status, row.status) == (LineStatus.SUPERSEDED, LineStatus.MATCHED)
    assert old.reason == f"a later file has it in {row.settlement_id}, line 2"
    (transaction,) = books.found.transactions.values()
    assert transaction.settlement_id == row.settlement_id
    assert books.unsettled() == {}


def test_an_unreadable_line_is_superseded_once_it_can_be_read() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    books.settle("fil_1", [UnreadableLine(2, "net is not amount less fee")])
    (row,) = books.lines()
    assert (row.status, row.reason) == (LineStatus.INVALID, "net is not amount less fee")
    books.settle("fil_2", [UnreadableLine(2, "net is not amount less fee")])
    assert books.lines() == [row]
    books.settle("fil_3", [capture(payment_id)])
    assert sorted(each.status for each in books.lines()) == ["matched", "superseded"]
    books.deltas_must_add_up()


def test_a_corrected_line_that_is_unreadable_again_is_another_exception() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    books.settle("fil_1", [UnreadableLine(2, "net is not amount less fee")])
    books.settle("fil_2", [capture(payment_id)])
    (superseded,) = [row for row in books.lines() if row.status is LineStatus.SUPERSEDED]
    books.settle("fil_3", [UnreadableLine(2, "net is not amount less fee")])
    assert sorted(each.status for each in books.lines()) == ["invalid", "matched", "superseded"]
    assert superseded in books.lines()
    books.settle("fil_4", [capture(payment_id)])
    statuses = sorted(each.status for each in books.lines())
    assert statuses == ["matched", "superseded", "superseded"]
    books.deltas_must_add_up()


def test_a_line_without_a_counterpart_books_itself() -> None:
    books = SettlementBooks()
    judged(books, read_line(2, type=LineType.FEE, amount=-50))
    judged(books, read_line(3, type=LineType.ADJUSTMENT, amount=70, fee=5))
    judged(books, read_line(4, type=LineType.PAYOUT, amount=-15))
    assert {row.status for row in books.lines()} == {LineStatus.MATCHED}
    assert books.unsettled() == {}
    assert [len(row.bookings) for row in books.lines()] == [1, 1, 0]
    row = judged(books, read_line(5, type=LineType.FEE, amount=-50, status="pending"))
    assert row.status is LineStatus.STATUS_MISMATCH


def test_a_missing_transaction_is_matched_by_a_later_line() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    (name,) = books.found.transactions
    place = books.place("unsettled", "fil_0")
    missing = SettlementLine(
        settlement_bucket="b",
        settlement_id=place.settlement.id,
        line=1 << 51,
        status=LineStatus.MISSING,
        merchant_id="mer_1",
        created_at="2026-03-15T12:00:00.000Z",
        updated_at="2026-03-15T12:00:00.000Z",
        **CONTEXT.stamp(),
    )
    books.found.lines[place.settlement.id, missing.line] = missing
    was = {"missing_in": place.settlement.id, "missing_line": missing.line}
    books.found.transactions[name] = books.found.transactions[name].model_copy(update=was)
    books.settle("fil_1", [capture(payment_id)])
    found = books.found.lines[place.settlement.id, missing.line]
    assert (found.status, found.exception_key) == (LineStatus.MATCHED, None)
    assert (found.reason or "").startswith("found in set_")
    assert books.deltas[-1][place.settlement.id].open_exceptions == -1


# -------------------------------------------------------------------- our own layout


def canonical(name: str, books: SettlementBooks | None = None) -> SettlementBooks:
    books = books or SettlementBooks()
    books.layout, books.file_name = SettlementFormat.CANONICAL, name
    return books


def test_a_corrected_file_with_another_name_supersedes_wrong_lines() -> None:
    books = canonical("16.csv")
    line = capture(books.pay(1000), identity="capture:txn_1")
    wrong = judged(books, replace(line, amount=900, net=900))
    canonical("16-corrected.csv", books)
    row = judged(books, line, file_id="fil_2")
    old = books.found.lines[wrong.settlement_id, wrong.line]
    assert (old.status, row.status) == (LineStatus.SUPERSEDED, LineStatus.MATCHED)
    assert row.settlement_id != old.settlement_id


def test_a_negative_line_without_a_type_about_a_refund_is_that_refunds() -> None:
    books = canonical("16.csv")
    payment_id = books.pay(1000)
    named = References(payment_id, books.refund(payment_id, 400))
    line = capture(payment_id, 3, amount=-400, references=named)
    row = judged(books, capture(payment_id), line)
    assert (row.status, row.type) == (LineStatus.MATCHED, LineType.REFUND)
    assert judged(books, line, file_id="fil_2") == row
    assert books.unsettled() == {}


def test_a_line_paid_out_by_two_files_is_a_duplicate_in_the_second() -> None:
    books = canonical("16.csv")
    line = capture(books.pay(1000), identity="capture:txn_1")
    first = judged(books, line)
    canonical("17.csv", books)
    for file_id in ("fil_2", "fil_3"):
        books.settle(file_id, [line])
        (second,) = (row for row in books.lines() if row.settlement_id != first.settlement_id)
        assert second.status is LineStatus.DUPLICATE
        assert second.reason == f"{first.settlement_id}, line 2, is the same already"
        assert second.transaction_id == first.transaction_id
    assert books.found.lines[first.settlement_id, 2] == first
    books.deltas_must_add_up()


def test_a_duplicate_is_matched_once_the_first_files_line_changes() -> None:
    books = canonical("16.csv")
    payment_id = books.pay(1000)
    line = capture(payment_id, identity="capture:txn_1")
    first = judged(books, line)
    canonical("17.csv", books)
    books.settle("fil_2", [line])
    canonical("16.csv", books)
    books.settle("fil_3", [replace(line, amount=900, net=900)])
    assert {row.status for row in books.lines()} == {"amount_mismatch", "matched"}
    assert books.found.lines[first.settlement_id, 2].status is LineStatus.AMOUNT_MISMATCH
    assert books.unsettled() == {}
    books.deltas_must_add_up()


def test_lines_without_an_id_belong_to_their_file() -> None:
    books = canonical("16.csv")
    line = read_line(2, type=LineType.FEE, amount=-50, identity="content:abc")
    books.settle("fil_1", [line])
    canonical("17.csv", books)
    books.settle("fil_2", [line])
    assert [row.status for row in books.lines()] == ["matched", "matched"]


def test_of_lines_with_one_id_in_a_file_all_but_the_first_are_duplicates() -> None:
    books = canonical("16.csv")
    line = capture(books.pay(1000), identity="capture:txn_1")
    twice = replace(line, number=3, identity="capture:txn_1#2")
    books.duplicates = frozenset({3})
    for file_id in ("fil_1", "fil_2"):
        books.settle(file_id, [twice, line])
        assert [row.status for row in books.lines()] == ["matched", "duplicate"]


# -------------------------------------------------------------------- dependent lines


def test_a_duplicate_is_matched_once_the_conflicting_line_is_about_another_payment() -> None:
    books = SettlementBooks()
    first, second = books.pay(1000), books.pay(1000)
    judged(books, capture(first), capture(first, 3))
    books.settle("fil_2", [capture(second)])
    assert {row.status for row in books.lines()} == {LineStatus.MATCHED}
    assert books.unsettled() == {}


def test_a_reversal_is_evaluated_again_when_its_disputes_fee_is_corrected() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    books.dispute(payment_id, "dp_1", amount=600, withdrawn=600, returned=600)
    judged(books, capture(payment_id), dispute(payment_id, 3, -600, 14))
    books.settle("fil_2", [dispute(payment_id, 4, 600, -15)])
    assert books.line("line-4").status is LineStatus.FEE_MISMATCH
    books.settle("fil_2", [dispute(payment_id, 3, -600, 15)])
    assert {row.status for row in books.lines()} == {LineStatus.MATCHED}
    assert books.unsettled() == {}


def test_a_dispute_is_evaluated_again_with_its_reversal_in_one_batch() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    books.dispute(payment_id, "dp_1", amount=600, withdrawn=600, returned=250)
    taken, back = dispute(payment_id, 3, -600), dispute(payment_id, 4, 250)
    books.settle("fil_1", [replace(taken, type=None), replace(back, fee=1, net=249)])
    books.settle("fil_2", [capture(payment_id), taken, back])
    assert {row.status for row in books.lines()} == {LineStatus.MATCHED}
    assert books.unsettled() == {}


def test_a_learned_dispute_fee_is_reversed_when_another_line_is_corrected() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    books.dispute(payment_id, "dp_1", amount=600, withdrawn=1200, returned=600, fee=15)
    back, again = dispute(payment_id, 4, 600), dispute(payment_id, 5, -600)
    judged(books, capture(payment_id), back, replace(again, fee=15, net=-615))
    judged(books, dispute(payment_id, 3, -600, 15))
    disputes = books.found.payments[payment_id].disputes or {}
    assert (disputes["dp_1"].settled_fee, disputes["dp_1"].learned_fee) == (15, 15)
    judged(books, again, file_id="fil_2")
    disputes = books.found.payments[payment_id].disputes or {}
    assert (disputes["dp_1"].settled_fee, disputes["dp_1"].learned_fee) == (15, 0)
    assert {row.status for row in books.lines()} == {LineStatus.MATCHED}
    assert books.unsettled() == {}


def test_a_group_with_a_wrong_fee_is_matched_once_the_fee_is_corrected() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, parts=[600], fee=20)
    judged(books, capture(payment_id, fee=34), capture(payment_id, 3, amount=-400, fee=-15))
    assert books.line("line-3").status is LineStatus.FEE_MISMATCH
    books.settle("fil_2", [capture(payment_id, 3, amount=-400, fee=-15)])
    books.settle("fil_2", [capture(payment_id, fee=35)])
    assert {row.status for row in books.lines()} == {LineStatus.MATCHED}
    assert books.unsettled() == {}


def test_a_refund_of_an_unknown_transaction_is_unexpected_whatever_its_other_references() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    named = References("", "txn_x", processor_ids=(f"pi_{payment_id}",))
    row = judged(books, read_line(2, type=LineType.REFUND, amount=-10, references=named))
    assert row.status is LineStatus.UNEXPECTED


def test_charges_and_settlements_keep_the_order_of_the_lines() -> None:
    books = SettlementBooks()
    payments = [books.pay(1000) for _ in range(8)]
    lines = [judged(books, capture(each, n, amount=1000)) for n, each in enumerate(payments, 2)]
    charges = tuple(charge_transaction_id(each) for each in payments)
    assert charges_of(*lines, None, lines[0]) == charges
    assert charges_of(*reversed(lines)) == charges[::-1]
    place = books.place("po_1", "fil_9")
    assert place.settlement_ids == (place.settlement.id, place.file_settlement)
    assert books.place(None, "fil_9").settlement_ids == (place.file_settlement,)
