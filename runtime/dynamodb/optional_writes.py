"""Writes that a commit takes along where their conditions allow it; what must be written is first.

Money that has moved is booked whatever became of the request's claim or of the customer's count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, Protocol

from runtime.core.observability import logger
from runtime.dynamodb.codec import Item
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Write
from runtime.dynamodb.store import Store

MAX_ADAPTATIONS: Final = 8
"""Times that refused side writes are adapted to what stands there; then they are left out."""


class SideWrites(Protocol):
    """One or more writes that belong together."""

    @property
    def writes(self) -> Sequence[Write]:
        """As they are tried now."""
        ...

    def after(self, refused: Mapping[int, Item]) -> SideWrites | None:
        """What is tried instead, by the old items of those that were refused; None: nothing."""
        ...


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A write that is left out when it is refused."""

    write: Write

    @property
    def writes(self) -> Sequence[Write]:
        """The one write."""
        return (self.write,)

    def after(self, refused: Mapping[int, Item]) -> None:
        """Nothing."""


def commit(
    store: Store,
    required: Sequence[Write],
    side: Sequence[SideWrites],
    *,
    token: str,
    decisive: Collection[int] = (),
) -> None:
    """All of `required` or nothing, with as much of `side` as its conditions allow.

    `decisive`: positions in `required`, see Store.transact.

    Raises TransactionRefused when one of `required` is refused, Unavailable.
    """
    taken = list(side)
    for attempt in count():
        writes = [*required, *(write for each in taken for write in each.writes)]
        try:
            named = f"{token}-{attempt}" if attempt else token
            return store.transact(writes, token=named, decisive=decisive)
        except TransactionRefused as refused:
            if any(position < len(required) for position in refused.failed):
                raise
            failed = {at - len(required): item for at, item in refused.failed.items()}
            taken = list(_adapted(taken, failed, adapting=attempt < MAX_ADAPTATIONS))
    raise AssertionError("every refusal adapts or leaves out something")


def _adapted(
    side: Sequence[SideWrites], failed: Mapping[int, Item], *, adapting: bool
) -> Iterator[SideWrites]:
    first = 0
    for each in side:
        beyond = first + len(each.writes)
        refused = {at - first: item for at, item in failed.items() if first <= at < beyond}
        first = beyond
        if not refused:
            yield each
        elif not adapting:
            logger.warning("a side write was refused too often", kind=type(each).__name__)
        elif (instead := each.after(refused)) is not None:
            yield instead
