"""The counterpart of a settlement line: which capture, refund or dispute of ours. Pure.

Our own ids take precedence over the processor's. An amount alone never decides, except among the
captures or refunds of the one payment that the line refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from runtime.core.echo import echoed
from runtime.core.money import format_amount
from runtime.payments.models import Payment
from runtime.payments.posting_ids import charge_transaction_id
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType
from runtime.reconciliation.importers.line import SETTLED, ImportedLine
from runtime.reconciliation.matching.disputes import dispute_counterparts
from runtime.reconciliation.matching.flows import Amounts
from runtime.reconciliation.matching.rules import AGAIN, Counterpart, Verdict, stated
from runtime.reconciliation.settlements.models import LineStatus, LineType

_DONE: Final = (TransactionStatus.SUCCEEDED, TransactionStatus.SETTLED)


class Rows(Protocol):
    """A merchant's rows in their current state."""

    def transaction(self, transaction_id: str) -> Transaction | None:
        """A transaction by its id."""
        ...

    def of_processor(self, processor_id: str) -> Sequence[Transaction]:
        """Transactions with this processor id."""
        ...

    def payment(self, payment_id: str) -> Payment | None:
        """A payment by its id."""
        ...

    def transactions_of(self, payment_id: str) -> Sequence[Transaction]:
        """All transactions of a payment, oldest first."""
        ...


def not_final(line: ImportedLine) -> Verdict:
    """The verdict on a line that is not final, by its own status."""
    return Verdict(
        LineStatus.STATUS_MISMATCH,
        f"the line's status is {echoed(line.status)!r}; only {SETTLED!r} lines are final",
    )


def counterparts_of(line: ImportedLine, rows: Rows) -> tuple[Counterpart, ...] | Verdict:
    """The possible counterparts of a line, the likeliest first, or why it has none.

    More than one only for captures: several are open, and the line refers only to their payment.
    """
    named = named_by(line, rows)
    if named is None:
        return Verdict(LineStatus.UNEXPECTED, _unknown(line))
    if line.status != SETTLED:
        return not_final(line)
    assert line.type is not None, f"line {line.number} is of no known type"
    return _FINDERS[line.type](line, named, rows)


def named_by(line: ImportedLine, rows: Rows) -> Transaction | None:
    """The transaction that a line refers to: by our ids, or else by a processor's.

    If it refers to a transaction of ours that does not exist, no other id is tried.
    """
    named = named_by_us(line, rows)
    if named is not None:
        agrees = line.references.payment_id in (None, named.payment_id)
        return named if agrees else None
    if line.references.transaction_id is not None:
        return None
    for processor_id in line.references.processor_ids:
        found = rows.of_processor(processor_id)
        if found:
            return _likeliest(line, found)
    return None


def named_by_us(line: ImportedLine, rows: Rows) -> Transaction | None:
    """The transaction with that id, or the charge of the payment, by our ids."""
    if line.references.transaction_id is not None:
        return rows.transaction(line.references.transaction_id)
    if line.references.payment_id is not None:
        return rows.transaction(charge_transaction_id(line.references.payment_id))
    return None


def _likeliest(line: ImportedLine, found: Sequence[Transaction]) -> Transaction:
    """A charge and its captures may have one id at the processor; a capture line matches both."""
    refunds = line.type in (LineType.REFUND, LineType.REFUND_FAILURE)
    wanted = (
        (TransactionType.REFUND,)
        if refunds
        else (TransactionType.AUTHORIZATION, TransactionType.CAPTURE)
    )
    return next((each for kind in wanted for each in found if each.type is kind), found[0])


def _unknown(line: ImportedLine) -> str:
    references = line.references
    if references.transaction_id is not None:
        of = f" of payment {echoed(references.payment_id)}" if references.payment_id else ""
        return f"no transaction {echoed(references.transaction_id)}{of} is known here"
    if references.payment_id is not None:
        return f"no payment {echoed(references.payment_id)} is known here"
    if references.processor_ids:
        ids = " or ".join(echoed(each) for each in references.processor_ids)
        return f"nothing here is known by the processor's id {ids}"
    return "the line names no payment"


# -------------------------------------------------------------------- captures


def _captures(
    line: ImportedLine, named: Transaction, rows: Rows
) -> tuple[Counterpart, ...] | Verdict:
    if named.type in (TransactionType.REFUND, TransactionType.VOID):
        return _of_another_kind(named, "capture")
    if named.type is TransactionType.CAPTURE and (
        line.references.transaction_id or named.id == charge_transaction_id(named.payment_id)
    ):
        captures: list[Transaction] = [named]
    else:
        everything = rows.transactions_of(named.payment_id)
        captures = [each for each in everything if each.type is TransactionType.CAPTURE]
    opened = [each for each in captures if _is_open(each)]
    if not opened:
        return _no_open_capture(line, named, captures)
    charge_id = charge_transaction_id(named.payment_id)
    # A line that refers to a capture matches only that one, and is never combined with others.
    group = None if line.references.transaction_id == opened[0].id else charge_id
    return tuple(
        Counterpart(
            ours=Amounts(amount=each.amount, fee=each.fee),
            currency=each.currency,
            payment_id=each.payment_id,
            status=each.status,
            transactions=(each.id,),
            charge_id=group,
        )
        for each in opened
    )


def _is_open(capture: Transaction) -> bool:
    return capture.status is TransactionStatus.SUCCEEDED and capture.settlement_id is None


def _no_open_capture(
    line: ImportedLine, named: Transaction, captures: Sequence[Transaction]
) -> Verdict:
    settled = [each for each in captures if each.settlement_id is not None]
    if settled and line.amount < 0:
        amount, currency = stated(line)
        return Verdict(
            LineStatus.AMOUNT_MISMATCH,
            f"the captures of {named.payment_id} are settled, and the file takes back "
            f"{format_amount(-amount, currency)}",
            waits=True,
        )
    if settled:
        return Verdict(LineStatus.DUPLICATE, _settled_by(settled[-1]))
    of = captures[0] if captures else named
    return _of_another_kind(of, "capture that succeeded")


def _settled_by(transaction: Transaction) -> str:
    line = "" if transaction.settlement_line is None else f", line {transaction.settlement_line}"
    return f"already settled by {transaction.settlement_id}{line}"


def _of_another_kind(ours: Transaction, wanted: str) -> Verdict:
    return Verdict(
        LineStatus.STATUS_MISMATCH, f"ours is a {ours.type} that is {ours.status}, not a {wanted}"
    )


# -------------------------------------------------------------------- refunds and their failures


def _refunds(
    line: ImportedLine, named: Transaction, rows: Rows
) -> tuple[Counterpart, ...] | Verdict:
    refunds = _refunds_named(line, named, rows)
    if isinstance(refunds, Verdict):
        return refunds
    opened = [each for each in refunds if has_happened(each) and each.settlement_id is None]
    if opened:
        each = _nearest(opened, -stated(line)[0])
        return (
            Counterpart(
                ours=Amounts(amount=-each.amount, fee=each.fee),
                currency=each.currency,
                payment_id=each.payment_id,
                status=each.status,
                transactions=(each.id,),
            ),
        )
    settled = [each for each in refunds if each.settlement_id is not None]
    if settled:
        return Verdict(LineStatus.DUPLICATE, _settled_by(settled[-1]))
    return _of_another_kind(refunds[0], "refund that succeeded")


def _refund_failures(
    line: ImportedLine, named: Transaction, rows: Rows
) -> tuple[Counterpart, ...] | Verdict:
    refunds = _refunds_named(line, named, rows)
    if isinstance(refunds, Verdict):
        return refunds
    came_back = [each for each in refunds if has_come_back(each)]
    opened = [each for each in came_back if each.return_settlement_id is None]
    if opened:
        each = _nearest(opened, stated(line)[0])
        return (
            Counterpart(
                ours=Amounts(amount=each.amount),
                currency=each.currency,
                payment_id=each.payment_id,
                status=each.status,
                returned=each.id,
            ),
        )
    if came_back:
        by = came_back[-1].return_settlement_id
        return Verdict(LineStatus.DUPLICATE, f"its return is already settled by {by}")
    return Verdict(
        LineStatus.STATUS_MISMATCH,
        f"refund {refunds[0].id} is {refunds[0].status} here: that it came back is not booked yet; "
        f"{AGAIN}",
    )


def _refunds_named(
    line: ImportedLine, named: Transaction, rows: Rows
) -> Sequence[Transaction] | Verdict:
    """The refund that the line refers to, or all of its payment; never empty."""
    if named.type is TransactionType.REFUND:
        return [named]
    if line.references.transaction_id is not None:
        return _of_another_kind(named, "refund")
    everything = rows.transactions_of(named.payment_id)
    refunds = [each for each in everything if each.type is TransactionType.REFUND]
    if not refunds:
        return Verdict(LineStatus.UNEXPECTED, f"no refund of {named.payment_id} is known here")
    return refunds


def has_happened(refund: Transaction) -> bool:
    """Whether a refund was booked: it succeeded, and may have failed since."""
    return refund.status in _DONE or has_come_back(refund)


def has_come_back(refund: Transaction) -> bool:
    """Whether a refund failed after it had succeeded, which was booked as well."""
    succeeded = any(step.status in _DONE for step in refund.audit_trail)
    return refund.status is TransactionStatus.FAILED and succeeded


def _nearest(refunds: Sequence[Transaction], amount: int) -> Transaction:
    """Of several refunds of one payment the first with this amount, or else the first one."""
    return next((each for each in refunds if each.amount == amount), refunds[0])


# -------------------------------------------------------------------- disputes


def _disputes(
    line: ImportedLine, named: Transaction, rows: Rows
) -> tuple[Counterpart, ...] | Verdict:
    return dispute_counterparts(line, named.payment_id, rows.payment(named.payment_id))


_Finder = Callable[[ImportedLine, Transaction, Rows], "tuple[Counterpart, ...] | Verdict"]
_FINDERS: Final[Mapping[LineType, _Finder]] = {
    LineType.CAPTURE: _captures,
    LineType.REFUND: _refunds,
    LineType.REFUND_FAILURE: _refund_failures,
    LineType.DISPUTE: _disputes,
    LineType.DISPUTE_REVERSAL: _disputes,
}
HAS_COUNTERPART: Final = frozenset(_FINDERS)
"""Types of lines about something that was booked before."""
