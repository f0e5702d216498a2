"""Action names of audit rows: each is named after the field that matters most."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from runtime.audit.models import EntityType
from runtime.ledger.transfers.models import TransferStatus
from runtime.payments.models import DisputeStatus, PaymentStatus
from runtime.payments.transaction_models import TransactionStatus, TransactionType
from runtime.reconciliation.settlements.models import SettlementStatus

OUT_OF_BAND_ACTION: Final = "out_of_band"
"""The row was changed or deleted outside the application; the author is unknown."""
REBUILT: Final = "rebuilt"
"""The version's own stream record was lost; its content comes from the next record."""

Values = Mapping[str, Any]
_UP, _DOWN = 1, -1

_MOVED: Final[Mapping[EntityType, tuple[tuple[str, int, str], ...]]] = {
    EntityType.ACCOUNT: (
        ("balance", _DOWN, "balance_debited"),
        ("balance", _UP, "balance_credited"),
        ("held_out", _UP, "funds_held"),
        ("held_out", _DOWN, "held_funds_released"),
        ("held_in", _UP, "incoming_funds_held"),
        ("held_in", _DOWN, "incoming_funds_released"),
        ("credit_limit", _UP, "credit_limit_raised"),
        ("credit_limit", _DOWN, "credit_limit_lowered"),
    ),
    EntityType.PAYMENT: (
        ("amount_captured", _UP, "amount_captured"),
        ("amount_refunded", _UP, "amount_refunded"),
        ("amount_refunded", _DOWN, "refund_returned"),
        ("pending_capture_minor", _UP, "capture_requested"),
        ("pending_capture_minor", _DOWN, "capture_refused"),
        ("pending_refund_minor", _UP, "refund_requested"),
        ("pending_refund_minor", _DOWN, "refund_refused"),
    ),
    EntityType.CUSTOMER: (
        ("failed_attempts", _UP, "attempt_failed"),
        ("failed_attempts", _DOWN, "attempts_forgotten"),
    ),
    EntityType.SETTLEMENT: (
        ("lines_done", _UP, "settlement_progressed"),
        ("open_exceptions", _DOWN, "exception_resolved"),
        ("open_exceptions", _UP, "exception_reopened"),
    ),
}
"""Numeric fields by direction of change; the first that changed names the action. The balance comes
before held amounts because posting a hold changes both."""

_TOUCHED: Final[Mapping[EntityType, tuple[tuple[str, str], ...]]] = {
    EntityType.PAYMENT: (
        ("disputes", "dispute_changed"),
        ("closing_id", "closing_changed"),
        ("lease_owner", "lease_taken"),
        ("next_action_at", "next_look_planned"),
    ),
    EntityType.CUSTOMER: (
        ("payment_methods", "payment_methods_changed"),
        ("default_method", "default_method_changed"),
    ),
    EntityType.MERCHANT: (
        ("webhook_secret", "webhook_secret_rotated"),
        ("processor_config", "processor_config_changed"),
        ("processor", "processor_changed"),
        ("processor_account", "processor_changed"),
        ("earlier_configs", "processor_config_changed"),
        ("webhook_url", "webhook_url_changed"),
        ("webhook_events", "webhook_endpoints_changed"),
        ("webhook_description", "webhook_endpoints_changed"),
        ("webhook_status", "webhook_endpoints_changed"),
        ("webhook_endpoints", "webhook_endpoints_changed"),
        ("rate_limits", "rate_limits_changed"),
        ("reconciliation", "reconciliation_terms_changed"),
        ("index_buckets", "index_buckets_raised"),
        ("features", "features_changed"),
    ),
    EntityType.TRANSACTION: (
        ("next_action_at", "next_look_planned"),
        ("missing_in", "transaction_missing"),
    ),
}
_CREATED: Final[Mapping[EntityType, str]] = {
    EntityType.ACCOUNT: "account_opened",
    EntityType.CUSTOMER: "customer_created",
    EntityType.MERCHANT: "merchant_created",
    EntityType.PAYMENT: "payment_created",
    EntityType.SETTLEMENT: "settlement_started",
}
_STATUS_WORDS: Final[Mapping[tuple[EntityType, str], str]] = {
    (EntityType.ACCOUNT, "active"): "activated",
    (EntityType.ACCOUNT, "inactive"): "deactivated",
    (EntityType.MERCHANT, "active"): "activated",
    (EntityType.MERCHANT, "inactive"): "deactivated",
    (EntityType.TRANSFER, TransferStatus.PENDING.value): "held",
}
_LOCKABLE: Final = frozenset({EntityType.ACCOUNT, EntityType.CUSTOMER})


def action_of(entity: EntityType, old: Values | None, new: Values, changes: Collection[str]) -> str:
    """The action of one change of an entity; `old` is None for a new one.

    Values are as runtime.streams.images.shown returns them; `changes` are the names of the changed
    attributes.
    """
    if old is None:
        return _CREATED.get(entity) or _by_status(entity, new)
    if "erased_at" in changes:
        return "customer_erased"
    if "status" in changes:
        return _by_status(entity, new)
    if "dispute_status" in changes:
        return f"dispute_{new.get('dispute_status')}"
    lock_changes = entity in _LOCKABLE and "locked_until" in changes
    if lock_changes and new.get("locked_until"):
        return f"{entity}_locked"
    for name, direction, action in _MOVED.get(entity, ()):
        if (_number(new, name) - _number(old, name)) * direction > 0:
            return action
    if lock_changes:
        return f"{entity}_unlocked"
    for name, action in _TOUCHED.get(entity, ()):
        if name in changes:
            return action
    return f"{entity}_updated"


def _by_status(entity: EntityType, new: Values) -> str:
    status = str(new.get("status"))
    if entity is EntityType.TRANSACTION:
        return f"{new.get('type')}_{status}"
    return f"{entity}_{_STATUS_WORDS.get((entity, status), status)}"


def _number(values: Values, name: str) -> int:
    value = values.get(name, 0)
    return value if isinstance(value, int) else 0


def _all_actions() -> frozenset[str]:
    moved = (action for steps in _MOVED.values() for _, _, action in steps)
    touched = (action for steps in _TOUCHED.values() for _, action in steps)
    transactions = (f"{kind}_{status}" for kind in TransactionType for status in TransactionStatus)
    statuses = (
        *(f"payment_{status}" for status in PaymentStatus),
        *(f"settlement_{status}" for status in SettlementStatus),
        *(f"transfer_{status}" for status in TransferStatus if status != TransferStatus.PENDING),
        *(f"dispute_{status}" for status in DisputeStatus),
        *(f"{entity}_{word}" for (entity, _), word in _STATUS_WORDS.items()),
        "account_closed",
    )
    locks = (f"{entity}_{what}" for entity in _LOCKABLE for what in ("locked", "unlocked"))
    updates = (f"{entity}_updated" for entity in EntityType)
    named = {"customer_erased", OUT_OF_BAND_ACTION, REBUILT}
    return frozenset(
        {*moved, *touched, *transactions, *statuses, *locks, *updates, *_CREATED.values(), *named}
    )


ALL_ACTIONS: Final = _all_actions()
"""Every action the application can cause, and the two it cannot (out_of_band, rebuilt)."""
