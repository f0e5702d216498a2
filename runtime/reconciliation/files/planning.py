"""Planning a settlement file: the object is recorded, recognized, and split into chunks.

Every step can be repeated: repeated events find the row of the object, and the
chunks are a function of the object's bytes. Chunks are replaced only before a worker has begun.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice, repeat
from typing import Final

from runtime.core.errors import StaleWrite
from runtime.core.fields import PLATFORM
from runtime.core.observability import logger
from runtime.reconciliation.dependencies import ReconciliationDependencies, Step, is_final, stepped
from runtime.reconciliation.files.arrivals import lies_in_a_folder, row_of
from runtime.reconciliation.files.bucket import StoredObject
from runtime.reconciliation.files.chunks_repository import MAX_CHUNKS_WRITTEN
from runtime.reconciliation.files.models import (
    CONVERTED_PREFIX,
    MAX_FILE_BYTES,
    MAX_SETTLEMENT_BUCKETS,
    MAX_SETTLEMENT_FILES,
    REJECTED_PREFIX,
    FileStatus,
    SettlementChunk,
    SettlementFile,
    chunk_id,
)
from runtime.reconciliation.files.plan import NO_REPEATS, FilePlan, Repeats, repeats_by_chunk
from runtime.reconciliation.files.queue import ChunkMessage, CloseMessage, ObjectCreated
from runtime.reconciliation.files.rejection import Rejection, move_away, reject
from runtime.reconciliation.files.sources import Source, readable_source, watched
from runtime.reconciliation.importers.detect import is_preamble, layout_of
from runtime.reconciliation.importers.layout import Layout, Refusal
from runtime.reconciliation.importers.text_records import Record, read_records
from runtime.reconciliation.matching.identities import settlement_id
from runtime.reconciliation.settlements.models import LINES_PER_BUCKET

_OWN_PREFIXES: Final = (REJECTED_PREFIX, CONVERTED_PREFIX)
_DATED: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\.[A-Za-z]+")
_WHERE: Final = (
    "Put settlement files under reconciliation/<merchant id>/<file name>, or upload them with "
    "POST /v1/settlement-files."
)


def plan_file(
    arrived: ObjectCreated, request_id: str, dependencies: ReconciliationDependencies
) -> None:
    """Plan the file of an object, and queue its chunks; or reject it.

    A repetition queues what is not done yet. Raises NoTimeLeft, StaleWrite.
    """
    if arrived.key.startswith(_OWN_PREFIXES):
        return  # the function's own object
    stored = dependencies.objects.find(arrived.key, arrived.version_id)
    if stored is None:
        logger.warning("an object was gone before it was read", version=arrived.version_id)
        return
    if stored.size == 0 and arrived.key.endswith("/"):
        return  # a folder created in S3's console
    file = row_of(stored, request_id, dependencies)
    if file.status is FileStatus.REJECTED:
        move_away(stored, dependencies)
    if is_final(file):
        return
    if file.status is FileStatus.RECEIVED:
        try:
            file = _planned(file, stored, request_id, dependencies)
        except Rejection as rejection:
            reject(file, stored, rejection.reason, request_id, dependencies)
            return
    queue_work(file, dependencies)


def queue_work(file: SettlementFile, dependencies: ReconciliationDependencies) -> None:
    """Queue every chunk of the file that is not done, or its closing. Raises Unavailable."""
    if file.chunks_done == file.chunks:
        dependencies.queue.send([CloseMessage(file_id=file.id)], file.merchant_id)
        return
    left = [chunk.number for chunk in dependencies.chunks.chunks(file) if not chunk.done]
    messages = [ChunkMessage(file_id=file.id, number=number) for number in left]
    dependencies.queue.send(messages, file.merchant_id)


# ---------------------------------------------------------------- planning


@dataclass(frozen=True, slots=True)
class _Scanned:
    """The results of reading the file once."""

    sha256: str
    layout: Layout
    header: tuple[str, ...]
    plan: FilePlan


def _planned(
    file: SettlementFile,
    stored: StoredObject,
    request_id: str,
    dependencies: ReconciliationDependencies,
) -> SettlementFile:
    """The file with its chunks, in progress. Raises Rejection, NoTimeLeft, StaleWrite."""
    _check_place(file, stored)
    source = readable_source(file, stored, dependencies)
    scanned = _scanned(source, dependencies)
    _check_room(file, scanned, dependencies)
    sha256 = source.sha256 or scanned.sha256
    if file.expected_sha256 not in (None, sha256):
        raise Rejection(
            f"The file's SHA-256 is {sha256}, but {file.expected_sha256} was announced. "
            "Create a new settlement file and upload it again."
        )
    rows = _chunk_rows(file, source, scanned, request_id, dependencies)
    while part := list(islice(rows, MAX_CHUNKS_WRITTEN)):
        token = Step.begin("pln", request_id, dependencies.outside).token
        try:
            dependencies.chunks.put_chunks(file, part, token=token)
        except StaleWrite:
            return _planned_by_another(file, dependencies)
    step = Step.begin("pln", request_id, dependencies.outside)
    planned = stepped(
        file,
        step,
        status=FileStatus.PROCESSING,
        sha256=sha256,
        format=scanned.layout.format,
        date=_date_of(file.name) or scanned.plan.date,
        read_key=source.version.key,
        read_version_id=source.version.version_id,
        read_etag=source.version.etag,
        header=_as_text(scanned.header),
        delimiter=source.delimiter,
        chunks=len(scanned.plan.chunks),
        lines=scanned.plan.lines,
    )
    try:
        dependencies.chunks.advance(file, planned, token=step.token)
    except StaleWrite:
        return _planned_by_another(file, dependencies)
    return planned


def _planned_by_another(
    file: SettlementFile, dependencies: ReconciliationDependencies
) -> SettlementFile:
    """The file as another planner left it. Raises StaleWrite while it is not planned yet."""
    now = dependencies.chunks.file(file.id)
    if now is None or now.status is FileStatus.RECEIVED:
        raise StaleWrite("settlement_files", f"{file.id} changed while it was planned")
    return now


def _check_place(file: SettlementFile, stored: StoredObject) -> None:
    """Raises Rejection."""
    if file.merchant_id == PLATFORM:
        unknown = "in the folder of an unknown merchant"
        where = unknown if lies_in_a_folder(file.key) else "not in a merchant's folder"
        raise Rejection(f"The file is {where}. {_WHERE}")
    if stored.size == 0:
        raise Rejection("The file is empty. Export it again.")
    if stored.size > MAX_FILE_BYTES:
        raise Rejection(
            f"The file has {stored.size} bytes; at most {MAX_FILE_BYTES} are read. Split it, with "
            "the header in each part, and upload the parts."
        )


def _check_room(
    file: SettlementFile, scanned: _Scanned, dependencies: ReconciliationDependencies
) -> None:
    """Whether the settlement of the file's name can have one more file. Raises Rejection."""
    layout = scanned.layout.format
    known = dependencies.chunks.settlement(settlement_id(file.merchant_id, layout, None, file.name))
    if known is None or file.id in known.file_ids:
        return
    buckets = len(known.line_buckets) + scanned.plan.lines // LINES_PER_BUCKET
    if len(known.file_ids) >= MAX_SETTLEMENT_FILES or buckets >= MAX_SETTLEMENT_BUCKETS:
        raise Rejection(
            f"Files with this name make one settlement, which has had {len(known.file_ids)} of "
            "them. Give every settlement's file a name of its own, such as its date, and upload it "
            "again."
        )


def _scanned(source: Source, dependencies: ReconciliationDependencies) -> _Scanned:
    digest = hashlib.sha256()
    records = _records(source, dependencies, digest)
    named = (each for each in records if not (each.is_blank or is_preamble(each.cells)))
    header = next(named, None)
    if header is None:
        raise Rejection("The file has no lines. Export it again.")
    if header.reason is not None:
        raise Rejection(f"The first line is {header.reason}. Export the file again as CSV.")
    layout = layout_of(header.cells)
    if isinstance(layout, Refusal):
        raise Rejection(layout.reason)
    plan = FilePlan(layout)
    refusal = plan.add(records)
    if refusal is not None:
        raise Rejection(refusal.reason)
    return _Scanned(digest.hexdigest(), layout, header.cells, plan)


def _chunk_rows(
    file: SettlementFile,
    source: Source,
    scanned: _Scanned,
    request_id: str,
    dependencies: ReconciliationDependencies,
) -> Iterator[SettlementChunk]:
    """The chunks, one after the other: if lines repeat, the file is read a second time."""
    plan = scanned.plan
    repeats: Iterator[Repeats] = repeat(NO_REPEATS)
    repeated = plan.repeated()
    if repeated:
        records = _records(source, dependencies)
        repeats = repeats_by_chunk(scanned.layout, records, plan.chunks, repeated)
    step = Step.begin("pln", request_id, dependencies.outside)
    for number, bounds in enumerate(plan.chunks):
        found = next(repeats)
        yield SettlementChunk(
            id=chunk_id(file.id, number),
            file_id=file.id,
            merchant_id=file.merchant_id,
            number=number,
            start=bounds.start,
            end=bounds.end,
            first_line=bounds.first_line,
            lines=bounds.lines,
            repeats=found.ordinals,
            duplicates=tuple(found.duplicates),
            updated_at=step.at,
            cause=step.token,
        )


def _records(
    source: Source,
    dependencies: ReconciliationDependencies,
    digest: hashlib._Hash | None = None,
) -> Iterator[Record]:
    """The file's records, including its header."""
    blocks = dependencies.objects.blocks(source.version)
    return read_records(watched(blocks, dependencies, digest), source.delimiter)


def _date_of(name: str) -> str | None:
    """The settlement's date, if the file's name is one."""
    match = _DATED.fullmatch(name)
    if match is None:
        return None
    try:
        return date.fromisoformat(match[1]).isoformat()
    except ValueError:
        return None


def _as_text(header: tuple[str, ...]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(header)
    return text.getvalue()
