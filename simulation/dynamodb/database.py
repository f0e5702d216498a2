"""DynamoDB in memory: what is said of it in docs/testing.md, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from simulation.dynamodb.catalog import Catalog
from simulation.dynamodb.commits import Commits
from simulation.dynamodb.queries import Queries
from simulation.dynamodb.reads import Reads
from simulation.dynamodb.requests import Answer
from simulation.dynamodb.streams import StreamEntry, lambda_record
from simulation.dynamodb.tables import Change, Table
from simulation.dynamodb.transactions import Transaction, Transactions
from simulation.dynamodb.writes import PlainWrites


class InMemoryDynamoDB:
    """All tables of one account, for one thread: whoever has more takes a lock.

    `now` tells seconds since some beginning and `epoch` that beginning in Unix time; `index_lag`
    how long a change takes until its index shows it. Nothing else comes from outside, so that the
    same requests at the same times have the same answers. Requests and answers are those of the
    low-level API as botocore has them, with attribute values in their typed form. The values in an
    answer are shared with the table: callers may not change them.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        epoch: float = 0.0,
        index_lag: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.epoch = epoch
        self._catalog = catalog = Catalog()
        self._commits = commits = Commits(now, index_lag)
        self.tables: dict[str, Table] = catalog.tables
        self.on_commit: list[Callable[[list[Change]], None]] = commits.on_commit
        self.on_record: list[Callable[[Table, StreamEntry], None]] = commits.on_record
        self._transactions = transactions = Transactions(catalog, commits)
        reads, queries = Reads(catalog, commits), Queries(catalog, commits)
        writes = PlainWrites(catalog, commits)
        self.create_table = catalog.create_table
        self.delete_table = catalog.delete_table
        self.describe_table = catalog.describe_table
        self.update_time_to_live = catalog.update_time_to_live
        self.get_item = reads.get_item
        self.batch_get_item = reads.batch_get_item
        self.transact_get_items = reads.transact_get_items
        self.query = queries.query
        self.scan = queries.scan
        self.put_item = writes.put_item
        self.update_item = writes.update_item
        self.delete_item = writes.delete_item
        self.batch_write_item = writes.batch_write_item
        self.transact_write_items = transactions.transact_write_items

    def begin(self, actions: Sequence[Any], token: str | None = None) -> Transaction | None:
        """Judge a transaction and lock its items; `finish` does it. None: it was done before."""
        return self._transactions.begin(actions, token)

    def finish(self, transaction: Transaction) -> Answer:
        """Do what was judged."""
        return self._transactions.finish(transaction)

    def show_part(self, transaction: Transaction, chance: Random) -> None:
        """Let plain readers see some items of a judged transaction before the others."""
        self._transactions.show_part(transaction, chance)

    def expire(self) -> int:
        """Delete what has expired, but for items that a transaction is at work on; how many."""
        second = self.epoch + self._commits.now()
        done = 0
        for table in self.tables.values():
            for key in table.expired(second):
                if (table.name, key) in self._commits.locks:
                    table.not_expired(key)
                    continue
                self._commits.commit([Change(table, key, table.items[key], None)], by_expiry=True)
                done += 1
        return done

    def record(self, table: Table, entry: StreamEntry) -> dict[str, Any]:
        """A change as AWS Lambda has it in the event of a stream."""
        return lambda_record(table, entry, self.epoch)
