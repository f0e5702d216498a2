"""Settlements and their lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from runtime.core.scope import Scope
from runtime.dynamodb.expressions import Key, above, between, equals
from runtime.dynamodb.index_shards import bucket_key
from runtime.dynamodb.store import Store
from runtime.reconciliation.settlements.line_keys import line_bucket
from runtime.reconciliation.settlements.models import Settlement, SettlementLine, SettlementStatus


class SettlementEntry(BaseModel, frozen=True, defer_build=True):
    """A settlement as projected into `gsi-merchant`."""

    id: str
    merchant_id: str
    date: str
    status: SettlementStatus


@dataclass(frozen=True, slots=True)
class DayRange:
    """Days from `first` to `last` (YYYY-MM-DD), both included."""

    first: str
    last: str


class SettlementRepository:
    """The settlements and settlement_lines tables, for lists and reports."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, settlement_id: str, scope: Scope) -> Settlement | None:
        """A settlement, strongly consistent."""
        return self._store.get(Settlement, {"id": settlement_id}, Settlement, scope)

    def newest_first(
        self, merchant_id: str, days: DayRange, *, start_after: Key | None, page_size: int
    ) -> Iterator[SettlementEntry]:
        """A merchant's settlements of some days, newest day first."""
        return self._store.query(
            Settlement,
            SettlementEntry,
            [equals("merchant_id", merchant_id), between("date", days.first, days.last)],
            index="gsi-merchant",
            newest_first=True,
            start_after=start_after,
            page_size=page_size,
        )

    def get_many(self, settlement_ids: Sequence[str], scope: Scope) -> list[Settlement]:
        """The settlements that exist, in the given order."""
        return self._store.get_many(
            Settlement, [{"id": each} for each in settlement_ids], Settlement, scope
        )

    def lines_after(
        self, settlement: Settlement, line: int, page_size: int
    ) -> Iterator[SettlementLine]:
        """The lines of a settlement after number `line`, in the order of their numbers.

        So those of its first file come first, in the order of the file, then the lines that each
        later file has added. Only partitions that are known to contain lines are read.
        """
        first = line_bucket(line + 1)
        for bucket in sorted(settlement.line_buckets):
            if bucket < first:
                continue
            yield from self._store.query(
                SettlementLine,
                SettlementLine,
                [
                    equals("settlement_bucket", bucket_key(settlement.id, bucket)),
                    above("line", line),
                ],
                page_size=page_size,
            )
