"""Settlements and their lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from runtime.domain.buckets import bucket_key
from runtime.domain.settlement_lines import line_bucket
from runtime.errors import StaleWrite
from runtime.models.scope import EVERYBODY, Scope
from runtime.models.settlement import Settlement, SettlementLine, SettlementStatus
from runtime.models.transaction import Transaction, TransactionStatus
from runtime.models.transfer import Transfer
from runtime.repositories.booking import booked
from runtime.repositories.expressions import (
    Key,
    Write,
    above,
    absent,
    between,
    change,
    equals,
    put,
)
from runtime.repositories.refusals import TransactionRefused
from runtime.repositories.store import Store


class SettlementEntry(BaseModel, frozen=True):
    """A settlement as `gsi-merchant` shows it."""

    id: str
    merchant_id: str
    date: str
    status: SettlementStatus


@dataclass(frozen=True, slots=True)
class DayRange:
    """Days from `first` to `last` (YYYY-MM-DD), both included."""

    first: str
    last: str


class ChunkContended(Exception):
    """A transaction of the chunk changed after it was read; read again and judge again."""


@dataclass(frozen=True, slots=True)
class Settling:
    """A matched line's effect: the transaction before and after, and what is booked for it."""

    before: Transaction
    after: Transaction
    booking: Transfer


class SettlementRepository:
    """The settlements and settlement_lines tables, and the transactions that settle."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self, settlement: Settlement, *, token: str) -> Settlement:
        """The settlement of that id: the one that exists, or this one, now stored."""
        try:
            self._store.transact([put(settlement).when(absent("id"))], token=token)
        except TransactionRefused as refused:
            item = refused.failed[0]
            return self._store.codec.to_row(Settlement.table_schema, item, Settlement)
        return settlement

    def transactions(self, transaction_ids: Sequence[str]) -> dict[str, Transaction]:
        """Our transactions by id, strongly consistent; unknown ids are left out."""
        keys: list[Key] = [{"id": each} for each in dict.fromkeys(transaction_ids)]
        if not keys:
            return {}
        return {
            row.id: row for row in self._store.get_many(Transaction, keys, Transaction, EVERYBODY)
        }

    def record_chunk(
        self,
        before: Settlement,
        after: Settlement,
        lines: Sequence[SettlementLine],
        settling: Sequence[Settling],
        *,
        token: str,
    ) -> None:
        """Lines, settled transactions, bookings and the checkpoint in one commit.

        Raises StaleWrite when another run has passed this checkpoint, ChunkContended when one of
        the transactions is not as it was read.
        """
        checkpoint = change(before, after).when(
            equals("version", before.version), equals("lines_done", before.lines_done)
        )
        writes: list[Write] = [checkpoint]
        writes += [put(line).when(absent("line")) for line in lines]
        for settled in settling:
            unchanged = (
                equals("version", settled.before.version),
                equals("status", TransactionStatus.SUCCEEDED),
            )
            writes.append(change(settled.before, settled.after).when(*unchanged))
            writes += booked(settled.booking)
        try:
            # Whatever has failed, the chunk is read again.
            self._store.transact(writes, token=token, decisive=range(len(writes)))
        except TransactionRefused as refused:
            if 0 in refused.failed:
                raise StaleWrite("settlements", f"{before.id} was taken further") from refused
            raise ChunkContended from refused

    def advance(self, before: Settlement, after: Settlement, *, token: str) -> None:
        """One step of the settlement alone. Raises StaleWrite."""
        step = change(before, after).when(equals("version", before.version))
        try:
            self._store.transact([step], token=token)
        except TransactionRefused as refused:
            raise StaleWrite("settlements", f"{before.id} was taken further") from refused

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

        So those of its first file come first, in the order of the file, then what each later file
        has added. Only partitions that are known to hold lines are read.
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
