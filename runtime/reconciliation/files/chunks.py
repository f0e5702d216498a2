"""Processing one chunk of a settlement file, from its checkpoint until it is done.

Several workers may process one chunk, because a message may arrive twice: each commit is
conditional on the chunk as it was read, so one of them advances it, and the others read it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from runtime.core.errors import StaleWrite, Unavailable
from runtime.core.observability import logger
from runtime.dynamodb.errors import is_from_aws
from runtime.merchants.models import MerchantProfile
from runtime.reconciliation.dependencies import Line, NoTimeLeft, ReconciliationDependencies, Step
from runtime.reconciliation.files.bucket import ObjectVersion
from runtime.reconciliation.files.chunks_repository import stepped_chunk
from runtime.reconciliation.files.closing import close_file
from runtime.reconciliation.files.models import FileStatus, SettlementChunk, SettlementFile
from runtime.reconciliation.files.queue import ChunkMessage, CloseMessage
from runtime.reconciliation.importers.cells import cells_of
from runtime.reconciliation.importers.detect import layout_of
from runtime.reconciliation.importers.layout import Layout
from runtime.reconciliation.importers.line import UnreadableLine
from runtime.reconciliation.importers.text_records import Record, read_records
from runtime.reconciliation.matching.identities import ORDINAL

BATCH_LINES: Final = 100
"""Lines offered to one commit, which takes as many of them as fit."""
MAX_STANDSTILLS: Final = 5
"""Consecutive commits that a chunk may lose to others that change what it settles."""
NOT_PROCESSED: Final = "could not be processed; operators have its details in the log"


def work_chunk(
    message: ChunkMessage, request_id: str, dependencies: ReconciliationDependencies
) -> None:
    """Process a chunk until it is done or time is nearly over; then request another run.

    A file whose last chunk is done is closed. Raises NoTimeLeft if no commit was made,
    StaleWrite if others kept changing what the chunk settles, Unavailable.
    """
    file = dependencies.chunks.file(message.file_id)
    if file is None:
        raise LookupError(f"file {message.file_id} does not exist")
    if file.status is not FileStatus.PROCESSING:
        return  # a late message: the file is closed
    chunk = dependencies.chunks.chunk(file.id, message.number)
    if chunk is None:
        raise LookupError(f"file {file.id} has no chunk {message.number}")
    if not chunk.done:
        work = _ChunkWork(file, dependencies.merchants.require(file.merchant_id), dependencies)
        if not work.run(chunk, request_id):
            dependencies.queue.send([message], file.merchant_id)
            return
    _close_when_done(file.id, request_id, dependencies)


def _close_when_done(
    file_id: str, request_id: str, dependencies: ReconciliationDependencies
) -> None:
    file = dependencies.chunks.file(file_id)
    if file is None or file.status is not FileStatus.PROCESSING or file.chunks_done < file.chunks:
        return
    if dependencies.must_stop():
        dependencies.queue.send([CloseMessage(file_id=file_id)], file.merchant_id)
        return
    close_file(file_id, request_id, dependencies)


@dataclass(frozen=True)
class _ChunkWork:
    """One run over one chunk."""

    file: SettlementFile
    merchant: MerchantProfile
    dependencies: ReconciliationDependencies

    def run(self, chunk: SettlementChunk, request_id: str) -> bool:
        """Whether the chunk is done; False if time was nearly over, or AWS too busy.

        After progress another run is requested: a failed message is hidden for half an hour.
        """
        lines = list(_lines(self.file, chunk, self.dependencies))
        begun_at, standstills = chunk.lines_done, 0
        while not chunk.done:
            if self.dependencies.must_stop():
                if chunk.lines_done == begun_at:
                    raise NoTimeLeft(f"{chunk.id}: no commit was made after line {begun_at}")
                return False
            try:
                if chunk.lines_done < len(lines):
                    offered = lines[chunk.lines_done : chunk.lines_done + BATCH_LINES]
                    chunk, standstills = self._recorded(offered, chunk, request_id), 0
                else:
                    chunk = self._finished(chunk, request_id)
            except Unavailable:
                if chunk.lines_done == begun_at:
                    raise
                logger.warning("AWS is busy", chunk=chunk.id, lines_done=chunk.lines_done)
                return False
            except StaleWrite:
                now = self._read_again(chunk)
                standstills = standstills + 1 if now.version == chunk.version else 0
                if standstills == MAX_STANDSTILLS:
                    raise
                chunk = now
        return True

    def _read_again(self, chunk: SettlementChunk) -> SettlementChunk:
        now = self.dependencies.chunks.chunk(chunk.file_id, chunk.number)
        assert now is not None, f"{chunk.id} was deleted"
        return now

    def _recorded(
        self, lines: list[Line], chunk: SettlementChunk, request_id: str
    ) -> SettlementChunk:
        """The chunk after one commit, or after one per line if a line is at fault."""
        try:
            return self._record(lines, chunk, request_id)
        except Exception as error:
            if not _is_bug(error):
                raise
            logger.exception("a batch could not be processed", chunk=chunk.id, lines=len(lines))
        for line in lines:
            chunk = self._recorded_alone(line, chunk, request_id)
        return chunk

    def _recorded_alone(
        self, line: Line, chunk: SettlementChunk, request_id: str
    ) -> SettlementChunk:
        try:
            return self._record([line], chunk, request_id)
        except Exception as error:
            if not _is_bug(error):
                raise
            logger.exception("a line could not be processed", chunk=chunk.id, line=line.number)
        broken = UnreadableLine(line.number, NOT_PROCESSED, line.payout_reference)
        return self._record([broken], chunk, request_id)

    def _record(
        self, lines: list[Line], chunk: SettlementChunk, request_id: str
    ) -> SettlementChunk:
        step = Step.begin("bat", request_id, self.dependencies.outside)
        after = self.dependencies.record(lines, chunk, self.file, self.merchant, step.context)
        assert after.lines_done > chunk.lines_done, f"{chunk.id}: a commit took no line"
        return after

    def _finished(self, chunk: SettlementChunk, request_id: str) -> SettlementChunk:
        step = Step.begin("chk", request_id, self.dependencies.outside)
        done = stepped_chunk(chunk, step.at, step.token)
        self.dependencies.chunks.finish(chunk, done, step.context, step.token)
        return done


def _is_bug(error: Exception) -> bool:
    """Whether an error is caused by the lines, not by time or the services used."""
    passing = isinstance(error, StaleWrite | NoTimeLeft | Unavailable | MemoryError | OSError)
    return not passing and not is_from_aws(error)


# ---------------------------------------------------------------- reading


def _lines(
    file: SettlementFile, chunk: SettlementChunk, dependencies: ReconciliationDependencies
) -> Iterator[Line]:
    """The lines of a chunk, each with an identity that is unique in the file."""
    assert file.header is not None, f"{file.id} was planned without a header"
    layout = layout_of(cells_of(file.header))
    assert isinstance(layout, Layout), f"{file.id} was planned with another header"
    blocks = dependencies.objects.blocks(_version_read(file), chunk.start, chunk.end)
    records = read_records(blocks, file.delimiter, offset=chunk.start, line=chunk.first_line)
    parse = partial(_parsed, layout=layout, chunk_id=chunk.id)
    for line in map(parse, records):
        if line is not None:
            yield _numbered(line, chunk.repeats)


def _version_read(file: SettlementFile) -> ObjectVersion:
    assert file.read_key is not None, f"{file.id} is not planned"
    assert file.read_etag is not None, f"{file.id} is not planned"
    return ObjectVersion(file.read_key, file.read_etag, file.read_version_id)


def _parsed(record: Record, *, layout: Layout, chunk_id: str) -> Line | None:
    if record.reason is not None:
        return UnreadableLine(record.line, record.reason)
    try:
        return layout.parse(record.line, record.cells)
    except Exception:  # noqa: BLE001 - one line never stops the others
        logger.exception("a line could not be parsed", chunk=chunk_id, line=record.line)
        return UnreadableLine(record.line, NOT_PROCESSED)


def _numbered(line: Line, repeats: Mapping[str, int]) -> Line:
    """The line with an ordinal appended to its identity, if that occurred before in the file.

    An identity that already ends like this always gets an ordinal, so that it is unambiguous.
    """
    if isinstance(line, UnreadableLine):
        return line
    ordinal = repeats.get(str(line.number))
    if ordinal is None and ORDINAL.search(line.identity):
        ordinal = 1
    if ordinal is None:
        return line
    return replace(line, identity=f"{line.identity}#{ordinal}")
