"""The alerts table: written once, listed by merchant or for the whole platform."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from pydantic import BaseModel

from runtime.alerts.models import Alert
from runtime.core.scope import UNRESTRICTED, Scope
from runtime.dynamodb.expressions import Condition, below, equals
from runtime.dynamodb.index_merge import merge_newest_first
from runtime.dynamodb.index_shards import ALERT_BUCKETS, all_buckets
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store

ALL_ALERTS = "all"
"""Bucket name of the list of all alerts."""


class AlertEntry(BaseModel, frozen=True, defer_build=True):
    """An alert as projected into its list indexes."""

    id: str
    listed_at: str


class _Raised(BaseModel, frozen=True, defer_build=True):
    id: str


class AlertRepository:
    """The alerts table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, alert: Alert) -> bool:
        """Write an alert unless it exists. Returns whether it is new."""
        return self._store.put_new(alert) is None

    def newest_first(
        self, merchant_id: str | None, *, before: str | None, page_size: int
    ) -> Iterator[AlertEntry]:
        """Alerts of a merchant (None: all) listed before `before`, newest first."""
        index = "gsi-everybody" if merchant_id is None else "gsi-merchant"
        key = Alert.table_schema.index(index).partition_key.name
        older: tuple[Condition, ...] = () if before is None else (below("listed_at", before),)
        readers = [
            self._store.query(
                Alert,
                AlertEntry,
                (equals(key, bucket), *older),
                page_size=page_size,
                index=index,
                newest_first=True,
            )
            for bucket in all_buckets(merchant_id or ALL_ALERTS, ALERT_BUCKETS)
        ]
        return merge_newest_first(
            readers, self._store.outside.threads, key=lambda entry: entry.listed_at
        )

    def get_many(self, alert_ids: Sequence[str], scope: Scope) -> list[Alert]:
        """The alerts that exist in `scope`, strongly consistent, in the given order."""
        if not alert_ids:
            return []
        return self._store.get_many(Alert, [{"id": each} for each in alert_ids], Alert, scope)

    def raised(self, alert_ids: Iterable[str]) -> set[str]:
        """The ids for which an alert exists, strongly consistent; rows are not validated."""
        keys = ({"id": each} for each in dict.fromkeys(alert_ids))
        found: set[str] = set()
        while batch := list(islice(keys, MAX_TRANSACTION_ITEMS)):
            rows = self._store.get_many(Alert, batch, _Raised, UNRESTRICTED)
            found.update(row.id for row in rows)
        return found
