"""Settlement files: each object of the settlement bucket, and its chunks."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import Row, UnlessDefault, partition, shown_in, sort
from runtime.reconciliation.settlements.models import SettlementDelta, SettlementFormat

FILE_PREFIX: Final = "fil"
RECONCILIATION_PREFIX: Final = "reconciliation/"
"""Prefix of settlement files in the bucket, put by hand or through an upload link."""
CONVERTED_PREFIX: Final = "converted/"
"""Prefix of the UTF-8 text of files in other encodings, and of workbooks."""
REJECTED_PREFIX: Final = "rejected/"
"""Prefix to which objects are moved that are not settlement files."""
CHUNK_LINES: Final = 1_000
"""Records of one chunk, and so of one message: some 40 transactions."""
CHUNK_BYTES: Final = 4 * 1024 * 1024
"""A chunk is read as a whole; ordinary ones have a tenth of that."""
CHUNK_PAYOUTS: Final = 50
"""Settlements of one chunk: their sums are in its row."""
MAX_FILE_PAYOUTS: Final = 1_000
"""Settlements of one file: their ids are in its row."""
MAX_FILE_BYTES: Final = 1024 * 1024 * 1024
MAX_FILE_LINES: Final = 2_000_000
"""A planner keeps eight bytes of each line's identity."""
MAX_SETTLEMENT_FILES: Final = 1_000
MAX_SETTLEMENT_BUCKETS: Final = 40_000
"""Files of one settlement, and partitions of its lines: their names stand in its row, in 62 bytes
and 7 each."""
MAX_FILE_NAME: Final = 200
"""Characters of a file's name."""


class FileStatus(StrEnum):
    """The state of a file. `received`: announced, or in the bucket, and not read yet."""

    RECEIVED = "received"
    PROCESSING = "processing"
    COMPLETED = "completed"
    COMPLETED_WITH_EXCEPTIONS = "completed_with_exceptions"
    REJECTED = "rejected"


class SettlementFile(Record, table="settlement_files", stream=True, frozen=True):
    """One object of the settlement bucket: one version of it, by `version_id` and `etag`.

    `merchant_status` is merchant and status, for lists of one status. `sha256` is that of the
    object's bytes; a checksum announced by the caller must equal it. `requested_by` requested the
    link to upload it; absent for a file that was put into the bucket. `read_key` is the object
    whose byte ranges the chunks refer to: the file itself, or the UTF-8 CSV it was converted to;
    its version and entity tag are those of the bytes that were planned.
    """

    id: Annotated[str, partition(), sort("gsi-merchant"), sort("gsi-status")]
    merchant_id: Annotated[str, partition("gsi-merchant")]
    merchant_status: Annotated[str, partition("gsi-status")]
    name: str
    key: str
    status: Annotated[FileStatus, shown_in("gsi-merchant")]
    reason: str | None = None
    version_id: str | None = None
    etag: str | None = None
    sha256: str | None = None
    expected_sha256: str | None = None
    size: int | None = None
    format: SettlementFormat | None = None
    date: str | None = None
    read_key: str | None = None
    read_version_id: str | None = None
    read_etag: str | None = None
    header: str | None = None
    delimiter: str = ","
    chunks: int = 0
    chunks_done: int = 0
    lines: int = 0
    settlement_ids: tuple[str, ...] = ()
    upload_expires_at: Timestamp | None = None
    requested_by: str | None = None
    completed_at: Timestamp | None = None


class SettlementChunk(Row, table="settlement_chunks", frozen=True):
    """A byte range of a file, and how far it is processed.

    It begins at byte `start`, physical line `first_line`, and ends before byte `end`. The first
    `lines_done` of its lines are done. `repeats`: how often a line's identity occurred before in
    the file, by physical line. `duplicates`: those of them that have an id of their own, which must
    be unique. `deltas`: the changes of the chunk's lines in each settlement, by its id.
    """

    id: Annotated[str, partition()]
    file_id: str
    merchant_id: str
    number: int
    start: int
    end: int
    first_line: int
    lines: int
    lines_done: int = 0
    done: bool = False
    repeats: Annotated[dict[str, int], UnlessDefault()] = Field(default_factory=dict)
    duplicates: Annotated[tuple[int, ...], UnlessDefault()] = ()
    deltas: dict[str, SettlementDelta] = Field(default_factory=dict)
    version: int = 1
    updated_at: Timestamp
    cause: str


class SweepRound(Row, frozen=True):
    """The progress of the sweep for missing transactions: a row of the settlement_chunks table.

    `last_merchant`: an unfinished round resumes after it.
    """

    id: str
    started_at: Timestamp
    last_merchant: str | None = None
    finished_at: Timestamp | None = None

    table_schema = SettlementChunk.table_schema


class SweptDays(Row, frozen=True):
    """The day up to which a merchant's unsettled transactions are completely swept.

    A row of the settlement_chunks table. Earlier days get no new transactions: a transaction is
    listed under the day on which it began to wait for a file.
    """

    id: str
    merchant_id: str
    through: str

    table_schema = SettlementChunk.table_schema


def chunk_id(file_id: str, number: int) -> str:
    """The key of a chunk: each has its own partition."""
    return f"{file_id}#{number:06d}"


def merchant_status(merchant_id: str, status: FileStatus) -> str:
    """The key of a file in `gsi-status`."""
    return f"{merchant_id}#{status}"
