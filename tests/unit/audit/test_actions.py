"""Names of changes in the audit log."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.audit.actions import ALL_ACTIONS, action_of
from runtime.audit.models import EntityType

ACCOUNT, PAYMENT, CUSTOMER = EntityType.ACCOUNT, EntityType.PAYMENT, EntityType.CUSTOMER
MERCHANT, TRANSFER, SETTLEMENT = EntityType.MERCHANT, EntityType.TRANSFER, EntityType.SETTLEMENT
TRANSACTION = EntityType.TRANSACTION

CASES: list[tuple[EntityType, dict[str, Any] | None, dict[str, Any], str]] = [
    (ACCOUNT, None, {"status": "active"}, "account_opened"),
    (ACCOUNT, {"balance": 10}, {"balance": 7}, "balance_debited"),
    (ACCOUNT, {"balance": 10}, {"balance": 12}, "balance_credited"),
    (ACCOUNT, {"held_out": 0}, {"held_out": 5}, "funds_held"),
    (ACCOUNT, {"held_out": 5}, {"held_out": 0}, "held_funds_released"),
    (ACCOUNT, {"balance": 9, "held_out": 5}, {"balance": 5, "held_out": 0}, "balance_debited"),
    (ACCOUNT, {"balance": 0, "held_in": 5}, {"balance": 5, "held_in": 0}, "balance_credited"),
    (ACCOUNT, {"held_in": 0}, {"held_in": 5}, "incoming_funds_held"),
    (ACCOUNT, {"status": "active"}, {"status": "inactive"}, "account_deactivated"),
    (ACCOUNT, {"status": "inactive"}, {"status": "active"}, "account_activated"),
    (ACCOUNT, {"status": "active"}, {"status": "closed"}, "account_closed"),
    (ACCOUNT, {}, {"locked_until": "later"}, "account_locked"),
    (ACCOUNT, {"locked_until": "later"}, {}, "account_unlocked"),
    (ACCOUNT, {"a": 1}, {"a": 2}, "account_updated"),
    (PAYMENT, None, {"status": "processing"}, "payment_created"),
    (PAYMENT, {"status": "processing"}, {"status": "succeeded"}, "payment_succeeded"),
    (PAYMENT, {"status": "unknown"}, {"status": "failed"}, "payment_failed"),
    (PAYMENT, {"amount_captured": 1}, {"amount_captured": 2}, "amount_captured"),
    (
        PAYMENT,
        {"amount_refunded": 0, "pending_refund_minor": 5},
        {"amount_refunded": 5, "pending_refund_minor": 0},
        "amount_refunded",
    ),
    (PAYMENT, {"pending_refund_minor": 0}, {"pending_refund_minor": 5}, "refund_requested"),
    (PAYMENT, {"pending_refund_minor": 5}, {"pending_refund_minor": 0}, "refund_refused"),
    (PAYMENT, {"amount_refunded": 5}, {"amount_refunded": 0}, "refund_returned"),
    (PAYMENT, {}, {"dispute_status": "opened"}, "dispute_opened"),
    (PAYMENT, {"lease_owner": "a"}, {"lease_owner": "b"}, "lease_taken"),
    (TRANSACTION, None, {"type": "refund", "status": "pending"}, "refund_pending"),
    (
        TRANSACTION,
        {"type": "capture", "status": "succeeded"},
        {"type": "capture", "status": "settled"},
        "capture_settled",
    ),
    (TRANSFER, None, {"status": "pending"}, "transfer_held"),
    (TRANSFER, None, {"status": "processed"}, "transfer_processed"),
    (TRANSFER, {"status": "pending"}, {"status": "expired"}, "transfer_expired"),
    (CUSTOMER, None, {}, "customer_created"),
    (CUSTOMER, {"failed_attempts": 0}, {"failed_attempts": 1}, "attempt_failed"),
    (CUSTOMER, {"failed_attempts": 2}, {"locked_until": "later"}, "customer_locked"),
    (CUSTOMER, {"locked_until": "past"}, {"failed_attempts": 1}, "attempt_failed"),
    (CUSTOMER, {"failed_attempts": 2}, {"failed_attempts": 0}, "attempts_forgotten"),
    (CUSTOMER, {"email": "changed"}, {"erased_at": "now"}, "customer_erased"),
    (MERCHANT, {"webhook_url": "a"}, {"webhook_url": "b"}, "webhook_url_changed"),
    (SETTLEMENT, {"lines_done": 1}, {"lines_done": 9}, "settlement_progressed"),
    (SETTLEMENT, {"open_exceptions": 3}, {"open_exceptions": 2}, "exception_resolved"),
    (SETTLEMENT, {"open_exceptions": 2}, {"open_exceptions": 3}, "exception_reopened"),
    (
        SETTLEMENT,
        {"status": "completed_with_exceptions", "open_exceptions": 1},
        {"status": "completed", "open_exceptions": 0},
        "settlement_completed",
    ),
    (TRANSACTION, {}, {"missing_in": "set_1"}, "transaction_missing"),
    (
        MERCHANT,
        {"reconciliation": {"sla_days": 7}},
        {"reconciliation": {"sla_days": 3}},
        "reconciliation_terms_changed",
    ),
    (
        SETTLEMENT,
        {"status": "processing", "lines_done": 1},
        {"status": "completed_with_exceptions", "lines_done": 2},
        "settlement_completed_with_exceptions",
    ),
]


@pytest.mark.parametrize(("entity", "old", "new", "action"), CASES)
def test_a_change_is_named_after_its_most_significant_field(
    entity: EntityType, old: dict[str, Any] | None, new: dict[str, Any], action: str
) -> None:
    before = old or {}
    changes = {name for name in {*before, *new} if before.get(name) != new.get(name)}
    assert action_of(entity, old, new, changes) == action
    assert action in ALL_ACTIONS


def test_a_changed_secret_is_named_although_its_value_is_never_shown() -> None:
    same = {"webhook_secret": "changed"}
    assert action_of(MERCHANT, same, same, {"webhook_secret"}) == "webhook_secret_rotated"
