"""An in-memory cache with a maximum size and, optionally, a time to live."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

from runtime.core.outside import Outside

Key = TypeVar("Key")
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """Up to `most` values by key; beyond that, the least recently used one is evicted.

    A value expires `seconds` after it was cached. Thread-safe; two threads may compute the same
    value, and the later one is kept. The repr shows neither keys nor values.
    """

    def __init__(self, most: int, outside: Outside, *, seconds: float = inf) -> None:
        self._most = most
        self._seconds = seconds
        self._monotonic = outside.monotonic
        self._lock = outside.lock()
        self._entries: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        """The cached value; None if it was not cached, has expired or was evicted."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            expires_at, value = entry
            if expires_at <= self._monotonic():
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return value

    def keep(self, key: Key, value: Value) -> Value:
        """Cache a value from now on, and return it."""
        with self._lock:
            self._entries[key] = (self._monotonic() + self._seconds, value)
            self._entries.move_to_end(key)
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
        return value

    def forget(self, matches: Callable[[Key], bool]) -> None:
        """Remove the values whose keys match."""
        with self._lock:
            for key in [key for key in self._entries if matches(key)]:
                del self._entries[key]
