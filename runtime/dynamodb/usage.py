"""What a store has asked of DynamoDB: always counted, because counting costs next to nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Usage:
    """Calls that were answered or lost, items that they wrote or read, and calls made again.

    A request may read index buckets on several threads, so the counts are kept under a lock.
    """

    _lock: AbstractContextManager[Any] = field(
        default_factory=nullcontext, repr=False, compare=False
    )
    _round_trips: int = 0
    _items: int = 0
    _retries: int = 0

    def called(self) -> None:
        """A call goes out."""
        with self._lock:
            self._round_trips += 1

    def moved(self, items: int) -> None:
        """So many items were written or read."""
        with self._lock:
            self._items += items

    def retried(self) -> None:
        """A call was in vain, and is made again."""
        with self._lock:
            self._retries += 1

    def restart(self) -> None:
        """Begin again at zero: another request."""
        with self._lock:
            self._round_trips = self._items = self._retries = 0

    def counts(self) -> dict[str, int]:
        """The counts under the names that logs use."""
        with self._lock:
            return {
                "round_trips": self._round_trips,
                "items": self._items,
                "retries": self._retries,
            }
