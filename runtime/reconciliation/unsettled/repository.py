"""Transactions that wait for a settlement file, and those that are missing after the deadline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from runtime.core.scope import UNRESTRICTED, Scope
from runtime.dynamodb.expressions import Condition, Write, absent, below, change, equals, put
from runtime.dynamodb.index_merge import merge_newest_first
from runtime.dynamodb.index_shards import all_buckets, unsettled_buckets
from runtime.dynamodb.store import Store
from runtime.merchants.models import MerchantProfile
from runtime.payments.transaction_models import Transaction, TransactionStatus
from runtime.reconciliation.files.models import SettlementChunk, SweepRound, SweptDays
from runtime.reconciliation.settlements.models import Settlement, SettlementLine

_SWEEP = "missing"
"""Key of the sweep's progress; chunks have ids of files."""


class UnsettledEntry(BaseModel, frozen=True, defer_build=True):
    """A transaction as projected into `gsi-unsettled`."""

    id: str


@dataclass(frozen=True, slots=True)
class FoundMissing:
    """A transaction before and after, and its line as missing."""

    before: Transaction
    after: Transaction
    line: SettlementLine


class UnsettledRepository:
    """`gsi-unsettled` of the transactions table, the sweep's progress, and its writes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_day(
        self,
        merchant: MerchantProfile,
        day: str,
        *,
        page_size: int,
        before_id: str | None = None,
    ) -> Iterator[UnsettledEntry]:
        """Transactions waiting since a day (YYYY-MM-DD), of all buckets, newest id first."""
        older: tuple[Condition, ...] = () if before_id is None else (below("id", before_id),)
        readers = [
            self._store.query(
                Transaction,
                UnsettledEntry,
                (equals("unsettled_bucket", bucket), *older),
                page_size=page_size,
                index="gsi-unsettled",
                newest_first=True,
            )
            for bucket in all_buckets(
                f"{merchant.id}#{day}", unsettled_buckets(merchant.index_buckets)
            )
        ]
        return merge_newest_first(readers, self._store.outside.threads, key=lambda entry: entry.id)

    def transactions(self, transaction_ids: Sequence[str], scope: Scope) -> list[Transaction]:
        """The transactions that exist, strongly consistent, in the given order."""
        if not transaction_ids:
            return []
        keys = [{"id": each} for each in transaction_ids]
        return self._store.get_many(Transaction, keys, Transaction, scope)

    def settlement(self, settlement_id: str) -> Settlement | None:
        """The settlement of a day's missing transactions, strongly consistent."""
        return self._store.get(Settlement, {"id": settlement_id}, Settlement, UNRESTRICTED)

    def record_missing(
        self,
        before: Settlement | None,
        after: Settlement,
        found: Sequence[FoundMissing],
        *,
        token: str,
    ) -> None:
        """The lines, the marks of the transactions and their settlement, in one commit.

        Raises TransactionRefused: the settlement, a line or a transaction has changed since it was
        read. Lines are the writes 1 to len(found).
        """
        opened: Write = (
            put(after).when(absent("id"))
            if before is None
            else change(before, after).when(equals("version", before.version))
        )
        lines = [put(each.line).when(absent("line")) for each in found]
        marks = [
            change(each.before, each.after).when(
                equals("version", each.before.version),
                equals("status", TransactionStatus.SUCCEEDED),
            )
            for each in found
        ]
        writes = [opened, *lines, *marks]
        self._store.transact(writes, token=token, decisive=range(len(writes)))

    def round(self) -> SweepRound | None:
        """The sweep's progress; None before the first."""
        return self._store.get(SettlementChunk, {"id": _SWEEP}, SweepRound, UNRESTRICTED)

    def note_round(self, progress: SweepRound, *, token: str) -> None:
        """Store the progress of a round, unconditionally: sweeping a merchant twice is harmless."""
        self._store.transact([put(progress)], token=token)

    def swept(self, merchant_id: str) -> SweptDays | None:
        """The day up to which a merchant is swept; None before the first time."""
        key = {"id": _swept_key(merchant_id)}
        return self._store.get(SettlementChunk, key, SweptDays, UNRESTRICTED)

    def note_swept(self, merchant_id: str, through: str, *, token: str) -> None:
        """Store that day."""
        row = SweptDays(id=_swept_key(merchant_id), merchant_id=merchant_id, through=through)
        self._store.transact([put(row)], token=token)


def first_round(started_at: str) -> SweepRound:
    """A round in which no merchant is done yet."""
    return SweepRound(id=_SWEEP, started_at=started_at)


def _swept_key(merchant_id: str) -> str:
    return f"{_SWEEP}#{merchant_id}"
