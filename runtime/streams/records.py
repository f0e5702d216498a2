"""Records of the tables' change streams: as they come, as changes of rows, and what is answered."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol, Self

from runtime.core.change_context import PARKED
from runtime.core.observability import logger
from runtime.dynamodb.codec import Item


class Kind(StrEnum):
    """What happened to the row (the stream's eventName)."""

    INSERT = "INSERT"
    MODIFY = "MODIFY"
    REMOVE = "REMOVE"


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record of a stream. `table` is the schema's name, `raw` the record as it came."""

    table: str
    kind: Kind
    sequence_number: str
    old: Item | None
    new: Item | None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, raw: Mapping[str, Any], names_by_table: Mapping[str, str]) -> Self:
        """A record as Lambda hands it over. Raises KeyError for a table that is not ours."""
        image = raw["dynamodb"]
        table = raw["eventSourceARN"].partition(":table/")[2].partition("/")[0]
        return cls(
            table=names_by_table[table],
            kind=Kind(raw["eventName"]),
            sequence_number=image["SequenceNumber"],
            old=image.get("OldImage"),
            new=image.get("NewImage"),
            raw=raw,
        )

    @property
    def arrived_at(self) -> datetime:
        """When the stream says that the change was made, to the second."""
        seconds: Any = self.raw["dynamodb"]["ApproximateCreationDateTime"]
        return datetime.fromtimestamp(float(seconds), UTC)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a row; `old` is None for a new row, `new` for one that was deleted.

    `record` is what it was read from, for a projection that has to put it aside.
    """

    kind: Kind
    sequence_number: str
    old: Any
    new: Any
    record: StreamRecord | None = None


Failed = frozenset[str]
"""Sequence numbers of changes that were not done."""


def batch_answer(records: Sequence[StreamRecord], failed: Failed) -> dict[str, Any]:
    """What Lambda is told of a batch: the first record that could not be done.

    It sends that one again, with all after it (Lambda Developer Guide, "Partial batch response" for
    DynamoDB streams).
    """
    numbers = [record.sequence_number for record in records]
    strangers = failed - set(numbers)
    assert not strangers, f"{sorted(strangers)} failed, and are not in the batch"
    first = next((number for number in numbers if number in failed), None)
    return {"batchItemFailures": [] if first is None else [{"itemIdentifier": first}]}


INVALID: Final = "DynamoDB refuses what would be derived from it as invalid"
"""Reason of a record that is put aside: the log has DynamoDB's own words, and whose work it was."""


class Parking(Protocol):
    """Where a record is put aside that trying again will not help, until a person has looked."""

    def park(self, table: str, sequence_number: str, raw: Mapping[str, Any], reason: str) -> None:
        """Keep a record as it came. Raises what the place of keeping raises."""
        ...


def park_record(parking: Parking, record: StreamRecord, reason: str) -> bool:
    """Park a record and ring for a person; False when it has to come again instead.

    Called where an exception is handled, the log has it too.
    """
    logger.error(
        PARKED,
        table=record.table,
        record=record.sequence_number,
        reason=reason,
        exc_info=sys.exc_info()[0] is not None,
    )
    try:
        parking.park(record.table, record.sequence_number, record.raw, reason)
    except Exception:  # noqa: BLE001 - whatever it was, the record is still in the stream
        logger.exception("a record could not be parked", record=record.sequence_number)
        return False
    return True
