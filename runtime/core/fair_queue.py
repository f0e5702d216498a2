"""A queue that serves its owners in turns, so one owner's backlog does not delay others. Pure."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Serves the owner with the fewest items in flight first, ties in turns; at most `per_owner`.

    An owner with slow work keeps only its current slots; free slots go to the others. Items of one
    owner are served in the order in which they were added.
    """

    def __init__(self, per_owner: int) -> None:
        assert per_owner > 0, "per_owner must be positive"
        self._waiting: dict[str, deque[Item]] = {}
        self._in_flight: dict[str, int] = {}
        self._turns: list[dict[str, None]] = [{} for _ in range(per_owner)]
        """Owners with waiting items, by their number of items in flight, next one first."""
        self.in_flight = 0
        """Items taken and not done."""

    @property
    def has_next(self) -> bool:
        """Whether `take` returns an item now."""
        return any(self._turns)

    def waiting_of(self) -> dict[str, int]:
        """Number of waiting items by owner."""
        return {owner: len(items) for owner, items in self._waiting.items()}

    def add(self, owner: str, item: Item) -> None:
        """Append an item to the owner's queue."""
        if owner not in self._waiting:
            self._waiting[owner] = deque()
            self._wait_for_turn(owner)
        self._waiting[owner].append(item)

    def take(self) -> tuple[str, Item] | None:
        """The next owner and its first item; None if no owner may have more in flight."""
        turns = next(filter(None, self._turns), None)
        if turns is None:
            return None
        owner = next(iter(turns))
        del turns[owner]
        item = self._waiting[owner].popleft()
        self._in_flight[owner] = self._in_flight.get(owner, 0) + 1
        self.in_flight += 1
        if self._waiting[owner]:
            self._wait_for_turn(owner)
        else:
            del self._waiting[owner]
        return owner, item

    def done(self, owner: str) -> None:
        """Mark one of the owner's items in flight as done."""
        before = self._in_flight[owner]
        if owner in self._waiting and before < len(self._turns):
            del self._turns[before][owner]
        self._in_flight[owner] = before - 1
        if before == 1:
            del self._in_flight[owner]
        self.in_flight -= 1
        if owner in self._waiting:
            self._wait_for_turn(owner)

    def _wait_for_turn(self, owner: str) -> None:
        in_flight = self._in_flight.get(owner, 0)
        if in_flight < len(self._turns):
            self._turns[in_flight][owner] = None
