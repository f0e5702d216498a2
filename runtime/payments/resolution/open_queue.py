"""The queue of payments and operations that need further work.

`gsi-open` is ordered by time within each shard, over all merchants. A merchant with very many due
rows could hide those of others, so each shard is read from both ends: the rows that have been due
longest, and those that have just become due.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, TypeVar

from pydantic import BaseModel

from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.expressions import Condition, at_most, equals
from runtime.dynamodb.index_shards import OPEN_BUCKETS, OPEN_QUEUE, all_buckets
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction

MAX_DUE_READ: Final = 40_000
"""Due rows of one table that are read from each end, over all shards."""
PAGE: Final = 1_000

Model = type[Payment] | type[Transaction]
Part = TypeVar("Part")
Found = TypeVar("Found")


class OpenEntry(BaseModel, frozen=True, defer_build=True):
    """An entry of `gsi-open`."""

    id: str
    next_action_at: str


class _Owned(BaseModel, frozen=True, defer_build=True):
    """The merchant of a row. Rows written out of band may have any value, and must not fail."""

    id: str
    merchant_id: object = None


@dataclass(frozen=True, slots=True)
class OpenQueue:
    """The queues of payments and operations, read `parallel` shards at a time."""

    store: Store
    parallel: int = 1
    max_due: int = MAX_DUE_READ

    def due(self, model: Model, now: datetime) -> list[str]:
        """Ids of due rows, oldest first. The index may lag by seconds."""
        names = all_buckets(OPEN_QUEUE, OPEN_BUCKETS)
        found = self._over(names, lambda name: self._of_bucket(model, name, now))
        rows = {row.id: row for some in found for row in some}
        return sorted(rows, key=lambda each: (rows[each].next_action_at, each))

    def owners(self, model: Model, identifiers: Sequence[str]) -> dict[str, str]:
        """The merchants of these rows. Rows that do not exist or have no merchant are omitted."""
        batches = [
            identifiers[start : start + MAX_TRANSACTION_ITEMS]
            for start in range(0, len(identifiers), MAX_TRANSACTION_ITEMS)
        ]
        found = self._over(batches, lambda some: self._owners(model, some))
        rows = (row for some in found for row in some)
        return {row.id: row.merchant_id for row in rows if isinstance(row.merchant_id, str)}

    def _of_bucket(self, model: Model, bucket: str, now: datetime) -> list[OpenEntry]:
        conditions = (equals("open_bucket", bucket), at_most("next_action_at", to_timestamp(now)))
        max_due = -(-self.max_due // OPEN_BUCKETS)
        oldest = self._first(model, conditions, max_due, newest_first=False)
        if len(oldest) < max_due:
            return oldest
        return oldest + self._first(model, conditions, max_due, newest_first=True)

    def _first(
        self, model: Model, conditions: tuple[Condition, ...], max_due: int, *, newest_first: bool
    ) -> list[OpenEntry]:
        rows = self.store.query(
            model,
            OpenEntry,
            conditions,
            page_size=min(max_due, PAGE),
            index="gsi-open",
            newest_first=newest_first,
        )
        return list(islice(rows, max_due))

    def _owners(self, model: Model, identifiers: Sequence[str]) -> list[_Owned]:
        keys = [{"id": each} for each in identifiers]
        return self.store.get_many(model, keys, _Owned, UNRESTRICTED)

    def _over(
        self, parts: Sequence[Part], read: Callable[[Part], Iterable[Found]]
    ) -> list[Iterable[Found]]:
        if self.parallel == 1 or len(parts) < 2:
            return [read(part) for part in parts]
        with self.store.outside.threads(self.parallel) as pool:
            return list(pool.map(read, parts))
