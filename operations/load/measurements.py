"""What a load test measures while it runs: latencies by operation, and what went wrong."""

from __future__ import annotations

import threading
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from operations.load.requests import Operation


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of sorted values. Raises IndexError if there are none."""
    return ordered[max(ceil(len(ordered) * percent / 100), 1) - 1]


@dataclass
class Measurements:
    """Latencies are seconds from the first byte sent to the last one received.

    An attempt without an answer has no latency; it is counted in `errors` by its kind, as is every
    answer that did not do what was asked.
    """

    latencies: dict[Operation, array[float]] = field(default_factory=dict)
    attempts: Counter[Operation] = field(default_factory=Counter)
    errors: Counter[tuple[Operation, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def answered(self, operation: Operation, seconds: float) -> None:
        """Count an answer."""
        with self._lock:
            self.attempts[operation] += 1
            self.latencies.setdefault(operation, array("d")).append(seconds)

    def unanswered(self, operation: Operation, kind: str) -> None:
        """Count an attempt without an answer."""
        with self._lock:
            self.attempts[operation] += 1
            self.errors[operation, kind] += 1

    def refused(self, operation: Operation, kind: str) -> None:
        """Count an answer that did not do what was asked."""
        with self._lock:
            self.errors[operation, kind] += 1

    def summarized(self, operation: Operation) -> tuple[float, float, float, float] | None:
        """50th, 95th and 99th percentile and maximum in seconds; None without an answer."""
        ordered = sorted(self.latencies.get(operation, ()))
        if not ordered:
            return None
        p50, p95, p99 = (percentile(ordered, each) for each in (50, 95, 99))
        return p50, p95, p99, ordered[-1]
