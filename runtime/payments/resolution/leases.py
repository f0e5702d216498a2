"""Leases of payments and operations that the resolver works on, and what came of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from runtime.core.change_context import ChangeContext
from runtime.core.observability import logger
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment
from runtime.payments.operations.rules import retry_delay
from runtime.payments.transaction_models import Transaction

RESOLVER: Final = "resolver"


class ResolutionResult(StrEnum):
    """The result for a due payment or operation. `over`: there was nothing left to do.

    `waiting`: the processor has no final answer yet. `customer`: the customer still has time.
    """

    RESOLVED = "resolved"
    WAITING = "waiting"
    CUSTOMER = "customer"
    OVER = "over"


def log_resolved(row: Payment | Transaction, asked_by: str) -> None:
    """Log that an outcome is known; `asked_by`: the request that waited for it."""
    logger.info(
        "an unknown outcome is resolved",
        payment=row.payment_id if isinstance(row, Transaction) else row.id,
        request_id=asked_by,
    )


def is_leased(row: Payment | Transaction, now: datetime) -> bool:
    """Whether another process may still be working on it."""
    if row.lease_owner is None or row.lease_expires_at is None:
        return False
    return to_datetime(row.lease_expires_at) > now


def lease_of(
    row: Payment | Transaction, now: datetime, deps: PaymentDependencies, request_id: str
) -> dict[str, object]:
    """The fields that lease `row` to this run. Once the lease expires, another run may take it."""
    owner = deps.outside.new_id("att", now)
    context = ChangeContext(changed_by=RESOLVER, request_id=request_id, cause=owner)
    wait = retry_delay(now - to_datetime(row.created_at), deps.resolver_lease)
    return {
        "version": row.version + 1,
        "updated_at": to_timestamp(now),
        "lease_owner": owner,
        "lease_expires_at": to_timestamp(now + deps.resolver_lease),
        "next_action_at": to_timestamp(now + wait),
        **context.stamp(),
    }
