"""Log messages that metrics are made of: stacks/own_metrics.py says which, from which fields."""

from __future__ import annotations

from typing import Final

SERVED: Final = "served"
"""A request was answered by its operation; `replayed` if an earlier answer was repeated."""
REFUSED: Final = "refused"
"""A request was answered with a problem that is the caller's to solve."""
ANSWER_LOST: Final = "the processor's answer did not arrive"
"""The outcome of a charge or an operation is unknown; `type` says of which."""
CHARGE: Final = "charge"
"""The `type` of a line about a charge; others have their transaction's type."""
PAYMENTS_RESOLVED: Final = "due payments resolved"
"""One run of the resolver, with its report."""
UNSETTLED_SEARCHED: Final = "unsettled transactions searched"
"""One run of the sweep for missing transactions, with its report."""
WEBHOOK_TURN: Final = "webhook"
"""One turn of one delivery: its outcome, and the age of its event."""
WEBHOOKS_QUEUED: Final = "due webhooks queued"
"""One run of the schedule that queues deliveries again, with its report."""
