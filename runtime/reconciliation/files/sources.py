"""The text of a settlement file: the object itself, or its conversion to UTF-8."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from runtime.reconciliation.dependencies import NoTimeLeft, ReconciliationDependencies
from runtime.reconciliation.files.bucket import ObjectVersion, StoredObject
from runtime.reconciliation.files.models import CONVERTED_PREFIX, SettlementFile
from runtime.reconciliation.files.rejection import Rejection
from runtime.reconciliation.importers.dialect import (
    HEAD_BYTES,
    UTF_8,
    TextFile,
    WorkbookFile,
    sniff,
)
from runtime.reconciliation.importers.layout import Refusal
from runtime.reconciliation.importers.workbook import (
    MAX_WORKBOOK_BYTES,
    UnusableCell,
    read_workbook,
)

WORKBOOK_DELIMITER: Final = ","
_LINES_WRITTEN: Final = 1_000
"""Lines of a workbook that are passed on at once."""


@dataclass(frozen=True, slots=True)
class Source:
    """UTF-8 text in an object, and its delimiter.

    `sha256` is that of the file's own bytes, if the text is not the file itself.
    """

    version: ObjectVersion
    delimiter: str
    sha256: str | None = None


def readable_source(
    file: SettlementFile, stored: StoredObject, dependencies: ReconciliationDependencies
) -> Source:
    """The text of a file, converted if needed. Raises Rejection, NoTimeLeft."""
    head = b"".join(dependencies.objects.blocks(stored.version, 0, min(HEAD_BYTES, stored.size)))
    found = sniff(head, whole=stored.size <= HEAD_BYTES)
    if isinstance(found, Refusal):
        raise Rejection(found.reason)
    if isinstance(found, TextFile) and found.encoding == UTF_8:
        return Source(stored.version, found.delimiter)
    digest = hashlib.sha256()
    blocks = watched(dependencies.objects.blocks(stored.version), dependencies, digest)
    if isinstance(found, WorkbookFile):
        delimiter, text = WORKBOOK_DELIMITER, _of_workbook(blocks, stored.size)
    else:
        delimiter, text = found.delimiter, _as_utf_8(blocks, found)
    try:
        written = dependencies.objects.write(f"{CONVERTED_PREFIX}{file.id}.csv", text)
    except UnusableCell as unusable:
        raise Rejection(str(unusable)) from unusable
    return Source(written, delimiter, digest.hexdigest())


def watched(
    blocks: Iterable[bytes],
    dependencies: ReconciliationDependencies,
    digest: hashlib._Hash | None = None,
) -> Iterator[bytes]:
    """The blocks, also added to `digest`. Raises NoTimeLeft."""
    for block in blocks:
        if dependencies.must_stop():
            raise NoTimeLeft("a file could not be read to its end in one invocation")
        if digest is not None:
            digest.update(block)
        yield block


def _as_utf_8(blocks: Iterable[bytes], found: TextFile) -> Iterator[bytes]:
    """The text after its byte order mark; invalid bytes become U+FFFD."""
    decoder = codecs.getincrementaldecoder(found.encoding)("replace")
    skipped = found.start
    for block in blocks:
        yield decoder.decode(block[skipped:]).encode()
        skipped = max(skipped - len(block), 0)
    yield decoder.decode(b"", final=True).encode()


def _of_workbook(blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The sheet of an Excel workbook, which is read as a whole. Raises Rejection, UnusableCell."""
    if size > MAX_WORKBOOK_BYTES:
        raise Rejection(
            f"The workbook has {size} bytes; at most {MAX_WORKBOOK_BYTES} are read. Save the sheet "
            "as CSV and upload that."
        )
    found = read_workbook(b"".join(blocks))
    if isinstance(found, Refusal):
        raise Rejection(found.reason)
    return _joined(found.lines)


def _joined(lines: Iterator[str]) -> Iterator[bytes]:
    while some := "".join(islice(lines, _LINES_WRITTEN)):
        yield some.encode()
