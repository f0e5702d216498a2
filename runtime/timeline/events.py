"""Events of a payment's timeline, made from the rows that record them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from runtime.audit.models import AuditRow
from runtime.ledger.transfers.models import Transfer
from runtime.payments.models import Payment
from runtime.payments.posting_ids import posting_id, returned_refund_posting_id
from runtime.payments.transaction_models import (
    AuditStep,
    Transaction,
    TransactionStatus,
    TransactionType,
)
from runtime.reconciliation.transactions.repository import LineView
from runtime.timeline.api import TimelineEvent, TimelineKind
from runtime.webhooks.events import (
    StatusChange,
    new_dispute_statuses,
    recorded_dispute_statuses,
)
from runtime.webhooks.models import WebhookState

_ORDER: Final = {kind: place for place, kind in enumerate(TimelineKind)}
_POSTED: Final = frozenset({TransactionType.CAPTURE, TransactionType.REFUND})


def in_order(events: Iterable[TimelineEvent]) -> tuple[TimelineEvent, ...]:
    """Events by time; those of one time by kind."""
    key = lambda each: (each.at, _ORDER[each.kind], each.id, each.sequence or "")  # noqa: E731
    return tuple(sorted(events, key=key))


def posting_ids_of(payment: Payment, transactions: Sequence[Transaction]) -> list[str]:
    """Transfers that may book the payment: their ids follow from what they book.

    Not those of settlement lines, which are booked in batches.
    """
    booked = [posting_id(each.id) for each in transactions if each.type in _POSTED]
    refunds = [each.id for each in transactions if each.type is TransactionType.REFUND]
    disputes = (payment.disputes or {}).values()
    return [
        *booked,
        *map(returned_refund_posting_id, refunds),
        *(transfer_id for dispute in disputes for transfer_id in dispute.transfer_ids),
    ]


def status_changes(
    rows: Iterable[AuditRow], payment: Payment, transactions: Sequence[Transaction]
) -> Iterator[StatusChange]:
    """The changes of status in audit rows, also of disputes, that merchants have events of."""
    refunds = {each.id for each in transactions if each.type is TransactionType.REFUND}
    for row in rows:
        status = row.new_values.get("status")
        if isinstance(status, str) and (row.entity_id == payment.id or row.entity_id in refunds):
            yield StatusChange(row.entity_id, row.version, status, row.timestamp)
        if row.entity_id == payment.id:
            before, after = map(recorded_dispute_statuses, (row.old_values, row.new_values))
            for dispute_id, now in new_dispute_statuses(before, after):
                yield StatusChange(payment.id, row.version, now, row.timestamp, dispute_id)


def of_payment(payment: Payment) -> Iterator[TimelineEvent]:
    """The payment's creation, and its disputes."""
    yield TimelineEvent(
        at=payment.created_at,
        kind=TimelineKind.CREATED,
        id=payment.id,
        title="Payment created",
        status=payment.status,
        amount=payment.amount,
        currency=payment.currency,
        detail=payment.failure_reason or payment.reference or payment.description,
    )
    for identifier, dispute in (payment.disputes or {}).items():
        if dispute.since is not None:
            yield TimelineEvent(
                at=dispute.since,
                kind=TimelineKind.DISPUTE,
                id=identifier,
                title="Dispute opened",
                status=dispute.status,
                amount=dispute.amount,
                currency=payment.currency,
            )


def of_transaction(transaction: Transaction) -> Iterator[TimelineEvent]:
    """Each status that the transaction had. A pending one has no response of the processor yet."""
    first = AuditStep(
        status=transaction.status, at=transaction.created_at, by=transaction.changed_by
    )
    for step in transaction.audit_trail or (first,):
        yield TimelineEvent(
            at=step.at,
            kind=TimelineKind.TRANSACTION,
            id=transaction.id,
            title=f"{transaction.type.value.capitalize()} {step.status.value}",
            status=step.status,
            amount=transaction.amount,
            currency=transaction.currency,
            detail=None if step.status is TransactionStatus.PENDING else transaction.response_text,
        )


def of_posting(transfer: Transfer) -> TimelineEvent:
    """A booking in the ledger."""
    return TimelineEvent(
        at=transfer.processed_at or transfer.created_at,
        kind=TimelineKind.POSTING,
        id=transfer.id,
        title="Posted to the ledger",
        status=transfer.status,
        amount=transfer.amount,
        currency=transfer.currency,
        detail=transfer.description,
    )


def of_audit_row(row: AuditRow) -> TimelineEvent:
    """A recorded change."""
    return TimelineEvent(
        at=row.timestamp,
        kind=TimelineKind.AUDIT,
        id=row.entity_id,
        title=row.action,
        detail=f"version {row.version}, by {row.user_id}",
        request_id=row.request_id or None,
        sequence=row.sequence,
    )


def of_webhook(delivery: WebhookState) -> TimelineEvent:
    """A delivery, at the time of its event."""
    attempts = "1 attempt" if delivery.attempts == 1 else f"{delivery.attempts} attempts"
    answered = f", last response {delivery.response_code}" if delivery.response_code else ""
    return TimelineEvent(
        at=delivery.created_at,
        kind=TimelineKind.WEBHOOK,
        id=delivery.id,
        title=delivery.event_type,
        status=delivery.status,
        detail=f"to {delivery.target}: {attempts}{answered}",
    )


def of_line(line: LineView) -> TimelineEvent:
    """A line of a settlement file."""
    return TimelineEvent(
        at=line.created_at,
        kind=TimelineKind.SETTLEMENT_LINE,
        id=line.settlement_id,
        title="Settlement line",
        status=line.status,
        amount=line.amount,
        currency=line.currency,
        detail=line.reason,
        line=line.line,
    )
