"""An in-memory cache with a time to live and a maximum size."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from runtime.core.outside import Outside

Key = TypeVar("Key")
Value = TypeVar("Value")


class TtlCache(Generic[Key, Value]):
    """Values by key, each kept for `seconds`; beyond `most` entries the oldest is evicted.

    Thread-safe. Two threads may compute the same value; the later one is kept.
    """

    def __init__(self, seconds: float, most: int, outside: Outside) -> None:
        self._seconds = seconds
        self._most = most
        self._monotonic = outside.monotonic
        self._known: OrderedDict[Key, tuple[float, Value]] = OrderedDict()
        self._lock = outside.lock()

    def get(self, key: Key) -> Value | None:
        """The cached value of `key`, unless it has expired."""
        known = self._known.get(key)
        return known[1] if known is not None and known[0] > self._monotonic() else None

    def keep(self, key: Key, value: Value) -> Value:
        """Cache `value` from now on."""
        with self._lock:
            self._known[key] = (self._monotonic() + self._seconds, value)
            self._known.move_to_end(key)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return value
