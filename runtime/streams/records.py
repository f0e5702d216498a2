"""Records of the tables' change streams, the changes parsed from them, and batch responses."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol, Self

from runtime.core.change_context import PARKED
from runtime.core.observability import logger
from runtime.core.request_ids import is_request_id
from runtime.dynamodb.codec import Item


class Kind(StrEnum):
    """The kind of change (the stream's eventName)."""

    INSERT = "INSERT"
    MODIFY = "MODIFY"
    REMOVE = "REMOVE"


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record of a stream. `table` is the schema's name, `raw` the original record."""

    table: str
    kind: Kind
    sequence_number: str
    old: Item | None
    new: Item | None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, raw: Mapping[str, Any], names_by_table: Mapping[str, str]) -> Self:
        """Parse a record from Lambda. Raises KeyError for an unknown table."""
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
    def request_id(self) -> str:
        """The request or run that made the change; empty if the row does not say."""
        given = (self.new or self.old or {}).get("request_id", {})
        return str(given.get("S", ""))

    @property
    def arrived_at(self) -> datetime:
        """Creation time of the record, to the second."""
        seconds: Any = self.raw["dynamodb"]["ApproximateCreationDateTime"]
        return datetime.fromtimestamp(float(seconds), UTC)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a row; `old` is None for a new row, `new` for a deleted one.

    `record` is the original record, for projections that park it.
    """

    kind: Kind
    sequence_number: str
    old: Any
    new: Any
    record: StreamRecord | None = None


def requests_of(given: Iterable[Change | StreamRecord]) -> list[str]:
    """The ids of the requests that made these changes, each once; changes by runs are left out."""
    records = (each.record if isinstance(each, Change) else each for each in given)
    ids = {record.request_id for record in records if record is not None}
    return sorted(each for each in ids if is_request_id(each))


REDRIVEN: Final = "redriven"
"""Marks an event that does not come from a stream: its records were given up, and are repeated."""

Failed = frozenset[str]
"""Sequence numbers of changes that failed."""


def batch_answer(records: Sequence[StreamRecord], failed: Failed) -> dict[str, Any]:
    """The batch response for Lambda: the first failed record.

    Lambda retries that record and all after it (Lambda Developer Guide, "Partial batch response"
    for DynamoDB streams).
    """
    numbers = [record.sequence_number for record in records]
    unknown = failed - set(numbers)
    assert not unknown, f"{sorted(unknown)} failed but are not in the batch"
    first = next((number for number in numbers if number in failed), None)
    return {"batchItemFailures": [] if first is None else [{"itemIdentifier": first}]}


INVALID: Final = "DynamoDB rejects the resulting write as invalid"
"""Reason of a parked record; DynamoDB's message and the projection are in the log."""


class Parking(Protocol):
    """Stores dead letters: records for which a retry cannot succeed."""

    def park(self, table: str, sequence_number: str, raw: Mapping[str, Any], reason: str) -> None:
        """Store the original record. Raises what the storage raises."""
        ...


def park_record(parking: Parking, record: StreamRecord, reason: str) -> bool:
    """Park a record and trigger an alarm. Returns False if it must be retried instead.

    Within an exception handler, the exception is logged too.
    """
    logger.error(
        PARKED,
        table=record.table,
        record=record.sequence_number,
        request_id=record.request_id,
        reason=reason,
        exc_info=sys.exc_info()[0] is not None,
    )
    try:
        parking.park(record.table, record.sequence_number, record.raw, reason)
    except Exception:  # noqa: BLE001 - the record stays in the stream and is retried
        logger.exception(
            "a record could not be parked",
            record=record.sequence_number,
            request_id=record.request_id,
        )
        return False
    return True
