"""Processors' genuine notifications of failed refunds: what is answered as done is booked by then.

The processor does not send a notification again that was answered 2xx.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from math import inf
from typing import Final

from simulation.platform.history import Exchange
from simulation.watch.commits import Commit
from simulation.watch.values import text

REFUND_FAILED: Final = "refund.failed"
"""Type of Stripe's event."""
PART_SECONDS: Final = 1.0
"""A part of a commit may be seen, and answered from, by so much before the commit is counted."""
_PATH: Final = "/v1/processor-events/stripe"
_DONE: Final = ("applied", "unchanged", "duplicate")


@dataclass(eq=False)
class FailedRefundRule:
    """Takes down when each transaction was booked as failed."""

    tables: tuple[str, ...] = ("transactions",)
    failed_at: dict[str, float] = field(default_factory=dict)

    def look(self, commit: Commit) -> None:
        """Take down what failed in this commit."""
        for key, _, new in commit.of("transactions"):
            if new is not None and text(new, "status") == "failed":
                self.failed_at.setdefault(key[0], commit.at)


def event_faults(
    exchanges: Iterable[Exchange], genuine: Set[str], rule: FailedRefundRule
) -> Iterator[str]:
    """Failed refunds whose notification was answered as done while they were booked as paid.

    `genuine`: the ids of Stripe's own events; others are forged.
    """
    for exchange in exchanges:
        request, response = exchange.request, exchange.response
        if request.path != _PATH or request.raw is None or response is None:
            continue
        if response.status != 200 or response.body["result"] not in _DONE:
            continue
        event = json.loads(request.raw)
        if event["type"] != REFUND_FAILED or event["id"] not in genuine:
            continue
        assert exchange.ended is not None, f"{exchange.request_id} was answered, and goes on"
        refund = event["data"]["object"]["metadata"]["reference"]
        failed_at = rule.failed_at.get(refund, inf)
        if failed_at > exchange.ended + PART_SECONDS:
            yield (
                f"{event['id']} says that {refund} failed, and was answered "
                f"{response.body['result']} at {exchange.ended:.3f}; it was booked at {failed_at}"
            )
