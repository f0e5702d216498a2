"""Events and states of processors, independent of the processor's own terms.

A notification is a hint: it names an object that changed. The object's state is read from the
processor itself, as one of the states below.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from runtime.payments.models import DisputeStatus


class EventKind(StrEnum):
    """The subject of a notification. `ignored`: genuine, but not relevant here."""

    CHARGE_CHANGED = "charge_changed"
    OPERATION_CHANGED = "operation_changed"
    REFUND_FAILED = "refund_failed"
    DISPUTE_CHANGED = "dispute_changed"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class ProcessorEvent:
    """One notification. `id`: the processor's id, which stays the same when it is sent again.

    `charge_id`: the processor's id of the charge. `reference`: our id of the payment or
    transaction, if the notification has it. `object_id`: the processor's id of the dispute or
    refund.
    """

    id: str
    kind: EventKind
    at: datetime
    charge_id: str | None = None
    reference: str | None = None
    object_id: str | None = None


@dataclass(frozen=True, slots=True)
class DisputeState:
    """The current state of a dispute. Amounts are totals in minor units of `currency`.

    `amount_minor` is the disputed amount, `withdrawn_minor` the amount taken so far,
    `reinstated_minor` the part of it that was returned, `fee_minor` what the processor keeps.
    `charge_id` and `reference` identify the charge, as in ProcessorEvent.
    """

    id: str
    status: DisputeStatus
    created_at: datetime
    currency: str
    amount_minor: int
    withdrawn_minor: int
    reinstated_minor: int = 0
    fee_minor: int = 0
    charge_id: str | None = None
    reference: str | None = None


class RefundOutcome(StrEnum):
    """The outcome of a refund at the processor; a failed one did not reach the customer."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RefundState:
    """The current state of a refund at the processor; the amount in minor units of `currency`.

    `reference`: our transaction's id, if the refund carries it.
    """

    id: str
    outcome: RefundOutcome
    created_at: datetime
    amount_minor: int
    currency: str
    reference: str | None = None


class Unapplied(StrEnum):
    """Why a processor's answer cannot be booked."""

    UNKNOWN_PAYMENT = "unknown_payment"
    UNKNOWN_REFUND = "unknown_refund"
    CHARGE_MISMATCH = "charge_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    AMOUNT_MISMATCH = "amount_mismatch"
    ACCEPTED_AS_MISSING = "accepted_as_missing"
    TOO_MANY_DISPUTES = "too_many_disputes"


class NotApplicable(Exception):
    """The processor's answer cannot be booked: an operator has to review it.

    `since`: when the dispute or refund began at the processor. `payment_id`: if it is known.
    """

    def __init__(
        self, reason: Unapplied, detail: str, since: datetime, payment_id: str | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.since = since
        self.payment_id = payment_id
