"""All lines of a payment, in any order, batches and files, settle it exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.payments.posting_ids import charge_transaction_id
from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.settlements.models import LineType
from tests.support.reconciliation.batches import read_line
from tests.support.reconciliation.books import SettlementBooks

AMOUNTS = st.integers(100, 5_000)


@dataclass(frozen=True)
class Refund:
    amount: int
    came_back: bool


@dataclass(frozen=True)
class Chargeback:
    """`fees`: of each line; their sum is the processor's final fee."""

    amount: int
    twice: bool
    returned: int
    fees: tuple[int, int, int]


@dataclass(frozen=True)
class Story:
    """The history of one payment. `whole`: its file has the full charge and a reversal."""

    amount: int
    parts: tuple[int, ...]
    whole: bool
    known_fee: int
    learned_fee: int
    refunds: tuple[Refund, ...]
    chargeback: Chargeback | None
    named_by: str


@st.composite
def stories(draw: st.DrawFn) -> Story:
    amount = draw(AMOUNTS)
    parts: list[int] = []
    left = amount
    for _ in range(draw(st.integers(0, 3))):
        if left:
            parts.append(draw(st.integers(1, left)))
            left -= parts[-1]
    captured = sum(parts) or amount
    known = draw(st.sampled_from((0, 1)))
    refunded = st.builds(Refund, st.integers(1, captured), st.booleans())
    refunds = draw(st.lists(refunded, max_size=2))
    chargeback = None
    if draw(st.booleans()):
        disputed = draw(st.integers(20, 5_000))
        fee = draw(st.integers(0, 20))
        returned = draw(st.sampled_from((0, disputed // 2, disputed)))
        twice = returned == disputed and draw(st.booleans())
        back = draw(st.sampled_from((0, -fee))) if returned >= 20 else 0
        chargeback = Chargeback(disputed, twice, returned, (fee, back, 0))
    whole = bool(parts) and draw(st.booleans())
    return Story(
        amount=amount,
        parts=tuple(parts),
        whole=whole,
        known_fee=known,
        learned_fee=draw(st.integers(0, 1)),
        refunds=tuple(refunds),
        chargeback=chargeback,
        named_by=draw(st.sampled_from(("payment", "processor"))),
    )


def reported(story: Story, books: SettlementBooks) -> list[ImportedLine]:
    """The payment in our ledger, and the lines of a correct file."""
    payment_id = books.pay(story.amount, story.parts, story.known_fee)
    by_payment = (
        References(payment_id=payment_id)
        if story.named_by == "payment"
        else References(processor_ids=("unknown", f"pi_{payment_id}"))
    )
    lines = [(LineType.CAPTURE, *each, by_payment) for each in captured(story)]
    for refund in story.refunds:
        refund_id = books.refund(payment_id, refund.amount, came_back=refund.came_back)
        named = References(transaction_id=refund_id)
        lines.append((LineType.REFUND, -refund.amount, 0, named))
        if refund.came_back:
            lines.append((LineType.REFUND_FAILURE, refund.amount, 0, named))
    if story.chargeback is not None:
        each = story.chargeback
        taken = each.amount * (2 if each.twice else 1)
        fee = each.fees[0] + (each.fees[1] if each.returned else 0)
        books.dispute(
            payment_id,
            "dp_1",
            amount=each.amount,
            withdrawn=taken,
            returned=each.returned,
            fee=fee,
        )
        named = replace(by_payment, dispute_id="dp_1")
        lines.append((LineType.DISPUTE, -each.amount, each.fees[0], named))
        if each.returned:
            lines.append((LineType.DISPUTE_REVERSAL, each.returned, each.fees[1], named))
        if each.twice:
            lines.append((LineType.DISPUTE, -each.amount, 0, named))
    lines.append((LineType.FEE, -7, 0, References()))
    lines.append((LineType.ADJUSTMENT, 13, 2, References()))
    return [
        read_line(number, type=kind, amount=amount, fee=fee, references=references)
        for number, (kind, amount, fee, references) in enumerate(lines, start=2)
    ]


def captured(story: Story) -> list[tuple[int, int]]:
    """Amount and fee of each line about the charge."""
    parts = story.parts or (story.amount,)
    fee = story.known_fee or story.learned_fee
    if not story.whole or sum(parts) == story.amount:
        if story.whole and len(parts) > 1:
            return [(story.amount, fee * len(parts))]
        return [(part, fee) for part in parts]
    total = fee * len(parts)
    return [(story.amount, total + 5), (sum(parts) - story.amount, -5)]


def settle(books: SettlementBooks, file_id: str, lines: Sequence[ImportedLine], size: int) -> None:
    for start in range(0, len(lines), size):
        books.settle(file_id, lines[start : start + size])


def end_of(books: SettlementBooks) -> Any:
    """What must not depend on the order of lines."""
    transactions = sorted(
        (row.type, row.amount, row.status, row.fee, row.learned_fee, row.settlement_id or "")
        for row in books.found.transactions.values()
    )
    payments = [
        (row.fee, {name: each.model_dump() for name, each in (row.disputes or {}).items()})
        for row in books.found.payments.values()
    ]
    lines = {row.identity: row.status for row in books.lines() if row.status != "superseded"}
    return transactions, str(payments).replace(books_id(books), ""), lines


def books_id(books: SettlementBooks) -> str:
    return next(iter(books.found.payments))


def must_be_settled(books: SettlementBooks) -> None:
    books.deltas_must_add_up()
    books.bookings_must_fit()
    left = [
        (row.identity, row.status, row.reason)
        for row in books.lines()
        if row.status not in ("matched", "superseded")
    ]
    assert left == []
    assert books.unsettled() == {}
    for payment in books.found.payments.values():
        assert payment.fee == sum(
            row.fee for row in books.found.transactions.values() if row.payment_id == payment.id
        )


@given(stories(), st.data())
@settings(max_examples=40, deadline=None)
def test_everything_is_settled_in_any_order_of_lines_batches_and_files(
    story: Story, data: st.DataObject
) -> None:
    straight, mixed = SettlementBooks(), SettlementBooks()
    settle(straight, "fil_1", reported(story, straight), 100)
    must_be_settled(straight)
    lines = data.draw(st.permutations(reported(story, mixed)))
    size = data.draw(st.integers(1, 5))
    batches = [
        (file_id, lines[start : start + size])
        for file_id in ("fil_1", "fil_2")
        for start in range(0, len(lines), size)
    ]
    for file_id, batch in data.draw(st.permutations(batches)):
        mixed.settle(file_id, batch)
    must_be_settled(mixed)
    assert len(mixed.lines()) == len(lines)
    assert sorted(end_of(mixed)[0]) == sorted(end_of(straight)[0])
    assert end_of(mixed)[2] == end_of(straight)[2]


@given(stories(), st.data())
@settings(max_examples=40, deadline=None)
def test_a_corrected_file_settles_what_a_wrong_one_had_differently(
    story: Story, data: st.DataObject
) -> None:
    """Wrong amounts, fees, currencies and payouts in the first file; right ones in the second."""
    books = SettlementBooks()
    lines = reported(story, books)
    wrong = []
    for line in lines:
        fault = data.draw(st.sampled_from(("none", "amount", "fee", "currency", "payout", "type")))
        changes: dict[str, Any] = {
            "none": {},
            "amount": {"amount": line.amount + data.draw(st.integers(-300, 300))},
            "fee": {"fee": line.fee + data.draw(st.integers(-30, 30))},
            "currency": {"currency": "EUR"},
            "payout": {"payout_reference": "po_1"},
            "type": {"type": None},
        }[fault]
        changed = replace(line, **changes)
        wrong.append(replace(changed, net=changed.amount - changed.fee))
    settle(books, "fil_1", data.draw(st.permutations(wrong)), data.draw(st.integers(1, 5)))
    books.deltas_must_add_up()
    books.bookings_must_fit()
    settle(books, "fil_2", data.draw(st.permutations(lines)), data.draw(st.integers(1, 5)))
    must_be_settled(books)
    assert charge_transaction_id(books_id(books)) in books.found.transactions
