"""Totals: payments' counted states, the sums that follow from them, and folding.

A payment's step and the sums that it changes are one commit, on the condition that the payment's
counted state is unchanged. Folding changes the merchant's mark in the same commit: a reader of
several rows of a merchant compares the mark before and after.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import BaseModel

from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import (
    Condition,
    Key,
    Update,
    Write,
    absent,
    below,
    between,
    delete,
    equals,
    put,
    update,
)
from runtime.dynamodb.index_merge import MAX_PARALLEL_BUCKETS
from runtime.dynamodb.index_shards import UNCOMPACTED_BUCKETS, UNCOMPACTED_QUEUE, bucket_for
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store
from runtime.reporting.totals.models import (
    COUNTED_ITEM,
    MARK_ITEM,
    NOTHING,
    CountedPayment,
    Figures,
    Group,
    Total,
    TotalsMark,
)
from runtime.reporting.totals.rules import CountStep, TotalKey, added_up

DAYS_PAGE: Final = 1_000
"""Rows of one merchant or bucket read by one Query: about 300 KB."""
UNCOMPACTED_PAGE: Final = 1_000
_AFTER_EVERY_CURRENCY: Final = "#~"


class CountedMeanwhile(Exception):
    """Payments' counted states have changed since they were read; `known` has the current ones."""

    def __init__(self, known: Mapping[str, CountedPayment | None]) -> None:
        super().__init__(f"{len(known)} payments were already counted")
        self.known = known


class MovedMeanwhile(Exception):
    """Figures of the merchant have moved since they were read, or have been changed."""


class UncompactedRow(BaseModel, frozen=True, defer_build=True):
    """A bucket's row as projected into `gsi-unfolded`."""

    id: str
    item: str


class TotalsRepository:
    """The rows of the table `totals`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # ------------------------------------------------------------ counting

    def counted(self, payment_ids: Sequence[str]) -> dict[str, CountedPayment]:
        """Counted states, strongly consistent; payments not counted yet are absent."""
        found: dict[str, CountedPayment] = {}
        for start in range(0, len(payment_ids), MAX_TRANSACTION_ITEMS):
            some = payment_ids[start : start + MAX_TRANSACTION_ITEMS]
            keys = [{"id": each, "item": COUNTED_ITEM} for each in some]
            rows = self._store.get_many(Total, keys, CountedPayment, UNRESTRICTED)
            found.update({row.id: row for row in rows})
        return found

    def count(self, steps: Sequence[CountStep], *, token: str) -> None:
        """Count all of the payments, with their changes of the sums. Raises CountedMeanwhile."""
        writes = _writes(steps)
        try:
            # Each condition is evaluated: the payments counted meanwhile are known at once.
            self._store.transact(writes, token=token, decisive=range(len(writes)))
        except TransactionRefused as refused:
            to_row, schema = self._store.codec.to_row, Total.table_schema
            raise CountedMeanwhile(
                {
                    steps[at].after.id: to_row(schema, item, CountedPayment) if item else None
                    for at, item in refused.failed.items()
                }
            ) from refused

    # ------------------------------------------------------------ reading

    def mark(self, merchant_id: str) -> int:
        """How often figures of the merchant have moved: no move is in progress while it is read."""
        key = {"id": merchant_id, "item": MARK_ITEM}
        return sum(
            mark.version for mark in self._store.get_settled(Total, [key], TotalsMark, UNRESTRICTED)
        )

    def between_days(self, keys: Sequence[str], first_day: str, last_day: str) -> list[Total]:
        """The rows of a merchant (`mer_x`) and its buckets between two days, both included.

        Each is strongly consistent, but they may be from different moments.
        """

        def read(key: str) -> list[Total]:
            return list(self._query(key, first_day, last_day + _AFTER_EVERY_CURRENCY))

        with self._store.outside.threads(MAX_PARALLEL_BUCKETS) as pool:
            return [row for rows in pool.map(read, keys) for row in rows]

    def of_group(self, keys: Sequence[str], group: Group) -> list[Total]:
        """The rows of one group, like `between_days`."""

        def read(key: str) -> list[Total]:
            return list(self._query(key, group.item, group.item))

        with self._store.outside.threads(MAX_PARALLEL_BUCKETS) as pool:
            return [row for rows in pool.map(read, keys) for row in rows]

    def _query(self, key: str, low: str, high: str) -> Iterator[Total]:
        conditions: tuple[Condition, ...] = (equals("id", key), between("item", low, high))
        return self._store.query(Total, Total, conditions, page_size=DAYS_PAGE, consistent=True)

    # ------------------------------------------------------------ folding

    def unfolded(self, shard: str, before_day: str) -> Iterator[UncompactedRow]:
        """Bucket rows of days before this one, oldest first; the index may lag some seconds."""
        conditions = (equals("unfolded", shard), below("item", before_day))
        return self._store.query(
            Total, UncompactedRow, conditions, page_size=UNCOMPACTED_PAGE, index="gsi-unfolded"
        )

    def rows(self, keys: Sequence[UncompactedRow]) -> list[Total]:
        """Those rows that still exist, strongly consistent."""
        wanted: list[Key] = [{"id": each.id, "item": each.item} for each in keys]
        return self._store.get_many(Total, wanted, Total, UNRESTRICTED)

    def fold(self, merchant_id: str, mark: int, rows: Sequence[Total], *, token: str) -> None:
        """Move bucket rows of one merchant into its own rows of these days.

        `mark` was read before the rows; no other run has moved any since. Raises MovedMeanwhile.
        """
        writes: list[Write] = [_step_mark(merchant_id, mark)]
        for item in sorted({row.item for row in rows}):
            mine = [row for row in rows if row.item == item]
            into = update(Total, {"id": merchant_id, "item": item})
            figures = added_up(row.figures() for row in mine).not_zero()
            writes.append(into.count(**figures, version=sum(row.version for row in mine)))
        writes += [delete(row).when(equals("version", row.version)) for row in rows]
        self._move(writes, token)

    def correct(
        self, group: Group, bucket: str, mark: int, difference: Figures, *, token: str
    ) -> None:
        """Add what is missing in a group. Raises MovedMeanwhile if the merchant's figures moved.

        Payments may change meanwhile: that changes the expected figures by the same amount.
        """
        row = _add(TotalKey(bucket, group.item), difference)
        self._move([_step_mark(group.merchant_id, mark), row], token)

    def _move(self, writes: Sequence[Write], token: str) -> None:
        try:
            self._store.transact(writes, token=token, decisive=range(len(writes)))
        except TransactionRefused as refused:
            raise MovedMeanwhile(str(refused)) from refused


def fitting(steps: Sequence[CountStep]) -> list[CountStep]:
    """The first of these steps, as many as fit into one commit."""
    places: set[TotalKey] = set()
    for at, step in enumerate(steps):
        places.update(step.moves())
        if at + 1 + len(places) > MAX_TRANSACTION_ITEMS:
            return list(steps[:at])
    return list(steps)


def _writes(steps: Sequence[CountStep]) -> list[Write]:
    sums: dict[TotalKey, Figures] = {}
    writes: list[Write] = []
    for step in steps:
        writes.append(put(step.after).when(*_still(step.before)))
        for place, figures in step.moves().items():
            sums[place] = sums.get(place, NOTHING).plus(figures)
    return [*writes, *(_add(place, figures) for place, figures in sums.items())]


def _still(counted: CountedPayment | None) -> tuple[Condition, ...]:
    """Everything, because a repair changes the counted state of a version."""
    if counted is None:
        return (absent("id"),)
    names = CountedPayment.model_fields.keys() - Total.table_schema.key_names
    return tuple(equals(name, getattr(counted, name)) for name in sorted(names))


def _add(place: TotalKey, figures: Figures) -> Update:
    row = update(Total, {"id": place.bucket, "item": place.item})
    merchant_id = place.bucket.partition("#")[0]  # all rows of one are found together
    row = row.assign(unfolded=bucket_for(UNCOMPACTED_QUEUE, merchant_id, UNCOMPACTED_BUCKETS))
    return row.count(**figures.not_zero(), version=1)


def _step_mark(merchant_id: str, mark: int) -> Update:
    step = update(Total, {"id": merchant_id, "item": MARK_ITEM}).count(version=1)
    return step.when(absent("id") if mark == 0 else equals("version", mark))
