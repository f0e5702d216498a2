"""Writes of processing a settlement file: its steps, its chunks, and its closing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from runtime.core.change_context import ChangeContext
from runtime.core.errors import StaleWrite
from runtime.core.fields import Timestamp
from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Key, Write, change, check, equals, put, update
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store
from runtime.reconciliation.files.models import (
    FileStatus,
    SettlementChunk,
    SettlementFile,
    chunk_id,
)
from runtime.reconciliation.settlements.line_keys import line_partition
from runtime.reconciliation.settlements.models import Settlement, SettlementLine
from runtime.reconciliation.settlements.writes import SettlementWrites

MAX_CHUNKS_WRITTEN = 50
"""Rows of one commit: those of a file whose lines all repeat have some 30 KB, and DynamoDB's
transactions end at 4 MB."""


class SettlementChunkRepository:
    """The settlement_chunks table, with the rows of settlement_files that it belongs to."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put_new_file(self, file: SettlementFile) -> SettlementFile:
        """The file with that id: the existing one, or this one, now stored."""
        return self._store.put_new(file) or file

    def file(self, file_id: str) -> SettlementFile | None:
        """A file, strongly consistent."""
        return self._store.get(SettlementFile, {"id": file_id}, SettlementFile, UNRESTRICTED)

    def advance(self, before: SettlementFile, after: SettlementFile, *, token: str) -> None:
        """One step of a file alone. Raises StaleWrite."""
        step = change(before, after).when(equals("version", before.version))
        self._commit([step], f"{before.id} was taken further", token)

    def put_chunks(
        self, file: SettlementFile, chunks: Sequence[SettlementChunk], *, token: str
    ) -> None:
        """Write at most MAX_CHUNKS_WRITTEN chunks of a file that no worker has begun.

        Chunks of an earlier attempt are replaced. Raises StaleWrite if the file has changed since
        it was read: then workers may have advanced its chunks.
        """
        planned = check(SettlementFile, {"id": file.id}, equals("version", file.version))
        self._commit([planned, *map(put, chunks)], f"{file.id} was taken further", token)

    def chunk(self, file_id: str, number: int) -> SettlementChunk | None:
        """A chunk, strongly consistent."""
        key = {"id": chunk_id(file_id, number)}
        return self._store.get(SettlementChunk, key, SettlementChunk, UNRESTRICTED)

    def chunks(self, file: SettlementFile) -> Iterator[SettlementChunk]:
        """All chunks of a file, in the order of the file, strongly consistent."""
        keys: Iterator[Key] = ({"id": chunk_id(file.id, n)} for n in range(file.chunks))
        while batch := list(islice(keys, MAX_TRANSACTION_ITEMS)):
            yield from self._store.get_many(SettlementChunk, batch, SettlementChunk, UNRESTRICTED)

    def finish(
        self, before: SettlementChunk, after: SettlementChunk, context: ChangeContext, token: str
    ) -> None:
        """The end of a chunk, counted by its file in the same commit.

        Raises StaleWrite if the chunk has changed, or its file is not in progress.
        """
        ended = change(before, after).when(
            equals("version", before.version), equals("done", before.done)
        )
        counted = (
            update(SettlementFile, {"id": before.file_id})
            .add(chunks_done=1, version=1)
            .assign(updated_at=after.updated_at, **context.stamp())
            .when(equals("status", FileStatus.PROCESSING))
        )
        self._commit([ended, counted], f"{before.id} was taken further", token)

    def settlement(self, settlement_id: str) -> Settlement | None:
        """A settlement, strongly consistent."""
        return self._store.get(Settlement, {"id": settlement_id}, Settlement, UNRESTRICTED)

    def put_new_settlement(self, settlement: Settlement) -> None:
        """Write a settlement, unless it exists."""
        self._store.put_new(settlement)

    def lines(self, settlement_id: str, lines: Sequence[int]) -> list[SettlementLine]:
        """Some lines of a settlement, strongly consistent, in the given order."""
        if not lines:
            return []
        keys: list[Key] = [
            {"settlement_bucket": line_partition(settlement_id, line), "line": line}
            for line in lines
        ]
        return self._store.get_many(SettlementLine, keys, SettlementLine, UNRESTRICTED)

    def close(
        self,
        before: Settlement,
        after: Settlement,
        settling: SettlementWrites,
        *,
        token: str,
    ) -> None:
        """A settlement with the sums of a file, and the changes of its payout lines.

        Raises StaleWrite if one of them has changed since it was read.
        """
        writes: list[Write] = [change(before, after).when(equals("version", before.version))]
        writes += settling.rendered()
        self._commit(writes, f"{before.id} was taken further", token)

    def _commit(self, writes: Sequence[Write], detail: str, token: str) -> None:
        try:
            self._store.transact(writes, token=token)
        except TransactionRefused as refused:
            raise StaleWrite("settlement_files", detail) from refused


def stepped_chunk(chunk: SettlementChunk, at: Timestamp, cause: str) -> SettlementChunk:
    """The chunk, done."""
    return chunk.model_copy(
        update={"done": True, "version": chunk.version + 1, "updated_at": at, "cause": cause}
    )
