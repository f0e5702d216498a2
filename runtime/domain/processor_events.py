"""What a processor's notification says, whatever the processor calls it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """What happened at the processor.

    `charge_changed` and `operation_changed` are only hints: what became of the charge, capture,
    refund or void is asked of the processor itself. `refund_failed` takes back a refund that had
    succeeded. `ignored` is genuine, and nothing that concerns us.
    """

    CHARGE_CHANGED = "charge_changed"
    OPERATION_CHANGED = "operation_changed"
    REFUND_FAILED = "refund_failed"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class ProcessorEvent:
    """One notification. `id` is the processor's and stays the same when it is sent again.

    `charge_id` is what the processor calls the charge, `reference` our own id that it carried (a
    payment's or a transaction's), where it carried one. `dispute_id`, `amount_minor`, `currency`
    and `fee_minor` are a dispute's: what is withdrawn, and what the processor takes for it.
    """

    id: str
    kind: EventKind
    at: datetime
    charge_id: str | None = None
    reference: str | None = None
    dispute_id: str | None = None
    amount_minor: int = 0
    currency: str = ""
    fee_minor: int = 0
