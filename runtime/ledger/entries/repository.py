"""The entries table."""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

from pydantic import BaseModel

from runtime.core.fields import Timestamp
from runtime.core.ids import highest_id, lowest_id
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime
from runtime.dynamodb.expressions import Condition, Key, at_least, at_most, below, equals
from runtime.dynamodb.index_merge import merge_newest_first
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store
from runtime.ledger.accounts.models import PROFILE_SHARD
from runtime.ledger.entries.models import (
    Entry,
    EntryPlace,
    consolidation_key,
    credit_partitions,
    entry_partition,
    shard_sequence,
)
from runtime.ledger.rules import operation_time

LONGEST_COMMIT: Final = timedelta(minutes=1)
"""Longest time from the start of an operation, encoded in its id, to its commit: twice the request
timeout."""
_AFTER_SHARD: Final = "~"
"""Sorts after the shard in the sort key of a consolidation's entry."""


class EntryLine(BaseModel, frozen=True, defer_build=True):
    """The fields of an entry that are needed to compute a balance."""

    sequence: str
    amount: int
    created_at: Timestamp
    balance_after: int | None = None
    fold_version: int | None = None
    balance_shard: str | None = None


class EntryRepository:
    """The entries table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_row(
        self, account_id: str, *, before_sequence: str | None, page_size: int
    ) -> Iterator[Entry]:
        """Entries of row 00 older than `before_sequence`, newest version first."""
        return self._of_row_00(account_id, before_sequence, page_size)

    def of_hot_account(
        self,
        account_id: str,
        debit_shards: Iterable[str],
        *,
        before_operation: str | None,
        page_size: int,
    ) -> Iterator[Entry]:
        """Entries of a hot account, all partitions merged, newest operation first.

        `before_operation` is the time part of an operation's id (ledger.rules.operation_time).
        """
        of_debits = (entry_partition(account_id, shard) for shard in debit_shards)
        of_shards = [
            self._of_partition(partition, before_operation, page_size)
            for partition in (*credit_partitions(account_id), *of_debits)
        ]
        # Row 00 is in version order. It has few entries: payouts, holds and consolidations.
        row = (
            entry
            for entry in _by_operation(self._of_row_00(account_id, None, page_size))
            if before_operation is None or _operation(entry) < before_operation
        )
        threads = self._store.outside.threads
        return merge_newest_first([row, *of_shards], threads, key=_operation)

    def lines_down(self, account_id: str, sequence: str, page_size: int) -> Iterator[EntryLine]:
        """Entries of row 00 from `sequence` down, newest version first, strongly consistent."""
        partition = entry_partition(account_id, PROFILE_SHARD)
        return self._lines(partition, at_most("sequence", sequence), page_size, newest_first=True)

    def lines_until(
        self, partitions: Iterable[str], moment: datetime, page_size: int
    ) -> Iterator[EntryLine]:
        """Entries of shards from operations that began up to `moment`, one partition at a time."""
        last = operation_time(highest_id("", moment))
        until = at_most("sequence", f"{last}{_AFTER_SHARD}")
        return chain.from_iterable(self._lines(each, until, page_size) for each in partitions)

    def lines_since(
        self, partitions: Iterable[str], moment: datetime, page_size: int
    ) -> Iterator[EntryLine]:
        """Entries of shards from operations since `moment`, one partition at a time."""
        since = at_least("sequence", operation_time(lowest_id("", moment)))
        return chain.from_iterable(self._lines(each, since, page_size) for each in partitions)

    def has_operation(self, account_id: str, shard: str, operation_id: str) -> bool:
        """Whether a debit shard has an entry for the operation."""
        partition, sequence = entry_partition(account_id, shard), shard_sequence(operation_id)
        lines = self._lines(partition, equals("sequence", sequence), page_size=1)
        return next(lines, None) is not None

    def _lines(
        self,
        partition: str,
        where: Condition,
        page_size: int,
        *,
        newest_first: bool = False,
    ) -> Iterator[EntryLine]:
        return self._store.query(
            Entry,
            EntryLine,
            [equals("account_shard", partition), where],
            newest_first=newest_first,
            page_size=page_size,
            consistent=True,
        )

    def put_new(self, entry: Entry) -> bool:
        """Write an entry unless its key exists. Returns whether it was written."""
        return self._store.put_new(entry) is None

    def at(self, places: Sequence[EntryPlace], *, settled: bool = False) -> list[Entry]:
        """The entries at up to 100 places that exist, strongly consistent.

        `settled`: consistent with earlier commits, at twice the cost. Raises ValidationError if an
        entry was edited and is invalid.
        """
        keys = [{"account_shard": partition, "sequence": each} for partition, each in places]
        if not keys:
            return []
        if settled:
            return self._settled(keys)
        return self._store.get_many(Entry, keys, Entry, UNRESTRICTED)

    def of_consolidation(
        self, account_id: str, shards: Sequence[str], operation_id: str
    ) -> list[Entry]:
        """Entries of a consolidation in some of the account's shards, consistent with its commit.

        Raises ValidationError if an entry was edited and is invalid.
        """
        if not shard_sequence(operation_id):
            return []
        places = [consolidation_key(account_id, each, operation_id) for each in shards]
        keys = [{"account_shard": partition, "sequence": each} for partition, each in places]
        entries = [
            entry
            for start in range(0, len(keys), MAX_TRANSACTION_ITEMS)
            for entry in self._settled(keys[start : start + MAX_TRANSACTION_ITEMS])
        ]
        # The sort key has no prefix, so a transfer with the same ULID would also match.
        return [entry for entry in entries if entry.operation_id == operation_id]

    def _settled(self, keys: Sequence[Key]) -> list[Entry]:
        return self._store.get_settled(Entry, keys, Entry, UNRESTRICTED)

    def _of_row_00(self, account_id: str, before: str | None, page_size: int) -> Iterator[Entry]:
        partition = entry_partition(account_id, PROFILE_SHARD)
        return self._of_partition(partition, before, page_size)

    def _of_partition(self, partition: str, before: str | None, page_size: int) -> Iterator[Entry]:
        older = () if before is None else (below("sequence", before),)
        return self._store.query(
            Entry,
            Entry,
            [equals("account_shard", partition), *older],
            newest_first=True,
            page_size=page_size,
        )


def _operation(entry: Entry) -> str:
    return operation_time(entry.operation_id)


def _by_operation(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Reorder entries from newest version first to newest operation first.

    The orders differ if an operation that began later committed earlier.
    """
    waiting: list[Entry] = []
    for entry in entries:
        insort(waiting, entry, key=_operation)
        # Unread entries were committed before this one, so they began before this time.
        unread_before = to_datetime(entry.created_at) + LONGEST_COMMIT
        while to_datetime(waiting[-1].created_at) > unread_before:
            yield waiting.pop()
    yield from reversed(waiting)
