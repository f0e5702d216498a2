"""The audit archive's object names, and the content of a signed root.

A segment holds the rows of one stream batch, one canonical JSON object per line. Its name is the
arrival day of its first row, that row's stream sequence number, the number of rows, and the SHA-256
of its bytes. The names alone therefore commit to the content, and a root is a Merkle tree over
names.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Final

from pydantic import BaseModel, Field

from runtime.audit.archive.merkle import merkle_root
from runtime.audit.models import ROOTS_PREFIX, ROWS_PREFIX
from runtime.core.canonical_json import canonical_json, digest
from runtime.core.fields import Timestamp
from runtime.core.timestamps import to_timestamp

NO_ROOT: Final = "0" * 64
"""`previous` of the first root."""
STREAM_RETENTION: Final = timedelta(hours=24)
"""How long a stream keeps a record (DynamoDB Developer Guide, "Change data capture")."""
LATE_DAYS: Final = 2
"""A segment is written on the day in its name or the next; one more day allows for clock skew."""
MAX_SEGMENTS_PER_ROOT: Final = 50_000
"""7 MB of names in one object. Further segments go into the next root."""

_STREAM_DIGITS: Final = 40
_ROOT_DIGITS: Final = 12
_SHA256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_SEGMENT: Final = re.compile(
    r"rows/(?P<day>\d{4}-\d{2}-\d{2})/(?P<first>\d{40})-(?P<rows>\d{5})-(?P<sha256>[0-9a-f]{64})\.jsonl"
)
_ROOT: Final = re.compile(r"roots/(\d{12})\.json")


@dataclass(frozen=True, slots=True)
class Segment:
    """A parsed segment name."""

    name: str
    day: date
    rows: int
    sha256: str


def segment_name(day: date, first_sequence: str, rows: int, body: bytes) -> str:
    """The key of the object that holds `body`. The same batch always has the same name."""
    sha256 = hashlib.sha256(body).hexdigest()
    return f"{day_prefix(day)}{first_sequence:0>{_STREAM_DIGITS}}-{rows:05d}-{sha256}.jsonl"


def read_segment_name(name: str) -> Segment | None:
    """Parse a segment name; None if the key is not a segment."""
    match = _SEGMENT.fullmatch(name)
    if match is None:
        return None
    day = _day(match["day"])
    return None if day is None else Segment(name, day, int(match["rows"]), match["sha256"])


def day_prefix(day: date) -> str:
    """Common prefix of a day's segment names."""
    return f"{ROWS_PREFIX}{day.isoformat()}/"


def segment_day(arrived: datetime, now: datetime) -> date:
    """The day in the name of a segment whose first row arrived at `arrived`.

    A record older than the stream's retention was replayed manually. It counts as today, because no
    root would look for it at its old day.
    """
    return (now if now - arrived > STREAM_RETENTION else arrived).date()


class RootStatement(BaseModel, frozen=True, extra="forbid", defer_build=True):
    """The signed content: `segments` segments with `rows` rows, from `first` to `last` by name.

    `previous` is the hash of the previous statement, `tree` the Merkle root over that hash and the
    segment names in order.
    """

    number: Annotated[int, Field(ge=1)]
    day: str
    closed_at: Timestamp
    previous: _SHA256
    first: str
    last: str
    segments: Annotated[int, Field(ge=1)]
    rows: Annotated[int, Field(ge=0)]
    tree: _SHA256
    key: str
    """ARN of the KMS key that signs it."""

    @property
    def hash(self) -> str:
        """The value of `previous` in the next statement."""
        return digest(self.model_dump(mode="json"))

    def signed_bytes(self) -> bytes:
        """The signed message: canonical JSON."""
        return canonical_json(self.model_dump(mode="json"))


class SignedRoot(BaseModel, frozen=True, extra="forbid", defer_build=True):
    """An object under `roots/`: the statement, its signature, and the covered segment names.

    `signature`: ECDSA over P-256 with SHA-256, in DER, as base64.
    """

    statement: RootStatement
    signature: str
    names: tuple[str, ...]


def root_name(number: int) -> str:
    """The key of a root's object.

    It contains only the number, so two runs that sign the same number, even on different days,
    compete for the same key and only one put succeeds.
    """
    return f"{ROOTS_PREFIX}{number:0{_ROOT_DIGITS}d}.json"


def root_number(name: str) -> int | None:
    """The number in a root's key; None if the key is not a root."""
    match = _ROOT.fullmatch(name)
    return None if match is None else int(match[1])


def next_root(
    previous: RootStatement | None, segments: Sequence[Segment], now: datetime, key: str
) -> RootStatement:
    """The statement over `segments`, sorted by name, that follows `previous`."""
    before = NO_ROOT if previous is None else previous.hash
    return RootStatement(
        number=1 if previous is None else previous.number + 1,
        day=now.date().isoformat(),
        closed_at=to_timestamp(now),
        previous=before,
        first=segments[0].name,
        last=segments[-1].name,
        segments=len(segments),
        rows=sum(segment.rows for segment in segments),
        tree=tree_of(before, (segment.name for segment in segments)),
        key=key,
    )


def tree_of(previous: str, names: Iterable[str]) -> str:
    """The Merkle root over the previous statement's hash and the segment names, in hex."""

    def leaves() -> Iterable[bytes]:
        yield bytes.fromhex(previous)
        for name in names:
            yield name.encode()

    return merkle_root(leaves()).hex()


def fault_of_names(root: SignedRoot) -> str | None:
    """Why a root's names do not match its statement; None if they match."""
    statement, names = root.statement, root.names
    if tree_of(statement.previous, names) != statement.tree:
        return "its names do not produce the signed tree"
    segments = [read_segment_name(name) for name in names]
    if any(segment is None for segment in segments):
        return "it covers an object that is not a segment"
    rows = sum(segment.rows for segment in segments if segment is not None)
    stated = (statement.segments, statement.rows, statement.first, statement.last)
    if stated != (len(names), rows, names[0], names[-1]):
        return "its counts do not match its names"
    return None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
