"""The reads of settling a batch of lines, and its single commit."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

from pydantic import BaseModel

from runtime.core.errors import StaleWrite
from runtime.core.scope import Scope
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Key, Write, absent, change, equals, put
from runtime.dynamodb.schema import Row
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.files.models import SettlementChunk
from runtime.reconciliation.settlements.line_keys import line_partition
from runtime.reconciliation.settlements.models import Settlement, SettlementIdentity, SettlementLine
from runtime.reconciliation.settlements.writes import SettlementWrites

PARALLEL_QUERIES: Final = 8
"""Processor ids that are looked up at once; an index has no batch read."""
_SAME_ID_PAGE: Final = 10
"""Transactions that may have one processor id: a charge and its captures."""

MAX_LINES_ABOUT: Final = 50
"""Lines about one transaction that are evaluated again with one of them."""

RowT = TypeVar("RowT", bound=Row)
LineKey = tuple[str, int]
"""A line's settlement and number."""


class BatchContended(Exception):
    """A row of the batch changed after it was read; read and evaluate again."""


class _Entry(BaseModel, frozen=True, defer_build=True):
    id: str


class _LineEntry(BaseModel, frozen=True, defer_build=True):
    settlement_bucket: str
    line: int


class SettlementBatchRepository:
    """The rows of one merchant that settlement lines may be about, all strongly consistent."""

    def __init__(self, store: Store, scope: Scope) -> None:
        self._store = store
        self._scope = scope

    def settlements(self, ids: Iterable[str]) -> dict[str, Settlement]:
        """Settlements by id; missing ones are omitted, here and below."""
        return {row.id: row for row in self._read(Settlement, _by_id(ids))}

    def identities(self, ids: Iterable[str]) -> dict[str, SettlementIdentity]:
        """The places of the lines with these identities."""
        return {row.id: row for row in self._read(SettlementIdentity, _by_id(ids))}

    def lines(self, keys: Iterable[LineKey]) -> dict[LineKey, SettlementLine]:
        """Lines by settlement and number."""
        wanted: list[Key] = [
            {"settlement_bucket": line_partition(*key), "line": key[1]}
            for key in dict.fromkeys(keys)
        ]
        return {(row.settlement_id, row.line): row for row in self._read(SettlementLine, wanted)}

    def transactions(self, ids: Iterable[str]) -> dict[str, Transaction]:
        """Transactions by id."""
        return {row.id: row for row in self._read(Transaction, _by_id(ids))}

    def payments(self, ids: Iterable[str]) -> dict[str, Payment]:
        """Payments by id."""
        return {row.id: row for row in self._read(Payment, _by_id(ids))}

    def ids_of_processor(self, processor_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Ids of the transactions with this processor id, of any merchant."""
        if not processor_ids:
            return {}
        with self._store.outside.threads(PARALLEL_QUERIES) as pool:
            return dict(zip(processor_ids, pool.map(self._ids_of, processor_ids), strict=True))

    def keys_about(self, transaction_ids: Collection[str]) -> dict[str, tuple[LineKey, ...]]:
        """Keys of the lines about each of these transactions, as of a moment ago."""
        if not transaction_ids:
            return {}
        with self._store.outside.threads(PARALLEL_QUERIES) as pool:
            found = pool.map(self._keys_about, transaction_ids)
            return dict(zip(transaction_ids, found, strict=True))

    def _keys_about(self, transaction_id: str) -> tuple[LineKey, ...]:
        entries = self._store.query(
            SettlementLine,
            _LineEntry,
            [equals("transaction_id", transaction_id)],
            page_size=MAX_LINES_ABOUT,
            index="gsi-transaction",
        )
        keys = ((each.settlement_bucket.partition("#")[0], each.line) for each in entries)
        return tuple(islice(keys, MAX_LINES_ABOUT))

    def _ids_of(self, processor_id: str) -> tuple[str, ...]:
        entries = self._store.query(
            Transaction,
            _Entry,
            [equals("processor_id", processor_id)],
            page_size=_SAME_ID_PAGE,
            index="gsi-processor",
        )
        return tuple(entry.id for entry in entries)

    def _read(self, model: type[RowT], keys: list[Key]) -> Iterator[RowT]:
        for start in range(0, len(keys), MAX_TRANSACTION_ITEMS):
            some = keys[start : start + MAX_TRANSACTION_ITEMS]
            yield from self._store.get_many(model, some, model, self._scope)

    # ---------------------------------------------------------------- writes

    def open(self, settlement: Settlement, *, token: str) -> Settlement | None:
        """Store a new settlement; None if it exists already."""
        try:
            self._store.transact([put(settlement).when(absent("id"))], token=token)
        except TransactionRefused:
            return None
        return settlement

    def join(self, before: Settlement, after: Settlement, *, token: str) -> bool:
        """One step of a settlement alone; False if it has changed since it was read."""
        try:
            step = change(before, after).when(equals("version", before.version))
            self._store.transact([step], token=token)
        except TransactionRefused:
            return False
        return True

    def commit(
        self,
        before: SettlementChunk,
        after: SettlementChunk,
        settling: SettlementWrites,
        *,
        token: str,
    ) -> None:
        """The chunk's checkpoint and all changes of its lines, or nothing.

        Raises StaleWrite if another worker has passed the checkpoint, BatchContended if any
        other row has changed since it was read.
        """
        checkpoint = change(before, after).when(equals("version", before.version))
        writes: list[Write] = [checkpoint, *settling.rendered()]
        try:
            # Whatever condition has failed, everything is read again.
            self._store.transact(writes, token=token, decisive=range(len(writes)))
        except TransactionRefused as refused:
            if 0 in refused.failed:
                raise StaleWrite("settlement_chunks", f"{before.id} was taken further") from refused
            raise BatchContended from refused


def _by_id(ids: Iterable[str]) -> list[Key]:
    return [{"id": each} for each in dict.fromkeys(ids)]
