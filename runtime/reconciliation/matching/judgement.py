"""Evaluates a line: its verdict, and what it settles and books, after the lines before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Final

from runtime.core.echo import echoed
from runtime.payments.posting_ids import charge_transaction_id
from runtime.payments.transaction_models import GroupedLine, Transaction
from runtime.reconciliation.importers.line import SETTLED, ImportedLine, References, UnreadableLine
from runtime.reconciliation.matching.counterparts import (
    HAS_COUNTERPART,
    counterparts_of,
    named_by,
    not_final,
)
from runtime.reconciliation.matching.draft import Draft, key_of
from runtime.reconciliation.matching.flows import cost
from runtime.reconciliation.matching.repository import LineKey
from runtime.reconciliation.matching.rules import (
    Counterpart,
    Verdict,
    accept_flows,
    closing_flows,
    compare,
    joined,
    member_flows,
    stated,
    together,
)
from runtime.reconciliation.settlements.models import Flows, LineStatus, LineType, SettlementLine

_WAITING: Final = (LineStatus.AMOUNT_MISMATCH, LineStatus.FEE_MISMATCH)
"""Statuses of lines that others of their payment may complete."""
MAX_GROUP: Final = 20
"""Lines of one payment that may wait for each other: with its captures they fit one commit."""


def judged(
    line: ImportedLine | UnreadableLine,
    row: SettlementLine,
    draft: Draft,
    *,
    duplicate_of: str | None = None,
) -> SettlementLine:
    """The row of a line with its verdict; what it settles and books is added to the draft.

    `duplicate_of`: why the line is a duplicate, whatever its counterpart.
    """
    if isinstance(line, UnreadableLine):
        return _with(row, Verdict(LineStatus.INVALID, line.reason))
    if line.type is None:
        reason = f"the category {echoed(line.category)!r} is not known"
        return _with(row, Verdict(LineStatus.UNCLASSIFIED, reason))
    if duplicate_of is not None:
        named = named_by(line, draft) if line.type in HAS_COUNTERPART else None
        return _named(_with(row, Verdict(LineStatus.DUPLICATE, duplicate_of)), named)
    if line.type in HAS_COUNTERPART:
        return settled(line, row, draft)
    if line.status != SETTLED:
        return _with(row, not_final(line))
    if line.type is not LineType.PAYOUT:
        draft.book(key_of(row), flows_of_its_own(line))
    return _with(row, Verdict(LineStatus.MATCHED))


def flows_of_its_own(line: ImportedLine) -> dict[str, Flows]:
    """The bookings of a line without a counterpart, by currency."""
    if line.type is LineType.FEE:
        return {line.currency: cost(line.net)}
    return accept_flows(line, None)


def settled(line: ImportedLine, row: SettlementLine, draft: Draft) -> SettlementLine:
    """Settle the line's counterpart, if the line matches it."""
    found, named = counterparts_of(line, draft), named_by(line, draft)
    if isinstance(found, Verdict):
        if found.waits and named is not None:
            _join(charge_transaction_id(named.payment_id), line, row, draft)
        return _named(_with(row, found), named)
    key, tolerance = key_of(row), draft.attempt.merchant.reconciliation.tolerance_minor
    ours = _fitting(line, found, draft, tolerance)
    if ours is None:
        return _waiting(line, row, found, draft)
    whole = together(line, ours.members) if ours.members else line
    verdict = compare(whole, ours, tolerance)
    row = with_counterpart(_with(row, verdict), ours)
    if verdict.status is LineStatus.MATCHED:
        draft.settle(ours, key, verdict.learned_fee)
        if ours.members or len(ours.transactions) > 1:
            _complete(line, row, ours, draft)
        else:
            draft.book(key, verdict.flows)
    elif ours.members and ours.charge_id is not None:
        _join(ours.charge_id, line, row, draft)
    return row


def _fitting(
    line: ImportedLine, found: Sequence[Counterpart], draft: Draft, tolerance: int
) -> Counterpart | None:
    """The captures that the line matches by amount, alone or with lines that waited for it.

    None if it does not match yet, but may with others. An exact amount takes precedence over one
    within the tolerance, and a single capture over all of them together.
    """
    first = found[0]
    amount, currency = stated(line)
    if line.type is not LineType.CAPTURE or first.charge_id is None or currency != first.currency:
        return first
    members = _members(first.charge_id, draft, line.currency)
    whole = amount + sum(each.amount for each in members)
    options = [*found, joined(found)] if len(found) > 1 else found
    for within, ours in product((0, tolerance), options):
        if amount > 0 and abs(amount - ours.ours.amount) <= within:
            return ours
        if members and abs(whole - ours.ours.amount) <= within:
            return replace(ours, members=members)
    return None


def _members(charge_id: str, draft: Draft, currency: str | None = None) -> tuple[GroupedLine, ...]:
    """Lines of a payment that wait for others, except resolved ones.

    `currency`: only those settled in it. Amounts and fees of two currencies cannot be added up.
    """

    def waits(member: GroupedLine) -> bool:
        line = draft.line((member.settlement_id, member.line))
        if line is None or currency not in (None, line.currency):
            return False
        return line.status in _WAITING and line.resolution is None

    return tuple(each for each in draft.group_of(charge_id) if waits(each))


def _waiting(
    line: ImportedLine, row: SettlementLine, found: Sequence[Counterpart], draft: Draft
) -> SettlementLine:
    """The line joins those of its payment that wait for each other."""
    ours = joined(found)
    assert ours.charge_id is not None, f"{ours.payment_id} has no charge"
    verdict = compare(line, ours, 0)
    _join(ours.charge_id, line, row, draft)
    reason = f"{verdict.reason}; other lines of {ours.payment_id} may make it up"
    return with_counterpart(_with(row, replace(verdict, reason=reason)), ours)


def _join(charge_id: str, line: ImportedLine, row: SettlementLine, draft: Draft) -> None:
    if len(draft.group_of(charge_id)) < MAX_GROUP:
        draft.join_group(charge_id, _member(line, row))


def charges_of(*lines: SettlementLine | None) -> tuple[str, ...]:
    """Charges of the payments of these lines' captures, each once, in order."""
    charges = (
        charge_transaction_id(line.payment_id)
        for line in lines
        if line is not None and line.type is LineType.CAPTURE and line.payment_id is not None
    )
    return tuple(dict.fromkeys(charges))


def try_members_again(charge_id: str, key: LineKey, draft: Draft) -> None:
    """Waiting lines may match now: the line `key` may have left a capture open."""
    for member in _members(charge_id, draft):
        waiting = draft.line((member.settlement_id, member.line))
        if waiting is None or key_of(waiting) == key or waiting.payment_id is None:
            continue
        line = replace(read_again(waiting), references=References(payment_id=waiting.payment_id))
        if isinstance(counterparts_of(line, draft), Verdict):
            return
        draft.withdraw(waiting)
        draft.put_line(settled(line, waiting, draft))


def _complete(line: ImportedLine, row: SettlementLine, ours: Counterpart, draft: Draft) -> None:
    """A line settles several captures, or one together with lines that waited for it.

    The charge stores the group, so that all of it can be reversed.
    """
    assert ours.charge_id is not None, f"{ours.payment_id} has no charge"
    whole = together(line, ours.members)
    draft.book(key_of(row), closing_flows(line, whole, ours))
    draft.join_group(ours.charge_id, _member(line, row))
    for member in ours.members:
        waited = draft.line((member.settlement_id, member.line))
        assert waited is not None, f"{member} of {ours.charge_id} was not read"
        draft.book(key_of(waited), member_flows(read_again(waited)))
        matched = Verdict(
            LineStatus.MATCHED, f"together with {row.settlement_id}, line {row.line}", ours.expected
        )
        draft.put_line(with_counterpart(_with(waited, matched), ours))


def _member(line: ImportedLine, row: SettlementLine) -> GroupedLine:
    amount, _ = stated(line)
    return GroupedLine(settlement_id=row.settlement_id, line=row.line, amount=amount, fee=line.fee)


def read_again(row: SettlementLine) -> ImportedLine:
    """A stored line in the form in which it was read, with its found counterpart's ids.

    Only for readable lines. For a refund or dispute the charge represents its payment.
    """
    assert None not in (row.amount, row.fee, row.net, row.currency), f"{key_of(row)} is unreadable"
    transaction_id = row.transaction_id
    if row.type is not LineType.CAPTURE and row.payment_id is not None:
        by_payment = transaction_id == charge_transaction_id(row.payment_id)
        transaction_id = None if by_payment else transaction_id
    return ImportedLine(
        number=row.file_line or row.line,
        identity=row.identity or "",
        type=row.type,
        category=row.category or "",
        amount=row.amount or 0,
        fee=row.fee or 0,
        net=row.net or 0,
        currency=row.currency or "",
        references=References(
            payment_id=row.payment_id,
            transaction_id=transaction_id,
            dispute_id=row.dispute_id,
            processor_ids=row.processor_ids,
        ),
        presented_amount=row.presented_amount,
        presented_currency=row.presented_currency,
        processed_date=row.processed_date,
        settlement_date=row.settlement_date,
    )


def _with(row: SettlementLine, verdict: Verdict) -> SettlementLine:
    return row.model_copy(
        update={
            "status": verdict.status,
            "reason": verdict.reason,
            "expected": verdict.expected,
        }
    )


def _named(row: SettlementLine, named: Transaction | None) -> SettlementLine:
    """The row with our transaction that the line refers to, if any."""
    if named is None:
        return row
    about = {"payment_id": named.payment_id, "transaction_id": row.transaction_id or named.id}
    return row.model_copy(update=about)


def with_counterpart(row: SettlementLine, ours: Counterpart) -> SettlementLine:
    """The row with its counterpart: its transaction, or the charge of several."""
    single = len(ours.transactions) == 1 and not ours.members
    transaction_id = ours.transactions[0] if single else ours.returned or ours.charge_id
    return row.model_copy(
        update={
            "payment_id": ours.payment_id,
            "transaction_id": transaction_id,
            "dispute_id": ours.dispute_id or row.dispute_id,
        }
    )
