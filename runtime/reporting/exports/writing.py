"""Writing an export: read a chunk, write it, and regularly record the progress.

The text is written as the parts of one multipart upload, so that a worker holds at most a part.
After each part the job's row is updated with it, its position and its count of rows, in
one step. So the successor of a worker that died continues exactly there: what the other had
written since is written again, under another part number, and only the listed parts become
the file. When time runs out, text shorter than a part is stored as an object for the next worker.

SHA-256 cannot be interrupted and continued, so it is computed at the end from the object itself, in
one stream: over the file that is downloaded, not over what was meant to be written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from runtime.core.errors import PlatformError
from runtime.core.observability import logger
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime
from runtime.reporting.exports.files import ExportFiles
from runtime.reporting.exports.jobs import FINAL, Jobs
from runtime.reporting.exports.models import (
    EXPORT_GIVEN_UP,
    EXPORT_PREFIX,
    Export,
    ExportFormat,
    ExportKind,
)
from runtime.reporting.exports.sources.account_list import accounts_of
from runtime.reporting.exports.sources.chunks import Chunk
from runtime.reporting.exports.sources.reads import ExportReads
from runtime.reporting.exports.sources.registry import source_of, whose

PART_BYTES: Final = 8 * 1024 * 1024
"""S3 requires parts of at least 5 MiB, except the last."""
MAX_PARTS: Final = 1_000
"""Their list is in the job's row: 60 KB. The object has at most 8 GB, some 15 million rows."""
MAX_TRIES: Final = 4
"""Consecutive workers that may lease a job without progress. One less than a message is
received before it goes to the dead letters, so that the caller sees it fail.
"""
DIGEST_BYTES_PER_SECOND: Final = 30 * 1024 * 1024
"""The minimum rate at which an object is read and hashed; Lambda reads some 80 MB/s from S3."""
_EXTENSIONS: Final = {
    ExportFormat.CSV: "csv",
    ExportFormat.JSONL: "jsonl",
    ExportFormat.BEANCOUNT: "beancount",
}


class ExportTooLarge(Exception):
    """The file would have more than MAX_PARTS."""


@dataclass(frozen=True)
class ExportDependencies:
    """Dependencies of writing. `settle`: how long after `until` ledgers can be read.

    `margin_seconds` before its end an invocation stops reading.
    """

    jobs: Jobs
    files: ExportFiles
    reads: ExportReads
    margin_seconds: float
    settle: timedelta
    part_bytes: int = PART_BYTES

    def must_stop(self, for_seconds: float = 0) -> bool:
        """Whether too little time is left to begin something that takes this long."""
        return self.jobs.remaining_seconds() < self.margin_seconds + for_seconds


@dataclass(frozen=True, slots=True)
class Turn:
    """The result of one turn of an export: when the next one is due in, or None after the last."""

    export: Export | None
    next_in_seconds: int | None = None


def write_export(export_id: str, worker: str, dependencies: ExportDependencies) -> Turn:
    """Advance an export as far as time allows.

    Raises ExportBusy while another worker has it, StaleWrite if another has taken it over, and
    any error of a try that is not the last.
    """
    jobs = dependencies.jobs
    export = jobs.exports.get(export_id, UNRESTRICTED)
    if export is None or export.status in FINAL:
        return Turn(export)
    wait = _settling(export, jobs.outside.now(), dependencies.settle)
    if wait is not None:
        return Turn(export, wait)
    export = jobs.take(export, worker)
    if export.tries > MAX_TRIES:
        logger.error(EXPORT_GIVEN_UP, export=export.id, kind=export.kind, rows=export.rows_done)
        return Turn(jobs.fail(export, f"it was not completed in {MAX_TRIES} tries"))
    work = _Work(export, dependencies)
    try:
        finished = work.go_on()
    except ExportTooLarge:
        limit = MAX_PARTS * dependencies.part_bytes // 1024**2
        reason = f"it would have more than {limit} MiB; narrow it by the filters"
        return Turn(jobs.fail(work.export, reason))
    except PlatformError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return Turn(jobs.fail(work.export, error.detail))
    return Turn(work.export, None if finished else 0)


def _settling(export: Export, now: datetime, settle: timedelta) -> int | None:
    """Seconds until ledgers can be read: then everything that began before `until` is committed."""
    if export.format is not ExportFormat.BEANCOUNT:
        return None
    left = (to_datetime(export.until) + settle - now).total_seconds()
    return int(left) + 1 if left > 0 else None


@dataclass
class _Work:
    """One worker's turn: the row as stored, and the text that is not in a part yet."""

    export: Export
    dependencies: ExportDependencies
    _text: bytearray = field(default_factory=bytearray)
    _rows: int = 0
    _position: str | None = None
    _has_read: bool = False

    def go_on(self) -> bool:
        """Read and write until all is done (True), or time is over."""
        return (self.export.read_all or self._read()) and self._finish()

    def _read(self) -> bool:
        self._has_read = True
        source = source_of(self.export, self._accounts(), self.dependencies.reads)
        self._rows, self._position = self.export.rows_done, self.export.position
        self._text += self._left(source.header())
        for chunk in source.chunks(self._position):
            self._take(chunk)
            if self.dependencies.must_stop():
                self._leave()
                return False
        self._end()
        return True

    def _take(self, chunk: Chunk) -> None:
        self._text += chunk.data
        self._rows += chunk.rows
        self._position = chunk.position
        if len(self._text) >= self.dependencies.part_bytes:
            self._note(**self._upload())

    def _accounts(self) -> tuple[str, ...]:
        """The accounts of an export of entries, listed once: all workers use the same list."""
        export = self.export
        if export.kind is not ExportKind.ENTRIES:
            return ()
        if export.accounts is None:
            listed = accounts_of(
                whose(export), export.filters.get("account_id"), self.dependencies.reads
            )
            number = export.version + 1
            self.dependencies.files.leave(
                self._name("accounts", number), "\n".join(listed).encode()
            )
            self.export = self.dependencies.jobs.step(export, accounts=number)
            return listed
        listed_before = self.dependencies.files.left(self._name("accounts", export.accounts))
        return tuple(listed_before.decode().split())

    def _left(self, header: bytes) -> bytes:
        """Text that is in no part: left by the previous worker, or the beginning."""
        if self.export.tail is not None:
            return self.dependencies.files.left(self._name("tail", self.export.tail))
        return b"" if self.export.parts else header

    def _leave(self) -> None:
        """Hand over to the next worker."""
        number = self.export.version + 1
        self.dependencies.files.leave(self._name("tail", number), bytes(self._text))
        self.export = self.dependencies.jobs.release(
            self.export, tail=number, rows_done=self._rows, position=self._position, tries=0
        )

    def _end(self) -> None:
        """Everything is read: send the last part, which may be small."""
        if self._text:
            self._note(**self._upload(), read_all=True)
        else:
            self._note(read_all=True)

    def _upload(self) -> dict[str, object]:
        """Send the text as a part; returns what to record about it."""
        export, files = self.export, self.dependencies.files
        if len(export.parts) >= MAX_PARTS:
            raise ExportTooLarge
        key = export.object_key or self._file()
        upload_id = export.upload_id or files.begin(key, export.format)
        part = files.upload(key, upload_id, export.next_part, bytes(self._text))
        self._text.clear()
        return {
            "object_key": key,
            "upload_id": upload_id,
            "parts": (*export.parts, part),
            "next_part": export.next_part + 1,
        }

    def _note(self, **changes: object) -> None:
        """Store the progress with its position and count in the row."""
        self.export = self.dependencies.jobs.step(
            self.export,
            **changes,
            rows_done=self._rows,
            position=self._position,
            tail=None,
            tries=0,
        )

    def _finish(self) -> bool:
        export, files = self.export, self.dependencies.files
        key = export.object_key or self._file()
        if export.upload_id is None:
            files.put_empty(key, export.format)
            self.export = export = self.dependencies.jobs.step(export, object_key=key)
        else:
            files.complete(key, export.upload_id, export.parts)
        size = files.size(key)
        # A turn that has read nothing has the maximum time.
        if self._has_read and self.dependencies.must_stop(size / DIGEST_BYTES_PER_SECOND):
            self.export = self.dependencies.jobs.release(export, tries=0)
            return False
        self.export = self.dependencies.jobs.complete(export, size, files.sha256(key))
        logger.info("export completed", export=export.id, rows=export.rows_done, size=size)
        return True

    def _file(self) -> str:
        return self._name(f"export.{_EXTENSIONS[self.export.format]}")

    def _name(self, what: str, number: int | None = None) -> str:
        suffix = "" if number is None else f"-{number}"
        return f"{EXPORT_PREFIX}{self.export.merchant_id}/{self.export.id}/{what}{suffix}"
