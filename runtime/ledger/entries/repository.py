"""The entries table."""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel

from runtime.core.fields import Timestamp
from runtime.core.ids import highest_id, lowest_id
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime
from runtime.dynamodb.expressions import Condition, at_least, at_most, below, equals
from runtime.dynamodb.store import Store
from runtime.ledger.accounts.models import PROFILE_SHARD
from runtime.ledger.entries.models import Entry, entry_partition, shard_sequence
from runtime.ledger.hot_accounts.rules import shards_of
from runtime.ledger.rules import operation_time

LONGEST_COMMIT: Final = timedelta(minutes=1)
"""Longest time from the start of an operation, encoded in its id, to its commit: twice the request
timeout."""


class EntryLine(BaseModel, frozen=True):
    """The fields of an entry that are needed to compute a balance."""

    sequence: str
    amount: int
    created_at: Timestamp
    balance_after: int | None = None
    fold_version: int | None = None


class EntryRepository:
    """The entries table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_row(
        self, account_id: str, *, before_sequence: str | None, page_size: int
    ) -> Iterator[Entry]:
        """Entries of row 00 older than `before_sequence`, newest version first."""
        return self._of_shard(account_id, PROFILE_SHARD, before_sequence, page_size)

    def of_hot_account(
        self,
        account_id: str,
        shards: Iterable[str],
        *,
        before_operation: str | None,
        page_size: int,
    ) -> Iterator[Entry]:
        """Entries of a hot account, row 00 and `shards` merged, newest operation first.

        `before_operation` is the time part of an operation's id (ledger.rules.operation_time).
        """
        of_shards = [
            self._of_shard(account_id, shard, before_operation, page_size) for shard in shards
        ]
        # Row 00 is in version order. It has few entries: payouts, holds and consolidations.
        row = (
            entry
            for entry in _by_operation(self._of_shard(account_id, PROFILE_SHARD, None, page_size))
            if before_operation is None or _operation(entry) < before_operation
        )
        return heapq.merge(row, *of_shards, key=_operation, reverse=True)

    def lines_down(self, account_id: str, sequence: str, page_size: int) -> Iterator[EntryLine]:
        """Entries of row 00 from `sequence` down, newest version first, strongly consistent."""
        return self._lines(
            account_id, PROFILE_SHARD, at_most("sequence", sequence), page_size, newest_first=True
        )

    def lines_until(
        self, account_id: str, shard: str, moment: datetime, page_size: int
    ) -> Iterator[EntryLine]:
        """Entries of a shard from operations that began up to `moment`, oldest first."""
        last = operation_time(highest_id("", moment))
        return self._lines(account_id, shard, at_most("sequence", last), page_size)

    def lines_since(
        self, account_id: str, shard: str, moment: datetime, page_size: int
    ) -> Iterator[EntryLine]:
        """Entries of a shard from operations that began at or after `moment`, oldest first."""
        first = operation_time(lowest_id("", moment))
        return self._lines(account_id, shard, at_least("sequence", first), page_size)

    def has_operation(self, account_id: str, shard: str, operation_id: str) -> bool:
        """Whether a shard has an entry for the operation."""
        sequence = shard_sequence(operation_id)
        lines = self._lines(account_id, shard, equals("sequence", sequence), page_size=1)
        return next(lines, None) is not None

    def _lines(
        self,
        account_id: str,
        shard: str,
        where: Condition,
        page_size: int,
        *,
        newest_first: bool = False,
    ) -> Iterator[EntryLine]:
        partition = entry_partition(account_id, shard)
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

    def of_consolidation(self, account_id: str, operation_id: str) -> list[Entry]:
        """Entries of a consolidation in the account's shards, consistent with earlier commits.

        Raises ValidationError if an entry was edited and is invalid.
        """
        sequence = shard_sequence(operation_id)
        if not sequence:
            return []
        keys = [
            {"account_shard": entry_partition(account_id, shard), "sequence": sequence}
            for shard in shards_of(account_id)
        ]
        entries = self._store.get_settled(Entry, keys, Entry, UNRESTRICTED)
        # The sort key has no prefix, so a transfer with the same ULID would also match.
        return [entry for entry in entries if entry.operation_id == operation_id]

    def _of_shard(
        self, account_id: str, shard: str, before: str | None, page_size: int
    ) -> Iterator[Entry]:
        older = () if before is None else (below("sequence", before),)
        return self._store.query(
            Entry,
            Entry,
            [equals("account_shard", entry_partition(account_id, shard)), *older],
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
