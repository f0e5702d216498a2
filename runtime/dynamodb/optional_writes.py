"""Commits with required writes and optional ones, which are dropped if their conditions fail.

Money that has moved must be booked, whatever happened to the request's claim or the customer's
attempt counter.
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
"""How often optional writes are adapted to the current rows before they are dropped."""


class OptionalWrites(Protocol):
    """One or more optional writes that belong together."""

    @property
    def writes(self) -> Sequence[Write]:
        """The writes to try now."""
        ...

    def after(self, refused: Mapping[int, Item]) -> OptionalWrites | None:
        """What to try instead, given the current items of the failed writes; None: nothing."""
        ...


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A write that is dropped if its condition fails."""

    write: Write

    @property
    def writes(self) -> Sequence[Write]:
        """The write."""
        return (self.write,)

    def after(self, refused: Mapping[int, Item]) -> None:
        """Nothing."""


def commit(
    store: Store,
    required: Sequence[Write],
    optional: Sequence[OptionalWrites],
    *,
    token: str,
    decisive: Collection[int] = (),
) -> None:
    """Commit all of `required` or nothing, with as much of `optional` as its conditions allow.

    `decisive`: positions in `required`, see Store.transact.

    Raises TransactionRefused if one of `required` fails, Unavailable.
    """
    taken = list(optional)
    for attempt in count():
        writes = [*required, *(write for each in taken for write in each.writes)]
        try:
            attempt_token = f"{token}-{attempt}" if attempt else token
            return store.transact(writes, token=attempt_token, decisive=decisive)
        except TransactionRefused as refused:
            if any(position < len(required) for position in refused.failed):
                raise
            failed = {at - len(required): item for at, item in refused.failed.items()}
            taken = list(_adapted(taken, failed, adapting=attempt < MAX_ADAPTATIONS))
    raise AssertionError("every failure adapts or drops a write")


def _adapted(
    optional: Sequence[OptionalWrites], failed: Mapping[int, Item], *, adapting: bool
) -> Iterator[OptionalWrites]:
    first = 0
    for each in optional:
        beyond = first + len(each.writes)
        refused = {at - first: item for at, item in failed.items() if first <= at < beyond}
        first = beyond
        if not refused:
            yield each
        elif not adapting:
            logger.warning("an optional write failed too often", kind=type(each).__name__)
        elif (instead := each.after(refused)) is not None:
            yield instead
