"""What an execution environment remembers for some seconds, and of how many things at the most."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from runtime.core.outside import Outside

Key = TypeVar("Key")
Value = TypeVar("Value")


class TtlCache(Generic[Key, Value]):
    """Values by key, each for so long; of more than `most` the longest known is forgotten.

    Several threads may ask at once; then two may make the same value, and the later one is kept.
    """

    def __init__(self, seconds: float, most: int, outside: Outside) -> None:
        self._seconds = seconds
        self._most = most
        self._monotonic = outside.monotonic
        self._known: OrderedDict[Key, tuple[float, Value]] = OrderedDict()
        self._lock = outside.lock()

    def get(self, key: Key) -> Value | None:
        """What is known of `key`, unless it is too old."""
        known = self._known.get(key)
        return known[1] if known is not None and known[0] > self._monotonic() else None

    def keep(self, key: Key, value: Value) -> Value:
        """Remember `value` from now on."""
        with self._lock:
            self._known[key] = (self._monotonic() + self._seconds, value)
            self._known.move_to_end(key)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return value
