"""Unusual files, orders and resolutions: nothing is settled partially, twice, or irreversibly."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from runtime.core.errors import ActionNotApplicable
from runtime.payments.transaction_models import TransactionStatus
from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.settlements.models import LineType
from runtime.verification.payments.rules import PaymentFacts, TransactionFacts, totals_that_differ
from runtime.verification.settlements.rules import (
    LineFacts,
    line_contradictions,
    settled_nets,
    settling,
)
from tests.support.reconciliation.batches import read_line
from tests.support.reconciliation.books import SettlementBooks


def about(payment_id: str, number: int, amount: int, **changes: Any) -> ImportedLine:
    return read_line(
        number, **{"amount": amount, "references": References(payment_id=payment_id), **changes}
    )


def statuses(books: SettlementBooks) -> dict[int, str]:
    books.deltas_must_add_up()
    books.bookings_must_fit()
    return {line.line: line.status.value for line in books.lines()}


def test_a_waiting_line_is_removed_from_a_group_that_it_does_not_fit() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, parts=[600])
    lines = [
        about(payment_id, 2, 1000),
        about(payment_id, 3, -400),
        about(payment_id, 4, -100),
    ]
    books.settle("fil_1", lines)
    first, left = statuses(books), books.unsettled()
    assert first == {2: "matched", 3: "matched", 4: "amount_mismatch"}
    books.settle("fil_2", lines)
    assert statuses(books) == first
    assert books.unsettled() == left


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_lines_of_a_payment_in_two_settlement_currencies_are_not_added_up(
    order: tuple[int, int],
) -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, parts=[600], currency="EUR")
    abroad = about(
        payment_id,
        2,
        1100,
        fee=30,
        currency="USD",
        presented_amount=1000,
        presented_currency="EUR",
    )
    lines = [abroad, about(payment_id, 3, -400, currency="EUR")]
    books.settle("fil_1", [lines[each] for each in order])
    assert statuses(books) == {2: "amount_mismatch", 3: "amount_mismatch"}
    for line in lines:
        books.decide(line.identity, "accept")
    assert not books.unsettled()


def test_an_incoming_amount_is_not_a_payout_in_another_currency() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, currency="EUR")
    books.settle(
        "fil_1",
        [
            about(
                payment_id,
                2,
                -1100,
                currency="USD",
                presented_amount=1000,
                presented_currency="EUR",
            )
        ],
    )
    assert statuses(books) == {2: "amount_mismatch"}


@pytest.mark.parametrize("kind", [LineType.CAPTURE, LineType.REFUND])
def test_a_tolerance_never_changes_the_sign_of_an_amount(kind: LineType) -> None:
    books = SettlementBooks(tolerance=100)
    payment_id = books.pay(1000)
    sign = 1
    if kind is LineType.REFUND:
        books.refund(payment_id, 40)
        sign = -1
    else:
        payment_id = books.pay(40)
    books.settle("fil_1", [about(payment_id, 2, -sign * 40, type=kind)])
    assert statuses(books) == {2: "amount_mismatch"}


def test_a_refund_with_an_unknown_outcome_is_not_accepted_by_its_payment_alone() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    refund_id = books.refund(payment_id, 400)
    pending = {"status": TransactionStatus.PENDING, "audit_trail": ()}
    refund = books.found.transactions[refund_id]
    books.found.transactions[refund_id] = refund.model_copy(update=pending)
    books.settle("fil_1", [about(payment_id, 2, -400, type=LineType.REFUND)])
    assert statuses(books) == {2: "status_mismatch"}
    with pytest.raises(ActionNotApplicable, match="outcome"):
        books.decide("line-2", "accept")
    books.found.transactions[refund_id] = refund
    books.decide("line-2", "accept")
    assert books.found.transactions[refund_id].settlement_id is not None


def test_an_accepted_refund_failure_is_open_again_when_undone() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    refund_id = books.refund(payment_id, 400)
    line = about(payment_id, 2, 400, type=LineType.REFUND_FAILURE)
    books.settle("fil_1", [line])
    assert statuses(books) == {2: "status_mismatch"}
    books.come_back(refund_id)
    before = books.unsettled()
    books.decide("line-2", "accept")
    assert books.found.transactions[refund_id].return_settlement_id is not None
    books.decide("line-2", "undo")
    assert books.found.transactions[refund_id].return_settlement_id is None
    assert books.unsettled() == before
    books.settle("fil_2", [line])
    assert statuses(books) == {2: "matched"}


def test_an_accepted_dispute_is_open_again_when_undone() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000)
    line = about(payment_id, 2, -600, fee=15, type=LineType.DISPUTE)
    books.settle("fil_1", [line])
    assert statuses(books) == {2: "status_mismatch"}
    books.dispute(payment_id, "dp_1", amount=600, withdrawn=600, fee=15)
    before = books.unsettled()
    books.decide("line-2", "accept")
    disputes = books.found.payments[payment_id].disputes or {}
    assert disputes["dp_1"].settled_withdrawn == 600
    books.decide("line-2", "undo")
    disputes = books.found.payments[payment_id].disputes or {}
    assert (disputes["dp_1"].settled_withdrawn, disputes["dp_1"].settled_fee) == (0, 0)
    assert books.unsettled() == before
    books.settle("fil_2", [line])
    assert statuses(books) == {2: "matched"}


def test_a_resolution_stays_when_other_lines_of_the_payment_change() -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, parts=[600])
    charge, reversal = about(payment_id, 2, 1000), about(payment_id, 3, -400)
    books.settle("fil_1", [charge, reversal, about(payment_id, 4, -100)])
    books.decide("line-4", "accept")
    books.settle("fil_2", [replace(reversal, amount=-350, net=-350)])
    assert statuses(books) == {2: "amount_mismatch", 3: "amount_mismatch", 4: "amount_mismatch"}
    decided = books.line("line-4")
    assert decided.resolution is not None
    assert len(decided.bookings) == 1
    books.settle("fil_3", [reversal])
    assert statuses(books) == {2: "matched", 3: "matched", 4: "amount_mismatch"}


@pytest.mark.parametrize("late", [False, True])
def test_a_learned_fee_of_a_failed_refund_is_in_the_payments_total_and_verified(
    late: bool,
) -> None:
    books = SettlementBooks()
    payment_id = books.pay(1000, fee=29)
    refund_id = books.refund(payment_id, 400)
    out = about(payment_id, 2, -400, fee=5, type=LineType.REFUND)
    back = about(payment_id, 3, 400, type=LineType.REFUND_FAILURE)
    if late:
        books.come_back(refund_id)
        books.settle("fil_1", [about(payment_id, 1, 1000, fee=29), out])
    else:
        books.settle("fil_1", [about(payment_id, 1, 1000, fee=29), out])
        books.come_back(refund_id)
    must_prove(books)
    books.settle("fil_2", [back])
    assert set(statuses(books).values()) == {"matched"}
    must_prove(books)
    books.settle("fil_3", [replace(out, fee=6, net=-406)])
    must_prove(books)


def must_prove(books: SettlementBooks) -> None:
    for payment in books.found.payments.values():
        facts = PaymentFacts(**payment.model_dump())
        transactions = [
            TransactionFacts(**books.found.transactions[each].model_dump())
            for each in payment.transaction_ids
        ]
        wrong = [each for each in totals_that_differ(facts, transactions) if each[0] == "fee"]
        assert not wrong
        bookings = Counter[str]()
        for line in books.lines():
            if line.payment_id == payment.id:
                of_line = LineFacts(**line.model_dump())
                assert not list(line_contradictions(of_line))
                bookings.update(settling(of_line, of_line.bookings))
        booked = {account: net for account, net in bookings.items() if net}
        assert booked == settled_nets(facts, transactions)
