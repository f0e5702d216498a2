"""Which row changes are events for a merchant. Pure.

A change that does not increment the version by exactly one was made out of band and is not an
event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from runtime.alerts.models import Alert, AlertType
from runtime.core.fields import PLATFORM, Timestamp
from runtime.core.ids import repeatable_id
from runtime.core.timestamps import to_datetime
from runtime.customers.models import CustomerState
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import Row
from runtime.ledger.accounts.models import PROFILE_SHARD, Account
from runtime.ledger.transfers.models import Transfer, TransferStatus
from runtime.merchants.webhook_endpoints import first_endpoint_id
from runtime.payments.models import DisputeStatus, Payment, PaymentStatus
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType
from runtime.reconciliation.settlements.models import Settlement, SettlementStatus
from runtime.reporting.exports.models import Export, ExportStatus
from runtime.webhooks.models import EventType

DELIVERY_PREFIX: Final = "whk"
_PAYMENT_PREFIX: Final = "pay_"

_PAYMENTS: Final[Mapping[PaymentStatus, EventType]] = {
    PaymentStatus.SUCCEEDED: EventType.PAYMENT_SUCCEEDED,
    PaymentStatus.FAILED: EventType.PAYMENT_FAILED,
    PaymentStatus.REQUIRES_ACTION: EventType.PAYMENT_REQUIRES_ACTION,
    PaymentStatus.REQUIRES_CAPTURE: EventType.PAYMENT_REQUIRES_CAPTURE,
    PaymentStatus.CANCELED: EventType.PAYMENT_CANCELED,
    PaymentStatus.UNKNOWN: EventType.PAYMENT_UNKNOWN,
}
_BY_DISPUTE_STATUS: Final[Mapping[str, EventType]] = {
    DisputeStatus.OPENED.value: EventType.DISPUTE_OPENED,
    DisputeStatus.WON.value: EventType.DISPUTE_WON,
    DisputeStatus.LOST.value: EventType.DISPUTE_LOST,
}
_REFUNDS: Final[Mapping[TransactionStatus, EventType]] = {
    TransactionStatus.SUCCEEDED: EventType.REFUND_SUCCEEDED,
    TransactionStatus.FAILED: EventType.REFUND_FAILED,
}
_TRANSFERS: Final[Mapping[TransferStatus, EventType]] = {
    TransferStatus.PROCESSED: EventType.TRANSFER_PROCESSED,
    TransferStatus.FAILED: EventType.TRANSFER_FAILED,
    TransferStatus.CANCELED: EventType.TRANSFER_CANCELED,
    TransferStatus.EXPIRED: EventType.TRANSFER_CANCELED,
}
_SETTLEMENTS: Final[Mapping[SettlementStatus, EventType]] = {
    SettlementStatus.COMPLETED: EventType.SETTLEMENT_COMPLETED,
    SettlementStatus.COMPLETED_WITH_EXCEPTIONS: EventType.SETTLEMENT_EXCEPTIONS,
    SettlementStatus.REJECTED: EventType.SETTLEMENT_EXCEPTIONS,
}
_EXPORTS: Final[Mapping[ExportStatus, EventType]] = {
    ExportStatus.COMPLETED: EventType.EXPORT_COMPLETED,
}
_ALERTS: Final[Mapping[AlertType, EventType]] = {
    AlertType.LARGE_TRANSACTION: EventType.ALERT_LARGE_TRANSACTION,
    AlertType.SUSPICIOUS_VELOCITY: EventType.ALERT_SUSPICIOUS_VELOCITY,
}

_Versioned = Account | CustomerState | Export | Payment | Settlement | Transaction | Transfer


@dataclass(frozen=True, slots=True)
class Event:
    """An event about `subject`, one of a merchant's rows, as it was at the time.

    `sequence` increases with every change of a subject; receivers order its events by it.
    `dispute_id`: the payment's dispute that the event is about, if it is about one.
    """

    type: EventType
    merchant_id: str
    subject: Row
    subject_id: str
    sequence: int
    at: Timestamp
    dispute_id: str | None = None

    def delivery_id(self, endpoint_id: str) -> str:
        """Id of the event's delivery to an endpoint: the same every time the change is read.

        It sorts by the time of the change; the rest is a hash of event and endpoint.
        """
        change = (_TABLES[type(self.subject)], self.subject_id, str(self.sequence), self.type)
        return delivery_id(
            to_datetime(self.at),
            change if self.dispute_id is None else (*change, self.dispute_id),
            None if endpoint_id == first_endpoint_id(self.merchant_id) else endpoint_id,
        )

    @property
    def request_id(self) -> str | None:
        """The request or run that made the change; None for an alert, whose row has none."""
        return self.subject.request_id if isinstance(self.subject, Record) else None

    @property
    def payment_id(self) -> str | None:
        """The payment of the event, if any."""
        if isinstance(self.subject, Transaction):
            return self.subject.payment_id
        named = self.subject.entity_id if isinstance(self.subject, Alert) else self.subject_id
        return named if named.startswith(_PAYMENT_PREFIX) else None


def delivery_id(at: datetime, event: tuple[str, ...], endpoint_id: str | None) -> str:
    """Id of a delivery of `event`: table, id, version and type of event, and a dispute's id.

    `endpoint_id` None: the merchant's first endpoint, whose deliveries had the same ids when
    merchants had no other ones.
    """
    return repeatable_id(DELIVERY_PREFIX, at, *event, *([endpoint_id] if endpoint_id else []))


_BY_STATUS: Final[Mapping[type[Row], Mapping[str, EventType]]] = {
    Payment: {status.value: kind for status, kind in _PAYMENTS.items()},
    Transaction: {status.value: kind for status, kind in _REFUNDS.items()},
}


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A recorded change of the status of a payment or refund: its new version and status.

    `dispute_id`: the status is that of this dispute of the payment.
    """

    subject_id: str
    version: int
    status: str
    at: Timestamp
    dispute_id: str | None = None


def delivery_ids(change: StatusChange, merchant_id: str, endpoint_ids: Sequence[str]) -> list[str]:
    """The ids of its event's deliveries to these endpoints; none if it is not an event."""
    row = Payment if change.subject_id.startswith(_PAYMENT_PREFIX) else Transaction
    types = _BY_STATUS[row] if change.dispute_id is None else _BY_DISPUTE_STATUS
    kind = types.get(change.status)
    if kind is None:
        return []
    event: tuple[str, ...] = (row.table_schema.name, change.subject_id, str(change.version), kind)
    if change.dispute_id is not None:
        event = (*event, change.dispute_id)
    first = first_endpoint_id(merchant_id)
    at = to_datetime(change.at)
    return [delivery_id(at, event, None if each == first else each) for each in endpoint_ids]


def events_of(old: Row | None, new: Row | None) -> tuple[Event, ...]:
    """The events of the change from `old` to `new`: of most changes none, of a few several."""
    if new is None or type(new) not in _TABLES:
        return ()
    if isinstance(new, Alert):
        if old is not None or new.type not in _ALERTS or new.merchant_id == PLATFORM:
            return ()
        return (Event(_ALERTS[new.type], new.merchant_id, new, new.id, 1, new.created_at),)
    assert isinstance(new, _Versioned), "every other subject has a version"
    before = old.version if isinstance(old, _Versioned) else 0
    if new.version != before + 1 or new.merchant_id == PLATFORM:
        return ()
    return tuple(
        Event(kind, new.merchant_id, new, new.id, new.version, new.updated_at, dispute_id)
        for kind, dispute_id in _kinds(old, new)
    )


def _kinds(old: Row | None, new: Row) -> Iterator[tuple[EventType, str | None]]:
    """The type of each event, with the id of the dispute that it is about, if any."""
    kind = _KINDS[type(new)](old, new)
    if kind is not None:
        yield kind, None
    if isinstance(new, Payment) and new.disputes:
        before = _dispute_statuses(old if isinstance(old, Payment) else None)
        for dispute_id, status in new_dispute_statuses(before, _dispute_statuses(new)):
            yield _BY_DISPUTE_STATUS[status], dispute_id


def _dispute_statuses(payment: Payment | None) -> dict[str, str]:
    disputes = (payment.disputes if payment is not None else None) or {}
    return {dispute_id: dispute.status.value for dispute_id, dispute in disputes.items()}


def new_dispute_statuses(
    before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Each dispute whose status changed, by its id, with its new status.

    A dispute that is already decided when it is first seen was opened, too: as at Stripe, every
    dispute has an event of its opening, so that it can be counted by that.
    """
    for dispute_id, status in after.items():
        known = before.get(dispute_id)
        if known is None and status != DisputeStatus.OPENED:
            yield dispute_id, DisputeStatus.OPENED.value
        if known != status:
            yield dispute_id, status


def recorded_dispute_statuses(values: Mapping[str, Any]) -> dict[str, str]:
    """The status of each dispute in the values of a payment's audit row.

    A row that was edited by hand may hold anything: all but disputes is left out.
    """
    disputes = values.get("disputes")
    return {
        name: dispute["status"]
        for name, dispute in (disputes.items() if isinstance(disputes, Mapping) else ())
        if isinstance(dispute, Mapping) and isinstance(dispute.get("status"), str)
    }


def _payment(old: Payment | None, new: Payment) -> EventType | None:
    return _PAYMENTS.get(new.status) if old is None or old.status is not new.status else None


def _refund(old: Transaction | None, new: Transaction) -> EventType | None:
    if new.type is not TransactionType.REFUND or (old is not None and old.status is new.status):
        return None
    return _REFUNDS.get(new.status)


def _transfer(old: Transfer | None, new: Transfer) -> EventType | None:
    """Transfers by callers. Bookings of payments and settlements have their own events."""
    if new.payment_id is not None or new.settlement_id is not None:
        return None
    return _TRANSFERS.get(new.status) if old is None or old.status is not new.status else None


def _settlement(old: Settlement | None, new: Settlement) -> EventType | None:
    return _SETTLEMENTS.get(new.status) if old is None or old.status is not new.status else None


def _export(old: Export | None, new: Export) -> EventType | None:
    return _EXPORTS.get(new.status) if old is None or old.status is not new.status else None


def _lock(old: Account | CustomerState | None, new: Account | CustomerState) -> EventType | None:
    """Newly locked, or locked for longer."""
    if isinstance(new, Account) and new.shard != PROFILE_SHARD:
        return None
    before = (old.locked_until if old is not None else None) or ""
    return EventType.ACCOUNT_LOCKED if (new.locked_until or "") > before else None


_KINDS: Final[Mapping[type[Row], Callable[..., EventType | None]]] = {
    Account: _lock,
    CustomerState: _lock,
    Export: _export,
    Payment: _payment,
    Settlement: _settlement,
    Transaction: _refund,
    Transfer: _transfer,
}
_TABLES: Final[Mapping[type[Row], str]] = {
    Alert: "alerts",
    CustomerState: "customers",
    **{kind: kind.table_schema.name for kind in _KINDS if kind is not CustomerState},
}
EVENTFUL_TABLES: Final = frozenset(_TABLES.values())
"""Tables whose changes can be events."""
