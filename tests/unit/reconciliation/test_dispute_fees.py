"""The fee of a dispute's line: what it may be, and what it moves in the merchant's receivable."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.payments.models import Dispute, Payment
from runtime.reconciliation.importers.line import ImportedLine
from runtime.reconciliation.settlements.models import LineStatus
from tests.support.reconciliation.books import SettlementBooks
from tests.support.reconciliation.judged_lines import capture, dispute, judged

AMOUNT = 600
RECEIVABLE = "acc_receivable_mer_1_USD"


def disputed(
    fee: int, *, returned: int = AMOUNT, taken: int = AMOUNT
) -> tuple[SettlementBooks, str]:
    """Books with a settled payment whose dispute is booked, and the payment's id."""
    books = SettlementBooks()
    payment_id = books.pay(1000)
    judged(books, capture(payment_id))
    books.dispute(payment_id, "dp_1", amount=AMOUNT, withdrawn=taken, returned=returned, fee=fee)
    return books, payment_id


def known(books: SettlementBooks) -> Dispute:
    (payment,) = books.found.payments.values()
    return (payment.disputes or {})["dp_1"]


def statuses(books: SettlementBooks) -> list[LineStatus]:
    return [row.status for row in books.lines()[1:]]


@pytest.mark.parametrize("fee", [16, 30, 600])
def test_a_line_with_more_than_the_booked_fee_settles_nothing(fee: int) -> None:
    books, payment_id = disputed(15)
    before = books.unsettled()
    row = judged(books, dispute(payment_id, 3, -AMOUNT, fee))
    assert row.status is LineStatus.FEE_MISMATCH
    assert row.reason == f"expected fee 0.15 USD, the file says {fee / 100:.2f} USD"
    assert books.unsettled() == before


@pytest.mark.parametrize("fee", [16, 600])
def test_a_corrected_fee_settles_a_line_that_had_more_than_the_booked_one(fee: int) -> None:
    books, payment_id = disputed(15)
    judged(books, dispute(payment_id, 3, -AMOUNT, fee), dispute(payment_id, 4, AMOUNT))
    assert statuses(books) == [LineStatus.FEE_MISMATCH, LineStatus.MATCHED]
    judged(books, dispute(payment_id, 3, -AMOUNT, 15), file_id="fil_2")
    assert statuses(books) == [LineStatus.MATCHED, LineStatus.MATCHED]
    assert books.unsettled() == {}


def test_accepting_more_than_the_booked_fee_is_at_the_merchants_cost() -> None:
    books, payment_id = disputed(15)
    before = books.balances[RECEIVABLE]
    row = judged(books, dispute(payment_id, 3, -AMOUNT, 600))
    books.decide(row.identity or "", "accept")
    assert books.balances[RECEIVABLE] == before + AMOUNT + 15  # of 1200, 585 is the cost


@pytest.mark.parametrize("back_first", [False, True])
@pytest.mark.parametrize(("taken", "back"), [(15, 0), (0, 15), (15, -15), (30, -15), (0, 0)])
def test_lines_whose_fees_come_to_the_booked_one_settle_the_dispute(
    taken: int, back: int, back_first: bool
) -> None:
    """Of a fee that was returned in part, the line that took it is an exception if it is first."""
    books, payment_id = disputed(taken + back)
    lines = [dispute(payment_id, 3, -AMOUNT, taken), dispute(payment_id, 4, AMOUNT, back)]
    judged(books, *(lines[::-1] if back_first else lines))
    if (taken, back_first) == (30, False):
        assert statuses(books) == [LineStatus.FEE_MISMATCH, LineStatus.MATCHED]
        judged(books, lines[0], file_id="fil_2")
    assert statuses(books) == [LineStatus.MATCHED, LineStatus.MATCHED]
    assert books.unsettled() == {}
    assert (known(books).settled_fee, known(books).learned_fee) == (taken + back, 0)


def test_a_fee_that_a_file_returns_first_is_not_booked_when_the_dispute_is_read_again() -> None:
    books, payment_id = disputed(0)
    before = books.balances[RECEIVABLE]
    judged(books, dispute(payment_id, 4, AMOUNT, -15))
    assert books.balances[RECEIVABLE] == before - AMOUNT
    assert (known(books).settled_fee, known(books).learned_fee) == (0, -15)
    (payment,) = books.found.payments.values()
    assert Payment.model_validate(payment.model_dump()) == payment  # it can be read again
    books.dispute(payment_id, "dp_1", amount=AMOUNT, withdrawn=AMOUNT, returned=AMOUNT)
    assert (known(books).fee, books.balances[RECEIVABLE]) == (0, before - AMOUNT)
    judged(books, dispute(payment_id, 3, -AMOUNT, 15))
    assert (known(books).settled_fee, known(books).learned_fee) == (0, 0)
    assert books.unsettled() == {}


@pytest.mark.parametrize("fee", [0, 15, 600])
def test_a_line_that_lacks_what_another_has_returned_settles_nothing(fee: int) -> None:
    """15 are booked, and the reversal returns 15 more than the file has charged."""
    books, payment_id = disputed(15)
    judged(books, dispute(payment_id, 4, AMOUNT, -15))
    row = judged(books, dispute(payment_id, 3, -AMOUNT, fee))
    assert row.status is LineStatus.FEE_MISMATCH
    assert row.reason == f"expected fee 0.30 USD, the file says {fee / 100:.2f} USD"
    row = judged(books, dispute(payment_id, 3, -AMOUNT, 30), file_id="fil_2")
    assert (row.status, row.reason) == (LineStatus.MATCHED, None)
    assert books.unsettled() == {}


def test_a_line_keeps_no_fee_that_another_returned_before_it_was_corrected() -> None:
    books, payment_id = disputed(15)
    before = books.balances[RECEIVABLE]
    judged(books, dispute(payment_id, 4, AMOUNT, -600), dispute(payment_id, 3, -AMOUNT, 600))
    judged(books, dispute(payment_id, 4, AMOUNT, 0), file_id="fil_2")
    assert books.balances[RECEIVABLE] <= before + 15


def test_a_fee_returned_before_its_file_came_is_learned_until_the_file_returns_it() -> None:
    books, payment_id = disputed(0)
    before = books.balances[RECEIVABLE]
    judged(books, dispute(payment_id, 3, -AMOUNT, 15))
    assert books.balances[RECEIVABLE] == before + AMOUNT
    assert (known(books).settled_fee, known(books).learned_fee) == (0, 15)
    judged(books, dispute(payment_id, 4, AMOUNT, -15))
    assert (known(books).settled_fee, known(books).learned_fee) == (0, 0)
    assert books.unsettled() == {}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("fee", [0, 10])
def test_a_learned_fee_that_was_returned_must_be_in_the_corrected_line(
    fee: int, late: bool
) -> None:
    """Both lines were matched, and a later file has less in the one with the fee."""
    books, payment_id = disputed(0, returned=AMOUNT if late else 0)
    judged(books, dispute(payment_id, 3, -AMOUNT, 15))
    books.dispute(payment_id, "dp_1", amount=AMOUNT, withdrawn=AMOUNT, returned=AMOUNT)
    judged(books, dispute(payment_id, 4, AMOUNT, -15))
    row = judged(books, dispute(payment_id, 3, -AMOUNT, fee), file_id="fil_2")
    assert row.status is LineStatus.FEE_MISMATCH
    assert row.reason == f"expected fee 0.15 USD, the file says {fee / 100:.2f} USD"
    (payment,) = books.found.payments.values()
    assert Payment.model_validate(payment.model_dump()) == payment  # it can be read again
    judged(books, dispute(payment_id, 3, -AMOUNT, 15), file_id="fil_3")
    assert statuses(books) == [LineStatus.MATCHED, LineStatus.MATCHED]
    assert books.unsettled() == {}


FEES = st.one_of(st.sampled_from((0, 15, -15, 16, AMOUNT, -AMOUNT)), st.integers(-700, 700))


@given(st.sampled_from((0, 15)), st.lists(st.tuples(st.integers(3, 6), FEES), max_size=8))
@settings(max_examples=150, deadline=None)
def test_no_fees_of_lines_raise_the_receivable_above_what_was_taken(
    booked: int, said: list[tuple[int, int]]
) -> None:
    """Lines 3 to 6 say anything, also again with another fee. All that moves is booked amounts."""
    books, payment_id = disputed(booked, taken=2 * AMOUNT)
    before = books.balances[RECEIVABLE]

    def line(number: int, fee: int) -> ImportedLine:
        return dispute(payment_id, number, AMOUNT if number == 5 else -AMOUNT, fee)

    for position, (number, fee) in enumerate(said):
        judged(books, line(number, fee), file_id=f"fil_{position + 2}")
        settled = known(books)
        amounts = settled.settled_withdrawn - settled.settled_returned
        assert books.balances[RECEIVABLE] <= before + amounts + booked
