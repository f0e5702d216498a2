"""Single lines: their matching transaction, their status, and their bookings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runtime.payments.transaction_models import TransactionStatus
from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.settlements.models import (
    LineStatus,
    LineType,
    Resolution,
    ResolutionAction,
    SettlementLine,
)
from tests.support.reconciliation.batches import read_line
from tests.support.reconciliation.books import SettlementBooks
from tests.support.reconciliation.judged_lines import capture, dispute, judged


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"amount": 999}, "amount_mismatch", "expected amount 10.00 USD, the file says 9.99 USD"),
        ({"currency": "EUR"}, "currency_mismatch", "expected USD, the file says EUR"),
        ({"fee": 30}, "fee_mismatch", "expected fee 0.29 USD, the file says 0.30 USD"),
        ({"status": "pending"}, "status_mismatch", "status is 'pending'; only 'settled'"),
        ({"type": None, "category": "reserve"}, "unclassified", "category 'reserve' is not known"),
        ({"type": LineType.REFUND}, "unexpected", "no refund of pay_"),
        ({"references": References()}, "unexpected", "the line names no payment"),
        ({"references": References(payment_id="pay_x")}, "unexpected", "no payment pay_x is known"),
        (
            {"references": References(transaction_id="txn_x")},
            "unexpected",
            "no transaction txn_x is known",
        ),
        (
            {"references": References(processor_ids=("pi_x", "ch_x"))},
            "unexpected",
            "by the processor's id pi_x or ch_x",
        ),
        (
            {"type": LineType.DISPUTE, "amount": -1000},
            "status_mismatch",
            "is not booked here yet; put the file into the bucket again when it is",
        ),
    ],
)
def test_a_line_that_differs_has_a_reason_and_books_nothing(
    changes: dict[str, Any], status: str, reason: str
) -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, fee=29)
    row = judged(books, capture(payment_id, **{"amount": 1000, "fee": 29, **changes}))
    assert row.status == status
    assert reason in (row.reason or "")
    assert row.bookings == ()
    (transaction,) = books.found.transactions.values()
    assert transaction.status is TransactionStatus.SUCCEEDED


def test_a_mismatch_stores_the_expected_values() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, fee=29)
    row = judged(books, capture(payment_id, amount=999, fee=29))
    assert row.expected is not None
    assert row.expected.model_dump() == {
        "amount": 1000,
        "fee": 29,
        "currency": "USD",
        "status": "succeeded",
    }
    assert row.payment_id == payment_id
    assert (row.exception_bucket or "").startswith("mer_1#")
    assert (row.exception_key or "").startswith("amount_mismatch#2026-03-15#set_")


def test_a_second_line_about_a_settled_capture_is_a_duplicate() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    row = judged(books, capture(payment_id), capture(payment_id, 3))
    assert (row.status, row.reason) == (
        LineStatus.DUPLICATE,
        f"already settled by {row.settlement_id}, line 2",
    )


def test_a_failed_or_another_transaction_is_a_status_mismatch() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    (name,) = books.found.transactions
    failed = {"status": TransactionStatus.FAILED}
    books.found.transactions[name] = books.found.transactions[name].model_copy(update=failed)
    row = judged(books, capture(payment_id))
    assert row.status is LineStatus.STATUS_MISMATCH
    assert row.reason == "ours is a capture that is failed, not a capture that succeeded"
    named = References(transaction_id=name)
    row = judged(books, capture(payment_id, 3, type=LineType.REFUND, references=named))
    assert row.reason == "ours is a capture that is failed, not a refund"


def test_a_transaction_of_another_payment_than_the_lines_is_unexpected() -> None:
    books = SettlementBooks()
    books.pay(1000)
    (name,) = books.found.transactions
    row = judged(books, capture("", references=References("pay_other", name)))
    assert row.status is LineStatus.UNEXPECTED
    assert row.reason == f"no transaction {name} of payment pay_other is known here"


# -------------------------------------------------------------------- fees


@pytest.mark.parametrize("fee", [1, 999, 1000])
def test_an_unknown_fee_is_learned_up_to_the_amount(fee: int) -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    row = judged(books, capture(payment_id, fee=fee))
    (transaction,) = books.found.transactions.values()
    assert row.status is LineStatus.MATCHED
    assert (transaction.fee, transaction.learned_fee) == (fee, fee)
    assert books.found.payments[payment_id].fee == fee
    assert books.unsettled() == {}


@pytest.mark.parametrize("fee", [-1, 1001])
def test_an_unknown_fee_above_the_amount_is_not_learned(fee: int) -> None:
    books = SettlementBooks()
    row = judged(books, capture(books.pay(1000), fee=fee))
    assert row.status is LineStatus.FEE_MISMATCH
    assert "no fee was known" in (row.reason or "")


def test_a_learned_fee_is_replaced_when_a_later_file_has_another() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    judged(books, capture(payment_id, fee=20))
    judged(books, capture(payment_id, fee=30), file_id="fil_2")
    (transaction,) = books.found.transactions.values()
    assert (transaction.fee, transaction.learned_fee) == (30, 30)
    assert (books.found.payments[payment_id].fee, books.unsettled()) == (30, {})
    assert [step.status for step in transaction.audit_trail] == [
        "succeeded",
        "settled",
        "succeeded",
        "settled",
    ]


# -------------------------------------------------------------------- tolerance and exchange


@pytest.mark.parametrize(("amount", "fee"), [(1002, 29), (998, 29), (1000, 31), (1001, 28)])
def test_a_difference_within_the_tolerance_is_charged_to_the_merchant(
    amount: int, fee: int
) -> None:
    books = SettlementBooks(tolerance=2)
    row = judged(books, capture(books.pay(1000, fee=29), amount=amount, fee=fee))
    assert row.status is LineStatus.MATCHED
    assert "within the merchant's tolerance" in (row.reason or "")
    assert row.expected is not None
    assert (row.expected.amount, row.expected.fee) == (1000, 29)
    assert books.unsettled() == {}


def test_a_difference_above_the_tolerance_is_a_mismatch() -> None:
    books = SettlementBooks(tolerance=2)
    row = judged(books, capture(books.pay(1000, fee=29), amount=1003, fee=29))
    assert row.status is LineStatus.AMOUNT_MISMATCH


def test_a_line_in_another_currency_is_compared_by_the_customers_amount() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    paid = {"presented_amount": 1000, "presented_currency": "USD"}
    row = judged(books, capture(payment_id, amount=920, fee=30, currency="EUR", **paid))
    assert row.status is LineStatus.MATCHED
    assert {each.currency for each in row.bookings} == {"USD", "EUR"}
    assert books.unsettled() == {}
    assert books.found.payments[payment_id].fee == 0


def test_a_wrong_customers_amount_is_a_mismatch() -> None:
    books = SettlementBooks()
    paid = {"presented_amount": 999, "presented_currency": "USD"}
    row = judged(books, capture(books.pay(1000), amount=920, currency="EUR", **paid))
    assert row.status is LineStatus.AMOUNT_MISMATCH
    assert row.reason is not None
    assert row.reason.startswith("expected amount 10.00 USD, the file says 9.99 USD")


# -------------------------------------------------------------------- several lines of a payment


def test_a_full_charge_and_its_reversal_together_match_a_partial_capture() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, parts=[600])
    first = judged(books, capture(payment_id, fee=35))
    assert first.status is LineStatus.AMOUNT_MISMATCH
    assert f"other lines of {payment_id} may make it up" in (first.reason or "")
    second = judged(books, capture(payment_id, 3, amount=-400, fee=-15))
    assert {row.status for row in books.lines()} == {LineStatus.MATCHED}
    assert books.line("line-2").reason == f"together with {second.settlement_id}, line 3"
    assert books.found.payments[payment_id].fee == 20
    assert books.unsettled() == {}


def test_a_reversal_before_its_charge_waits_too() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, parts=[600])
    judged(books, capture(payment_id, amount=-400), capture(payment_id, 3))
    assert {row.status for row in books.lines()} == {LineStatus.MATCHED}


def test_a_group_that_changes_is_separated_and_combined_again() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, parts=[600])
    judged(books, capture(payment_id), capture(payment_id, 3, amount=-400))
    judged(books, capture(payment_id, 3, amount=-300), file_id="fil_2")
    assert {row.status for row in books.lines()} == {LineStatus.AMOUNT_MISMATCH}
    assert books.unsettled() != {}
    judged(books, capture(payment_id, 3, amount=-400), file_id="fil_3")
    assert {row.status for row in books.lines()} == {LineStatus.MATCHED}
    assert books.unsettled() == {}


def test_a_line_that_identifies_a_capture_is_never_combined_with_others() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    (name,) = books.found.transactions
    named = References(payment_id=payment_id, transaction_id=name)
    judged(books, capture(payment_id, amount=600, references=named))
    judged(books, capture(payment_id, 3, amount=400, references=named))
    assert {row.status for row in books.lines()} == {LineStatus.AMOUNT_MISMATCH}


def test_a_resolved_line_no_longer_waits_for_others() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, parts=[600])
    row = judged(books, capture(payment_id))
    ignored = Resolution(
        action=ResolutionAction.IGNORE, note="n", by="u", at="2026-03-15T12:00:00.000Z"
    )
    key = (row.settlement_id, row.line)
    books.found.lines[key] = row.model_copy(update={"resolution": ignored})
    other = judged_again(books, capture(payment_id, 3, amount=-400))
    assert other.status is LineStatus.AMOUNT_MISMATCH


def judged_again(books: SettlementBooks, line: ImportedLine) -> SettlementLine:
    books.settle("fil_1", [line])
    return books.line(line.identity)


# -------------------------------------------------------------------- refunds and disputes


def test_a_refund_that_failed_before_it_was_settled_has_two_lines() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    refund_id = books.refund(payment_id, 300, came_back=True)
    named = References(transaction_id=refund_id)
    judged(
        books,
        capture(payment_id),
        read_line(3, type=LineType.REFUND, amount=-300, references=named),
        read_line(4, type=LineType.REFUND_FAILURE, amount=300, references=named),
    )
    assert {row.status for row in books.lines()} == {LineStatus.MATCHED}
    refund = books.found.transactions[refund_id]
    assert refund.status is TransactionStatus.FAILED
    assert None not in (refund.settlement_id, refund.return_settlement_id)
    assert books.unsettled() == {}


def test_a_refund_failure_not_booked_yet_is_matched_when_the_file_is_repeated() -> None:
    books = SettlementBooks()
    refund_id = books.refund(books.pay(1000), 300)
    named = References(transaction_id=refund_id)
    line = read_line(4, type=LineType.REFUND_FAILURE, amount=300, references=named)
    row = judged(books, line)
    assert row.status is LineStatus.STATUS_MISMATCH
    assert "that it came back is not booked yet" in (row.reason or "")
    books.come_back(refund_id)
    assert judged(books, line, file_id="fil_2").status is LineStatus.MATCHED
    twice = replace(line, number=5, identity="other")
    assert judged(books, twice, file_id="fil_2").status is LineStatus.DUPLICATE


def test_a_dispute_is_settled_line_by_line_as_it_proceeds() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    books.dispute(payment_id, "dp_1", amount=600, withdrawn=600, fee=15)
    judged(books, capture(payment_id), dispute(payment_id, 3, -600, 15))
    assert books.unsettled() == {}
    row = judged(books, dispute(payment_id, 4, 250, -15))
    assert row.status is LineStatus.STATUS_MISMATCH
    assert "nothing was returned yet" in (row.reason or "")
    books.dispute(payment_id, "dp_1", amount=600, withdrawn=600, returned=250)
    row = judged(books, dispute(payment_id, 4, 250, -15), file_id="fil_2")
    assert row.status is LineStatus.MATCHED
    assert books.unsettled() == {}
    row = judged(books, dispute(payment_id, 5, 250), file_id="fil_2")
    assert (row.status, row.reason) == (
        LineStatus.DUPLICATE,
        "what is booked of dispute dp_1 is settled",
    )


def test_a_dispute_fee_first_reported_by_the_file_is_not_booked_again() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    books.dispute(payment_id, "dp_1", amount=600, withdrawn=600)
    row = judged(books, capture(payment_id), dispute(payment_id, 3, -600, 15))
    assert row.status is LineStatus.MATCHED
    disputes = books.found.payments[payment_id].disputes or {}
    assert (disputes["dp_1"].fee, disputes["dp_1"].learned_fee) == (0, 15)
    books.dispute(payment_id, "dp_1", amount=600, withdrawn=600, fee=15)
    assert books.unsettled() == {}


def test_a_dispute_of_another_amount_is_a_mismatch() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    books.dispute(payment_id, "dp_1", amount=600, withdrawn=600)
    row = judged(books, dispute(payment_id, 3, -599))
    assert row.status is LineStatus.AMOUNT_MISMATCH
    assert row.reason == "expected amount -6.00 USD, the file says -5.99 USD"


def test_without_a_dispute_id_the_only_dispute_of_the_payment_matches() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    books.dispute(payment_id, "dp_1", amount=600, withdrawn=600)
    line = replace(dispute(payment_id, 3, -600), references=References(payment_id=payment_id))
    row = judged(books, line)
    assert (row.status, row.dispute_id) == (LineStatus.MATCHED, "dp_1")
