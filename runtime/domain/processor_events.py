"""What a processor says, whatever the processor calls it.

A notification is a hint: it names something that changed. What became of it is read from the
processor itself, as one of the states below.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from runtime.models.payment import DisputeStatus


class EventKind(StrEnum):
    """What a notification is about. `ignored` is genuine, and nothing that concerns us."""

    CHARGE_CHANGED = "charge_changed"
    OPERATION_CHANGED = "operation_changed"
    REFUND_FAILED = "refund_failed"
    DISPUTE_CHANGED = "dispute_changed"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class ProcessorEvent:
    """One notification. `id` is the processor's and stays the same when it is sent again.

    `charge_id` is what the processor calls the charge, `reference` our own id that it carried (a
    payment's or a transaction's), where it carried one. `object_id`: the processor's id of the
    dispute or refund.
    """

    id: str
    kind: EventKind
    at: datetime
    charge_id: str | None = None
    reference: str | None = None
    object_id: str | None = None


@dataclass(frozen=True, slots=True)
class DisputeState:
    """A dispute as the processor has it now. Amounts in minor units of `currency`, all in total.

    `amount_minor` is what the customer's bank disputes, `withdrawn_minor` what was taken for it so
    far, `reinstated_minor` what of that was given back, `fee_minor` what the processor keeps.
    `charge_id` and `reference` name the charge, as in ProcessorEvent.
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


class RefundFate(StrEnum):
    """What became of a refund at the processor; a failed one did not reach the customer."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RefundState:
    """A refund as the processor has it now; the amount in minor units of `currency`.

    `reference`: our transaction's id, if the refund carries it.
    """

    id: str
    fate: RefundFate
    created_at: datetime
    amount_minor: int
    currency: str
    reference: str | None = None


class Unapplied(StrEnum):
    """Why something that the processor says cannot be booked as it is."""

    UNKNOWN_PAYMENT = "unknown_payment"
    UNKNOWN_REFUND = "unknown_refund"
    CHARGE_MISMATCH = "charge_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    AMOUNT_MISMATCH = "amount_mismatch"
    TOO_MANY_DISPUTES = "too_many_disputes"


class NotApplicable(Exception):
    """What the processor says cannot be booked: a person has to look at it.

    `since`: when the dispute or refund began, by the processor. `payment_id` where it is known.
    """

    def __init__(
        self, reason: Unapplied, detail: str, since: datetime, payment_id: str | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.since = since
        self.payment_id = payment_id
