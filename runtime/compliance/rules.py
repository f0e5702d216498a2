"""Rules for when a change raises an alert. Pure.

Each finding depends only on the change itself, so a redelivered change has the same finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from runtime.alerts.models import AlertFacts, AlertType, Detail, Window
from runtime.core.ids import created_at
from runtime.core.timestamps import to_datetime
from runtime.customers.models import CustomerState
from runtime.ledger.accounts.models import PROFILE_SHARD, Account
from runtime.ledger.transfers.models import Transfer, TransferStatus
from runtime.payments.models import Payment, PaymentStatus

VELOCITY_PERIOD: Final = timedelta(minutes=1)
_CHARGED: Final = frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.REQUIRES_CAPTURE})


def large_payment(old: Payment | None, new: Payment, threshold_minor: int) -> AlertFacts | None:
    """A payment of at least the threshold was just charged or authorized."""
    was_charged = old is not None and old.status in _CHARGED
    if new.status not in _CHARGED or was_charged or new.amount < threshold_minor:
        return None
    detail: Detail = {"amount": new.amount, "currency": new.currency, "status": new.status.value}
    return _large("payment", new, detail)


def large_transfer(old: Transfer | None, new: Transfer, threshold_minor: int) -> AlertFacts | None:
    """A transfer requested by a caller just moved at least the threshold.

    Bookings of payments and settlements are excluded: those are checked themselves.
    """
    was_processed = old is not None and old.status is TransferStatus.PROCESSED
    is_booking = new.payment_id is not None or new.settlement_id is not None
    amount = new.amount if new.posted_amount is None else new.posted_amount
    if new.status is not TransferStatus.PROCESSED or was_processed or is_booking:
        return None
    if amount < threshold_minor:
        return None
    return _large("transfer", new, {"amount": amount, "currency": new.currency})


def _large(entity_type: str, row: Payment | Transfer, detail: Detail) -> AlertFacts:
    at = to_datetime(row.updated_at)
    if row.customer_id is not None:
        detail = {**detail, "customer_id": row.customer_id}
    return AlertFacts(AlertType.LARGE_TRANSACTION, entity_type, row.id, row.merchant_id, detail, at)


def lockout(old: CustomerState | Account | None, new: CustomerState | Account) -> AlertFacts | None:
    """A customer or an account was just locked, or locked for longer."""
    before = old.locked_until if old is not None else None
    until = new.locked_until
    if until is None or (before is not None and until <= before):
        return None
    detail: Detail = {"locked_until": until}
    entity_type = "customer"
    if isinstance(new, Account):
        if new.shard != PROFILE_SHARD:
            return None
        entity_type = "account"
        if new.customer_id is not None:
            detail["customer_id"] = new.customer_id
    at = to_datetime(new.updated_at)
    window = Window(at, until)
    return AlertFacts(AlertType.LOCKOUT, entity_type, new.id, new.merchant_id, detail, at, window)


def minute_of(payment_id: str) -> datetime:
    """The minute in which a payment was created, from its id. Raises ValueError if invalid."""
    return created_at(payment_id).replace(second=0, microsecond=0)


def busy_minutes(payment_ids: Iterable[str], threshold: int) -> Mapping[datetime, tuple[str, ...]]:
    """The minutes in which a payment was the last of `threshold` within VELOCITY_PERIOD.

    Each comes with the first such payments. Adding payments never removes a busy minute, so they
    can arrive in any order.
    """
    timed = sorted((created_at(payment_id), payment_id) for payment_id in payment_ids)
    busy: dict[datetime, tuple[str, ...]] = {}
    for last in range(threshold - 1, len(timed)):
        together = timed[last - threshold + 1 : last + 1]
        if together[-1][0] - together[0][0] < VELOCITY_PERIOD:
            minute = minute_of(together[-1][1])
            busy.setdefault(minute, tuple(payment_id for _, payment_id in together))
    return busy


def velocity(
    customer_id: str, merchant_id: str, minute: datetime, payment_ids: tuple[str, ...]
) -> AlertFacts:
    """A customer began many payments within the period that ends in `minute`.

    The alert window is one clock minute. The listed payments depend on which were known.
    """
    detail: Detail = {
        "payments": len(payment_ids),
        "within_seconds": int(VELOCITY_PERIOD.total_seconds()),
        "payment_ids": list(payment_ids),
    }
    return AlertFacts(
        AlertType.SUSPICIOUS_VELOCITY,
        "customer",
        customer_id,
        merchant_id,
        detail,
        created_at(payment_ids[-1]),
        Window(minute),
    )
