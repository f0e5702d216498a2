"""What is derived from the tables' change streams: a table of streams and their projections.

A projection gets the changes of one table in the order of the stream and says which ones it could
not do. Each change may come twice, late, or after a newer one, so whatever a projection does must
be the same when it is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from runtime.models.account import Account
from runtime.models.transfer import Transfer
from runtime.observability import logger
from runtime.repositories.codec import Codec, Item
from runtime.schema import Row, TableSchema


class Kind(StrEnum):
    """What happened to the row (the stream's eventName)."""

    INSERT = "INSERT"
    MODIFY = "MODIFY"
    REMOVE = "REMOVE"


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record of a stream, as it came. `table` is the schema's name."""

    table: str
    kind: Kind
    sequence_number: str
    old: Item | None
    new: Item | None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a row; `old` is None for a new row, `new` for one that was deleted."""

    kind: Kind
    sequence_number: str
    old: Any
    new: Any


Failed = frozenset[str]
"""Sequence numbers of changes that were not done."""


class Projection(Protocol):
    """Derives something from the changes of one table."""

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Do all that can be done, and name the rest."""
        ...


STREAMED: Final[Mapping[str, type[Row]]] = {
    TableSchema.of(model).name: model for model in (Account, Transfer)
}
"""The models of the streams that are projected, by the name of their table."""


@dataclass(frozen=True)
class Projector:
    """The projections of each stream. `stands_aside` names rows that are no rows of the model."""

    codec: Codec
    projections: Mapping[str, tuple[Projection, ...]]
    stands_aside: Callable[[Item], bool]

    def apply(self, records: Sequence[StreamRecord]) -> Failed:
        """Give the records to their projections.

        One that fails does not keep the others from their work. A stream that nobody projects is a
        fault of the deployment: KeyError.
        """
        failed: set[str] = set()
        by_table: dict[str, list[StreamRecord]] = {}
        for record in records:
            by_table.setdefault(record.table, []).append(record)
        for table, given in by_table.items():
            projections, model = self.projections[table], STREAMED[table]
            changes = []
            for record in given:
                if self.stands_aside(record.new or record.old or {}):
                    continue
                try:
                    changes.append(self._change(record, model))
                except Exception:  # noqa: BLE001 - one unreadable record must not hide the others
                    logger.exception("a record cannot be read", record=record.sequence_number)
                    failed.add(record.sequence_number)
            for projection in projections:
                failed |= _done(projection, changes)
        return frozenset(failed)

    def _change(self, record: StreamRecord, model: type[Row]) -> Change:
        def row(item: Item | None) -> Row | None:
            if item is None:
                return None
            return self.codec.to_row(TableSchema.of(model), item, model)

        return Change(record.kind, record.sequence_number, row(record.old), row(record.new))


def _done(projection: Projection, changes: Sequence[Change]) -> Failed:
    try:
        return projection(changes)
    except Exception:  # noqa: BLE001 - all of its changes come again; the others were done
        logger.exception("a projection failed", changes=len(changes))
        return frozenset(change.sequence_number for change in changes)
