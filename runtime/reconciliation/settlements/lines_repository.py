"""Settlement lines by key, and the open exceptions of a merchant."""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from runtime.core.scope import Scope
from runtime.dynamodb.expressions import Key, between, equals
from runtime.dynamodb.index_merge import merge_newest_first
from runtime.dynamodb.store import Store
from runtime.reconciliation.settlements.line_keys import line_partition
from runtime.reconciliation.settlements.models import LineStatus, SettlementLine


class ExceptionEntry(BaseModel, frozen=True, defer_build=True):
    """An open exception as projected into `gsi-exception`."""

    settlement_bucket: str
    line: int
    exception_key: str

    @property
    def order(self) -> str:
        """Its place among exceptions of all statuses."""
        return self.exception_key.partition("#")[2]


class SettlementLineRepository:
    """The settlement_lines table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, settlement_id: str, line: int, scope: Scope) -> SettlementLine | None:
        """One line, strongly consistent."""
        key: Key = {"settlement_bucket": line_partition(settlement_id, line), "line": line}
        return self._store.get(SettlementLine, key, SettlementLine, scope)

    def get_many(self, entries: Sequence[ExceptionEntry], scope: Scope) -> list[SettlementLine]:
        """The lines that exist, strongly consistent, in the given order."""
        if not entries:
            return []
        keys: list[Key] = [
            {"settlement_bucket": each.settlement_bucket, "line": each.line} for each in entries
        ]
        return self._store.get_many(SettlementLine, keys, SettlementLine, scope)

    def open_in(self, bucket: str, *, page_size: int) -> Iterator[ExceptionEntry]:
        """Open exceptions of all statuses in one bucket of a merchant."""
        return self._store.query(
            SettlementLine,
            ExceptionEntry,
            (equals("exception_bucket", bucket),),
            page_size=page_size,
            index="gsi-exception",
        )

    def exceptions(
        self,
        buckets: Sequence[str],
        ranges: Sequence[tuple[LineStatus, tuple[str, str]]],
        *,
        after: str | None,
        page_size: int,
    ) -> Iterator[ExceptionEntry]:
        """Open exceptions within a range of keys per status, merged, newest day first.

        `after`: the `order` of the last one of the previous page.
        """
        readers = [
            self._store.query(
                SettlementLine,
                ExceptionEntry,
                (equals("exception_bucket", bucket), between("exception_key", low, high)),
                page_size=page_size,
                index="gsi-exception",
                newest_first=True,
            )
            for status, (low, highest) in ranges
            for bucket in buckets
            if low <= (high := highest if after is None else min(highest, f"{status}#{after}"))
        ]
        if not readers:
            return iter(())
        merged = merge_newest_first(
            readers, self._store.outside.threads, key=lambda entry: entry.order
        )
        return (entry for entry in merged if entry.order != after)
