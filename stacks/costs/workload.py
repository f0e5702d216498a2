"""What a month consists of: payments, and what merchants do with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from stacks.costs.prices import DAYS_PER_MONTH

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Ratio = Annotated[float, Field(ge=0.0, le=1_000.0)]

STREAM_LANES: Final = 4
"""Shards of a new on-demand table's stream that have a Lambda poller each: a new table takes 4,000
write units a second, a partition 1,000 (DynamoDB Developer Guide, "On-demand capacity mode")."""
POLL_SECONDS: Final = 0.25
"""Lambda reads each shard of a stream four times a second (Lambda Developer Guide, "Process
DynamoDB records with Lambda")."""


class Workload(BaseModel):
    """A month of a stage. Shares and ratios are per payment.

    The defaults are assumptions, not measurements: set what you know.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    payments: Annotated[float, Field(ge=0.0, le=1e11)]
    """Payments of a month that succeed."""
    customers: Share = 0.5
    """Sales that name a customer."""
    holds: Share = 0.1
    """Payments that are authorized first and captured later."""
    declines: Ratio = 0.08
    """Declined attempts."""
    refunds: Share = 0.02
    """Refunds."""
    transfers: Ratio = 0.0
    """Transfers between accounts."""
    reads: Ratio = 1.0
    """Reads of a single payment."""
    lists: Ratio = 0.05
    """Pages of lists."""
    webhooks: Ratio = 1.0
    """Webhooks delivered on their first attempt."""
    merchants: Annotated[int, Field(ge=1, le=10_000_000)] = 100
    """Merchants: some schedules ask for each of them."""
    hours: Annotated[float, Field(gt=0.0, le=24.0)] = 12.0
    """Hours of a day in which the payments arrive, evenly."""
    months: Annotated[int, Field(ge=1, le=1_200)] = 12
    """Age of the stage: the bill is that of the last of so many equal months."""
    busy: Share | None = None
    """Share of operations that is derived in full batches. Without it, it follows from the rate."""

    @property
    def per_second(self) -> float:
        """Payments a second in the hours in which they arrive."""
        return self.payments / (DAYS_PER_MONTH * self.hours * 3_600)

    def operations(self) -> Mapping[str, float]:
        """How often each counted operation happens in the month (keys of uses.json)."""
        sales = self.payments * (1.0 - self.holds)
        return {
            "sale": sales * (1.0 - self.customers),
            "sale to a customer": sales * self.customers,
            "authorization": self.payments * self.holds,
            "capture": self.payments * self.holds,
            "declined sale": self.payments * self.declines,
            "refund": self.payments * self.refunds,
            "transfer": self.payments * self.transfers,
            "read": self.payments * self.reads,
            "list": self.payments * self.lists,
            "webhook": self.payments * self.webhooks,
        }

    def together_share(self, window_seconds: float) -> float:
        """Share of operations that is derived in full batches.

        A batch of a stream has those that arrived since the last poll, or within the batching
        window. What a batch costs in itself is shared by them: of n, one pays it alone.
        """
        if self.busy is not None:
            return self.busy
        waiting = max(window_seconds, POLL_SECONDS)
        return 1.0 - 1.0 / (1.0 + self.per_second * waiting / STREAM_LANES)
