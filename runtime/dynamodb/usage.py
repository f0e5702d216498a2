"""Counts a store's calls to DynamoDB; always on, because counting is cheap."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Usage:
    """Number of calls, of items written or read, and of retries.

    A request may read index buckets on several threads, so a lock guards the counts.
    """

    _lock: AbstractContextManager[Any] = field(
        default_factory=nullcontext, repr=False, compare=False
    )
    _round_trips: int = 0
    _items: int = 0
    _retries: int = 0

    def called(self) -> None:
        """Count a call."""
        with self._lock:
            self._round_trips += 1

    def moved(self, items: int) -> None:
        """Count items written or read."""
        with self._lock:
            self._items += items

    def retried(self) -> None:
        """Count a retry."""
        with self._lock:
            self._retries += 1

    def restart(self) -> None:
        """Reset the counts for the next request."""
        with self._lock:
            self._round_trips = self._items = self._retries = 0

    def counts(self) -> dict[str, int]:
        """The counts by their names in logs."""
        with self._lock:
            return {
                "round_trips": self._round_trips,
                "items": self._items,
                "retries": self._retries,
            }
