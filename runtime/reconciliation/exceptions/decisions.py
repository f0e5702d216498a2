"""What each resolution of an exception books and settles, in memory only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from runtime.core.echo import echoed
from runtime.core.errors import (
    ActionNotApplicable,
    AlreadyResolved,
    Forbidden,
    LineDoesNotFit,
    NotFound,
    NotResolved,
)
from runtime.core.money import format_amount
from runtime.core.timestamps import to_timestamp
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType
from runtime.reconciliation.exceptions.rules import (
    AGAINST_OURS,
    BOOKED_BY_EVENTS,
    actions_for,
    is_open,
)
from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.matching.counterparts import (
    HAS_COUNTERPART,
    counterparts_of,
    has_come_back,
    named_by,
)
from runtime.reconciliation.matching.draft import Draft, key_of
from runtime.reconciliation.matching.flows import (
    NOTHING,
    Amounts,
    accepted,
    by_currency,
    written_off,
)
from runtime.reconciliation.matching.judgement import read_again, with_counterpart
from runtime.reconciliation.matching.rules import (
    Counterpart,
    Verdict,
    accept_flows,
    compare,
    joined,
    stated,
    write_off_flows,
)
from runtime.reconciliation.settlements.models import (
    BeforeLink,
    Flows,
    LineStatus,
    LineType,
    Resolution,
    ResolutionAction,
    SettlementLine,
)

UNDO: Final = "undo"
_FOR_OPERATORS: Final = "ask an operator to decide about it"
_REFUNDS: Final = (LineType.REFUND, LineType.REFUND_FAILURE)
_LINKED_AS: Final = {
    TransactionType.AUTHORIZATION: LineType.CAPTURE,
    TransactionType.CAPTURE: LineType.CAPTURE,
    TransactionType.REFUND: LineType.REFUND,
}
"""The type of an unclassified line by the transaction that it is linked to."""
_FLOWS: Final[Mapping[ResolutionAction, Callable[[Amounts, Amounts], Flows]]] = {
    ResolutionAction.ACCEPT: accepted,
    ResolutionAction.WRITE_OFF: written_off,
}


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """The requested resolution. `action`: a ResolutionAction, or undo."""

    action: str
    note: str
    transaction_id: str | None = None


def decide(line: SettlementLine, wanted: DecisionRequest, draft: Draft) -> None:
    """Apply a resolution of a line, with all its effects, to the draft.

    Raises AlreadyResolved, NotResolved, ActionNotApplicable, LineDoesNotFit, NotFound.
    """
    if wanted.action == UNDO:
        _undo(line, draft)
        return
    action = ResolutionAction(wanted.action)
    _must_apply(action, line)
    attempt = draft.attempt
    resolution = Resolution(
        action=action,
        note=wanted.note,
        by=attempt.context.changed_by,
        at=to_timestamp(attempt.now),
    )
    if action is ResolutionAction.LINK:
        assert wanted.transaction_id is not None, "a link names its transaction"
        _link(line, wanted.transaction_id, resolution, draft)
        return
    if action is not ResolutionAction.IGNORE:
        line = _book(line, action, draft)
    draft.put_line(line.model_copy(update={"resolution": resolution}))


def must_be_the_merchants(line: SettlementLine, wanted: DecisionRequest, draft: Draft) -> None:
    """Require that a resolution costs only the merchant itself. Raises Forbidden.

    A write-off is paid by the platform, and so is undoing one. So is an amount that a merchant
    would credit to itself: of a refund or dispute that no file debits in full
    (docs/decisions/0054).
    """
    undone = line.resolution.action if wanted.action == UNDO and line.resolution else None
    if ResolutionAction.WRITE_OFF in (wanted.action, undone):
        raise Forbidden(f"A write-off is paid by the platform; {_FOR_OPERATORS}", param="action")
    if wanted.action != ResolutionAction.ACCEPT:
        return
    for currency, flows in draft.all_booked(key_of(line)).items():
        gain = flows.adjusted - flows.cost
        if gain > 0 and gain > flows.net:
            raise Forbidden(
                f"Accepting it would credit the merchant {format_amount(gain, currency)} that no "
                f"settlement file confirms; {_FOR_OPERATORS}",
                param="action",
            )


def about(line: SettlementLine, wanted: DecisionRequest) -> ImportedLine | None:
    """The stored line as it was read, with the references of a resolution; None if unreadable.

    It determines which rows the resolution needs.
    """
    if None in (line.amount, line.fee, line.net, line.currency):
        return None
    read = read_again(line)
    if wanted.transaction_id is None:
        return read
    references = References(
        transaction_id=wanted.transaction_id, dispute_id=read.references.dispute_id
    )
    return replace(read, type=read.type or LineType.CAPTURE, references=references)


def _must_apply(action: ResolutionAction, line: SettlementLine) -> None:
    name = _name(line)
    if line.resolution is not None:
        done = line.resolution
        raise AlreadyResolved(
            f"{name} was already resolved at {done.at} ({done.action}); undo that first"
        )
    if not is_open(line):
        raise AlreadyResolved(f"{name} is {line.status}, so it needs no decision")
    possible = actions_for(line)
    if action not in possible:
        what = f"{line.type} line that is {line.status}" if line.type else f"{line.status} line"
        raise ActionNotApplicable(
            f"{action} is not possible for a {what}; use {', '.join(possible)}", param="action"
        )


def _name(line: SettlementLine) -> str:
    return f"Line {line.line} of {line.settlement_id}"


# -------------------------------------------------------------------- accept, write off


def _book(line: SettlementLine, action: ResolutionAction, draft: Draft) -> SettlementLine:
    """Book the line as in the file, and the difference to our books as the action requires."""
    key = key_of(line)
    if line.type is LineType.PAYOUT:
        draft.book(key, _remainder(line, action, draft))
        return line
    ours = _counterpart(line, draft)
    draft.book(key, _flows(line, ours, action))
    if ours is None:
        return line.model_copy(update={"expected": None})
    draft.settle(ours, key)
    settled = line.model_copy(update={"expected": ours.expected})
    return with_counterpart(settled, ours)  # needed to find it when this is undone


def _remainder(line: SettlementLine, action: ResolutionAction, draft: Draft) -> dict[str, Flows]:
    """The difference between the payout and its lines."""
    assert line.currency is not None, f"{_name(line)} is a payout of some currency"
    remainder = draft.found.settlements[line.settlement_id].remainder.get(line.currency, 0)
    return {line.currency: _FLOWS[action](Amounts(amount=remainder), NOTHING)}


def _counterpart(line: SettlementLine, draft: Draft) -> Counterpart | None:
    """The line's unsettled counterpart; None if it has none.

    Raises ActionNotApplicable while its outcome is unknown; for a line about something that only
    the processor's event books, as long as that is not booked: the event would book it again; and
    for a missing refund that has come back, which is booked.
    """
    read = read_again(line)
    if line.status not in AGAINST_OURS or read.type not in HAS_COUNTERPART:
        return None
    found = counterparts_of(read, draft)
    if isinstance(found, Verdict):
        if line.status is LineStatus.MISSING:
            raise ActionNotApplicable(f"{_name(line)}: {found.reason}", param="action")
        if found.status is LineStatus.STATUS_MISMATCH and read.type in BOOKED_BY_EVENTS:
            raise ActionNotApplicable(
                f"{_name(line)}: {found.reason}; leave it open until then", param="action"
            )
        for each in _named_refunds_or_other(read, draft):
            _must_be_known(each)
        return None
    named = named_by(read, draft)
    if line.status is LineStatus.MISSING and named is not None and has_come_back(named):
        raise ActionNotApplicable(
            f"{named.id} came back, which is booked: ignore the line", param="action"
        )
    whole = joined(found)
    alike = (each for each in (*found, whole) if each.expected == line.expected)
    return next(alike, whole if read.type is LineType.CAPTURE else found[0])


def _named_refunds_or_other(read: ImportedLine, draft: Draft) -> Sequence[Transaction]:
    """The line's transaction; for a refund known only by its payment, all its refunds."""
    named = named_by(read, draft)
    if named is None:
        return ()
    if read.type not in _REFUNDS or named.type is TransactionType.REFUND:
        return (named,)
    everything = draft.transactions_of(named.payment_id)
    return [each for each in everything if each.type is TransactionType.REFUND]


def _must_be_known(named: Transaction) -> None:
    if named.status is TransactionStatus.PENDING:
        raise ActionNotApplicable(
            f"The outcome of {named.id} is still unknown; decide later, or ignore the line",
            param="action",
        )


def _flows(
    line: SettlementLine, ours: Counterpart | None, action: ResolutionAction
) -> Mapping[str, Flows]:
    read, book = read_again(line), _FLOWS[action]
    if line.status is LineStatus.MISSING:
        assert ours is not None, f"what {_name(line)} misses is not known"
        return {ours.currency: book(NOTHING, ours.ours)}
    if ours is not None and stated(read)[1] != ours.currency:
        # The payment was not made in our currency, but in another one.
        stands = book(Amounts(amount=read.amount, fee=read.fee), NOTHING)
        return by_currency(
            (ours.currency, book(NOTHING, ours.ours)),
            (read.currency, stands),
        )
    if action is ResolutionAction.ACCEPT:
        return accept_flows(read, ours)
    return write_off_flows(read, ours)


# -------------------------------------------------------------------- link


def _link(line: SettlementLine, transaction_id: str, resolution: Resolution, draft: Draft) -> None:
    """The line must match this transaction like any other line."""
    transaction = draft.transaction(transaction_id)
    if transaction is None:
        raise NotFound(f"No such transaction: {echoed(transaction_id)}", param="transaction_id")
    read = about(line, DecisionRequest(ResolutionAction.LINK, resolution.note, transaction_id))
    assert read is not None, f"{_name(line)} cannot be read"
    read = replace(read, type=line.type or _LINKED_AS.get(transaction.type, LineType.CAPTURE))
    ours, verdict = _fitting(read, draft)
    if verdict.status is not LineStatus.MATCHED or ours is None:
        raise LineDoesNotFit(
            f"{_name(line)} does not match {transaction.id}: {verdict.reason}",
            param="transaction_id",
        )
    key = key_of(line)
    draft.settle(ours, key, verdict.learned_fee)
    draft.book(key, verdict.flows)
    before = BeforeLink(**{name: getattr(line, name) for name in BeforeLink.model_fields})
    draft.put_line(
        line.model_copy(
            update={
                "status": LineStatus.MATCHED,
                "reason": verdict.reason,
                "type": read.type,
                "payment_id": ours.payment_id,
                "transaction_id": transaction.id,
                "dispute_id": ours.dispute_id or line.dispute_id,
                "expected": verdict.expected,
                "resolution": resolution.model_copy(update={"linked": before}),
            }
        )
    )


def _fitting(read: ImportedLine, draft: Draft) -> tuple[Counterpart | None, Verdict]:
    """The part of the transaction that the line matches, or the first difference."""
    found = counterparts_of(read, draft)
    if isinstance(found, Verdict):
        return None, found
    tolerance = draft.attempt.merchant.reconciliation.tolerance_minor
    options = [*found, joined(found)] if len(found) > 1 else found
    judged = [(ours, compare(read, ours, tolerance)) for ours in options]
    fits = (each for each in judged if each[1].status is LineStatus.MATCHED)
    return next(fits, judged[0])


# -------------------------------------------------------------------- undo


def _undo(line: SettlementLine, draft: Draft) -> None:
    """Reverse the last decision with its bookings; the line needs a decision again."""
    done = line.resolution
    if line.status is LineStatus.SUPERSEDED:
        raise AlreadyResolved(f"{_name(line)} was superseded: {line.reason}")
    if done is None:
        raise NotResolved(f"{_name(line)} is {line.status} and has no decision to undo")
    if done.action is not ResolutionAction.IGNORE:
        draft.reopen(line)
    changes: dict[str, object] = {"resolution": None}
    if done.linked is not None:
        changes |= {name: getattr(done.linked, name) for name in BeforeLink.model_fields}
    if line.status is LineStatus.MISSING and line.transaction_id is not None:
        _miss_again(line, line.transaction_id, draft)
    draft.put_line(line.model_copy(update=changes))


def _miss_again(line: SettlementLine, transaction_id: str, draft: Draft) -> None:
    transaction = draft.transaction(transaction_id)
    assert transaction is not None, f"{transaction_id} of {_name(line)} was not read"
    marks = {"missing_in": line.settlement_id, "missing_line": line.line}
    draft.transactions[transaction.id] = transaction.model_copy(update=marks)
