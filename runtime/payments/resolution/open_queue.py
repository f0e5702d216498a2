"""The queue of everything that somebody must come back to, and whose it is.

`gsi-open` is ordered by time within each bucket, over all merchants: a merchant with very many due
would hide those of others behind them. So every bucket is read from both ends: what is due for
longest, and what has just become due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, TypeVar

from pydantic import BaseModel

from runtime.core.scope import EVERYBODY
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.expressions import Condition, at_most, equals
from runtime.dynamodb.index_shards import OPEN_QUEUE, all_buckets
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction

MAX_LOOKED_AT: Final = 20_000
"""Due rows of one table that one look reads from each end, over all buckets."""
PAGE: Final = 1_000

Model = type[Payment] | type[Transaction]
Part = TypeVar("Part")
Found = TypeVar("Found")


class Open(BaseModel, frozen=True):
    """A payment or operation as `gsi-open` shows it, whoever has put it there."""

    id: str
    next_action_at: str


class _Owned(BaseModel, frozen=True):
    """Whose a row is; a row that was put there by hand may say anything, and hides no other."""

    id: str
    merchant_id: object = None


@dataclass(frozen=True, slots=True)
class OpenQueue:
    """The two queues, read bucket by bucket, `at_once` buckets at a time."""

    store: Store
    buckets: int
    at_once: int = 1
    most: int = MAX_LOOKED_AT

    def due(self, model: Model, now: datetime) -> list[str]:
        """Ids of what somebody must come back to now, oldest first; the index may lag seconds."""
        names = all_buckets(OPEN_QUEUE, self.buckets)
        found = self._over(names, lambda name: self._of_bucket(model, name, now))
        rows = {row.id: row for some in found for row in some}
        return sorted(rows, key=lambda each: (rows[each].next_action_at, each))

    def owners(self, model: Model, identifiers: Sequence[str]) -> dict[str, str]:
        """Whose these are; those that do not exist, or say nothing of it, are absent."""
        batches = [
            identifiers[start : start + MAX_TRANSACTION_ITEMS]
            for start in range(0, len(identifiers), MAX_TRANSACTION_ITEMS)
        ]
        found = self._over(batches, lambda some: self._owners(model, some))
        rows = (row for some in found for row in some)
        return {row.id: row.merchant_id for row in rows if isinstance(row.merchant_id, str)}

    def _of_bucket(self, model: Model, bucket: str, now: datetime) -> list[Open]:
        conditions = (equals("open_bucket", bucket), at_most("next_action_at", to_timestamp(now)))
        most = -(-self.most // self.buckets)
        oldest = self._first(model, conditions, most, newest_first=False)
        if len(oldest) < most:
            return oldest
        return oldest + self._first(model, conditions, most, newest_first=True)

    def _first(
        self, model: Model, conditions: tuple[Condition, ...], most: int, *, newest_first: bool
    ) -> list[Open]:
        rows = self.store.query(
            model,
            Open,
            conditions,
            page_size=min(most, PAGE),
            index="gsi-open",
            newest_first=newest_first,
        )
        return list(islice(rows, most))

    def _owners(self, model: Model, identifiers: Sequence[str]) -> list[_Owned]:
        keys = [{"id": each} for each in identifiers]
        return self.store.get_many(model, keys, _Owned, EVERYBODY)

    def _over(
        self, parts: Sequence[Part], read: Callable[[Part], Iterable[Found]]
    ) -> list[Iterable[Found]]:
        if self.at_once == 1 or len(parts) < 2:
            return [read(part) for part in parts]
        with self.store.outside.threads(self.at_once) as pool:
            return list(pool.map(read, parts))
