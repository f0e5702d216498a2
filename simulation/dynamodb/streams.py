"""Change streams: what happened to each item of a table, in order, for one day."""

from __future__ import annotations

import base64
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from simulation.dynamodb.indexes import Key
from simulation.dynamodb.sizes import size_of
from simulation.dynamodb.values import Item

if TYPE_CHECKING:
    from simulation.dynamodb.tables import Table

KEPT_SECONDS: Final = 24 * 3600.0
"""Developer Guide, "Change data capture for DynamoDB Streams": records live for 24 hours."""
REGION: Final = "eu-west-1"
_TRIM_AT_ONCE: Final = 1024
_EXPIRED: Final = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
"""What tells a deletion by time to live (Developer Guide, "DynamoDB Streams and TTL")."""


class StreamEntry(NamedTuple):
    """One change of one item; `at` in seconds of the database's clock, `size` of both images."""

    sequence: int
    key: Key
    old: Item | None
    new: Item | None
    size: int
    at: float
    by_expiry: bool


class Stream:
    """The records of one table, oldest first."""

    def __init__(self, arn: str) -> None:
        self.arn = arn
        self.entries: list[StreamEntry] = []
        self.trimmed = 0
        """Sequence number of the last record that is not kept any more."""
        self.kept_seconds = KEPT_SECONDS

    def append(self, entry: StreamEntry) -> None:
        """Something has changed."""
        self.entries.append(entry)
        if len(self.entries) > _TRIM_AT_ONCE:
            oldest = entry.at - self.kept_seconds
            if self.entries[_TRIM_AT_ONCE // 2].at < oldest:
                self._trim(oldest)

    def after(self, sequence: int, most: int) -> list[StreamEntry]:
        """Up to `most` records behind that sequence number."""
        start = bisect_right(self.entries, sequence, key=lambda entry: entry.sequence)
        return self.entries[start : start + most]

    def _trim(self, oldest: float) -> None:
        count = next(n for n, entry in enumerate(self.entries) if entry.at >= oldest)
        self.trimmed = self.entries[count - 1].sequence
        del self.entries[:count]


def stream_record(table: Table, entry: StreamEntry, epoch: float) -> dict[str, Any]:
    """A record as GetRecords has it, its time in seconds of Unix time."""
    image = entry.new if entry.new is not None else entry.old
    assert image is not None, "something was there before the change or after it"
    keys = {name: image[name] for name in table.key_names}
    change: dict[str, Any] = {
        "ApproximateCreationDateTime": float(int(epoch + entry.at)),
        "Keys": keys,
        "SequenceNumber": f"{entry.sequence:021d}",
        "SizeBytes": size_of(keys) + entry.size,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    if entry.new is not None:
        change["NewImage"] = dict(entry.new)
    if entry.old is not None:
        change["OldImage"] = dict(entry.old)
    record = {
        "eventID": f"{entry.sequence:032x}",
        "eventName": _name_of(entry),
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": change,
    }
    if entry.by_expiry:
        record["userIdentity"] = dict(_EXPIRED)
    return record


def lambda_record(table: Table, entry: StreamEntry, epoch: float) -> dict[str, Any]:
    """A record as AWS Lambda puts it into an event: bytes in base64."""
    assert table.stream is not None, f"{table.name} has no stream"
    record = stream_record(table, entry, epoch)
    change = record["dynamodb"]
    for name in ("Keys", "NewImage", "OldImage"):
        if name in change:
            change[name] = {
                each: value if "S" in value or "N" in value else _as_json(value)
                for each, value in change[name].items()
            }
    record["eventSourceARN"] = table.stream.arn
    return record


def _name_of(entry: StreamEntry) -> str:
    if entry.old is None:
        return "INSERT"
    return "REMOVE" if entry.new is None else "MODIFY"


def _as_json(value: Any) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return {"B": base64.b64encode(content).decode()}
        case "BS":
            return {"BS": [base64.b64encode(each).decode() for each in content]}
        case "L":
            return {"L": [_as_json(each) for each in content]}
        case "M":
            return {"M": {name: _as_json(each) for name, each in content.items()}}
    return value
