"""Lines that were linked or decided about, and later files with them: each is posted once."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.importers.line import References
from runtime.reconciliation.settlements.models import LineStatus
from tests.support.platform import Platform
from tests.support.proved_shop import Shop
from tests.support.reconciliation.batches import Line, line_of, read_line
from tests.support.reconciliation.decisions import Decisions

NAMED, MEANT, THIRD = 1000, 600, 700
"""Captures: of the payment that the line names, of the one that it is about, and of another."""


@pytest.fixture
def shop(platform: Platform) -> Shop:
    return Shop(platform)


@pytest.fixture
def decisions(shop: Shop) -> Decisions:
    return Decisions(shop.platform, shop.merchant)


def captures(shop: Shop) -> dict[int, Transaction]:
    """Three captures, by amount."""
    for amount in (NAMED, MEANT, THIRD):
        shop.paid(amount=amount)
    return {each.amount: each for each in shop.transactions("capture")}


def about(capture: Transaction, number: int = 2, **changes: Any) -> Line:
    """A line that names the payment of a capture; as read, of MEANT."""
    references = References(payment_id=capture.payment_id)
    values = {"amount": MEANT, "fee": 47, "references": references, "identity": f"bt_{number}"}
    return read_line(number, **{**values, **changes})


def group(decisions: Decisions, capture: Transaction) -> list[tuple[int, int]]:
    """Line and amount of the members of a payment's group."""
    members = decisions.transaction(capture.id).settlement_group
    return [(each.line, each.amount) for each in members]


def linked(shop: Shop, decisions: Decisions) -> dict[int, Transaction]:
    """A line that names one payment, and waited for others of it, is linked to another one."""
    ours = captures(shop)
    decisions.close([about(ours[NAMED])])
    assert group(decisions, ours[NAMED]) == [(2, MEANT)]
    decisions.resolve(decisions.lines()[2], "link", transaction_id=ours[MEANT].id)
    return ours


def must_be_proved(shop: Shop, decisions: Decisions) -> None:
    """Counts, sums and postings agree with the lines."""
    decisions.must_count()
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def statuses(decisions: Decisions) -> dict[int, LineStatus]:
    return {number: line.status for number, line in sorted(decisions.lines().items())}


# -------------------------------------------------------------------- lines that wait in a group


def test_a_linked_line_that_a_later_file_changes_waits_for_others_once(
    shop: Shop, decisions: Decisions
) -> None:
    ours = linked(shop, decisions)
    corrected = about(ours[NAMED], category="charge")
    for _ in range(2):
        decisions.close([corrected])
        assert group(decisions, ours[NAMED]) == [(2, MEANT)]
    assert statuses(decisions) == {2: LineStatus.AMOUNT_MISMATCH}
    assert decisions.transaction(ours[MEANT].id).settlement_id is None
    # The line twice and this one would make up the capture: 600 + 600 - 200.
    less = about(ours[NAMED], 3, amount=-200, fee=0)
    decisions.close([corrected, less])
    assert set(statuses(decisions).values()) == {LineStatus.AMOUNT_MISMATCH}
    must_be_proved(shop, decisions)
    rest = about(ours[NAMED], 4, amount=600, fee=12)
    decisions.close([corrected, less, rest])
    assert set(statuses(decisions).values()) == {LineStatus.MATCHED}
    paid = ours[MEANT].amount - ours[MEANT].fee + ours[THIRD].amount - ours[THIRD].fee
    assert decisions.balances()["receivable USD"] == paid
    must_be_proved(shop, decisions)


def test_a_linked_line_that_names_another_payment_later_leaves_the_group_of_the_first(
    shop: Shop, decisions: Decisions
) -> None:
    ours = linked(shop, decisions)
    moved = about(ours[THIRD])
    decisions.close([moved])
    assert (group(decisions, ours[NAMED]), group(decisions, ours[THIRD])) == ([], [(2, MEANT)])
    decisions.close([moved, about(ours[NAMED], 3, amount=NAMED - MEANT, fee=12)])
    assert set(statuses(decisions).values()) == {LineStatus.AMOUNT_MISMATCH}
    decisions.close([moved, about(ours[THIRD], 4, amount=THIRD - MEANT, fee=3)])
    assert sorted(statuses(decisions).values()) == [
        LineStatus.AMOUNT_MISMATCH,
        LineStatus.MATCHED,
        LineStatus.MATCHED,
    ]
    must_be_proved(shop, decisions)


def test_a_linked_line_completes_no_group_until_the_link_is_undone(
    shop: Shop, decisions: Decisions
) -> None:
    ours = linked(shop, decisions)
    named, rest = about(ours[NAMED]), about(ours[NAMED], 3, amount=NAMED - MEANT, fee=12)
    decisions.close([named, rest])
    (late,) = (n for n in statuses(decisions) if n != 2)
    assert statuses(decisions) == {2: LineStatus.MATCHED, late: LineStatus.AMOUNT_MISMATCH}
    decisions.resolve(decisions.lines()[2], "undo")
    assert group(decisions, ours[NAMED]) == [(2, MEANT), (late, NAMED - MEANT)]
    decisions.close([named, rest])
    assert set(statuses(decisions).values()) == {LineStatus.MATCHED}
    assert decisions.transaction(ours[MEANT].id).settlement_id is None
    must_be_proved(shop, decisions)


# -------------------------------------------------------------------- the same line again

UNKNOWN = "pay_01KKNS5TM4YPCVMFVNE4BR1BWH"


def unknown_payment() -> Line:
    return read_line(2, amount=MEANT, fee=47, references=References(payment_id=UNKNOWN))


def unknown_transaction() -> Line:
    references = References(transaction_id="txn_unknown")
    return read_line(2, amount=MEANT, fee=47, references=references)


def unknown_category() -> Line:
    return read_line(2, amount=MEANT, fee=47, type=None, category="mystery")


@pytest.mark.parametrize("read", [unknown_payment, unknown_transaction, unknown_category, None])
def test_the_same_file_again_keeps_a_link(shop: Shop, decisions: Decisions, read: Any) -> None:
    ours = captures(shop)
    line = about(ours[NAMED]) if read is None else read()
    decisions.close([line])
    before = decisions.lines()[2]
    decisions.resolve(before, "link", transaction_id=ours[MEANT].id)
    kept = decisions.lines()[2]
    decisions.close([line])
    decisions.close([line, line_of(3, ours[THIRD])])  # a corrected file of the settlement
    assert decisions.lines()[2] == kept
    assert decisions.transaction(ours[MEANT].id).settlement_line == 2
    decisions.close([line])
    decisions.resolve(kept, "undo")
    again = decisions.lines()[2]
    assert (again.status, again.reason, again.type) == (before.status, before.reason, before.type)
    assert (again.payment_id, again.resolution) == (before.payment_id, None)
    paid = sum(each.amount - each.fee for each in (ours[NAMED], ours[MEANT]))
    assert decisions.balances()["receivable USD"] == paid
    must_be_proved(shop, decisions)


def test_a_later_file_that_names_the_linked_payment_keeps_the_link(
    shop: Shop, decisions: Decisions
) -> None:
    ours = captures(shop)
    decisions.close([unknown_payment()])
    decisions.resolve(decisions.lines()[2], "link", transaction_id=ours[MEANT].id)
    kept = decisions.lines()[2]
    right = References(payment_id=ours[MEANT].payment_id)
    decisions.close([read_line(2, amount=MEANT, fee=47, references=right)])
    assert decisions.lines()[2] == kept
    must_be_proved(shop, decisions)


@pytest.mark.parametrize("read", [unknown_payment, unknown_transaction, unknown_category])
def test_a_later_file_that_names_another_payment_replaces_the_link(
    shop: Shop, decisions: Decisions, read: Any
) -> None:
    ours = captures(shop)
    other = shop.paid(amount=MEANT)
    decisions.close([read()])
    decisions.resolve(decisions.lines()[2], "link", transaction_id=ours[MEANT].id)
    named = References(payment_id=other)
    decisions.close([read_line(2, amount=MEANT, fee=47, references=named)])
    line = decisions.lines()[2]
    assert (line.status, line.payment_id, line.resolution) == (LineStatus.MATCHED, other, None)
    assert decisions.transaction(ours[MEANT].id).settlement_id is None
    must_be_proved(shop, decisions)


def test_a_later_file_with_another_amount_undoes_a_link(shop: Shop, decisions: Decisions) -> None:
    ours = captures(shop)
    before = decisions.balances()
    decisions.close([unknown_payment()])
    decisions.resolve(decisions.lines()[2], "link", transaction_id=ours[MEANT].id)
    references = References(payment_id=UNKNOWN)
    decisions.close([read_line(2, amount=MEANT - 1, fee=47, references=references)])
    line = decisions.lines()[2]
    assert (line.status, line.resolution) == (LineStatus.UNEXPECTED, None)
    assert decisions.transaction(ours[MEANT].id).settlement_id is None
    assert decisions.balances() == before
    must_be_proved(shop, decisions)


@pytest.mark.parametrize("action", ["accept", "ignore", "link"])
def test_a_decision_about_a_line_that_is_not_final_lasts_until_its_status_changes(
    shop: Shop, decisions: Decisions, action: str
) -> None:
    ours = captures(shop)
    more = {"transaction_id": ours[MEANT].id} if action == "link" else {}
    pending = about(ours[MEANT], status="pending")
    decisions.close([pending])
    assert statuses(decisions) == {2: LineStatus.STATUS_MISMATCH}
    decisions.resolve(decisions.lines()[2], action, **more)
    kept = decisions.lines()[2]
    decisions.close([pending])
    assert decisions.lines()[2] == kept
    decisions.close([about(ours[MEANT], status="on hold")])
    again = decisions.lines()[2]
    assert (again.status, again.resolution) == (LineStatus.STATUS_MISMATCH, None)
    assert decisions.transaction(ours[MEANT].id).settlement_id is None
    must_be_proved(shop, decisions)
