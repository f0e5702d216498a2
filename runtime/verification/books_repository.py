"""Reads for ledger verification: whole tables in segments, strongly consistent, read-only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.expressions import Key, equals
from runtime.dynamodb.index_shards import bucket_key
from runtime.dynamodb.schema import Row
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, ScanPage, Store, View
from runtime.ledger.accounts.models import NUMBER_GUARD_PREFIX, PROFILE_SHARD, Account, row_key
from runtime.ledger.entries.models import (
    Entry,
    credit_partition,
    entry_partition,
    shard_sequence,
)
from runtime.ledger.hot_accounts.rules import MAX_CREDIT_SHARDS, shards_of
from runtime.ledger.transfers.models import Leg, Transfer
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.matching.flows import Move
from runtime.reconciliation.settlements.line_keys import line_partition
from runtime.reconciliation.settlements.models import Settlement, SettlementLine
from runtime.verification.accounts.rules import BalanceRow, Line
from runtime.verification.payments.rules import PaymentFacts, TransactionFacts
from runtime.verification.settlements.rules import LineFacts

SEGMENTS = 8
"""Segments of a table that are scanned in parallel, each with its own checkpoint.

If you change the number, restart the current run: its checkpoints belong to the old segments.
"""
SCAN_PAGE = 250
"""Rows per Scan call. Each account row then needs a Query."""
ENTRIES_PAGE = 500
"""Entries per Query call, far below DynamoDB's page limit of 1 MB."""
MAX_KEY_BYTES = 1_024
"""DynamoDB's limit of a sort key, far above the length of all our keys; that of a partition key is
2,048 bytes."""


class LooseLeg(Leg, frozen=True):
    """A stored leg, accepted even with an invalid amount."""

    amount: int


class TransferFacts(BaseModel, frozen=True):
    """A stored transfer, accepted even with invalid values."""

    id: str
    operation_id: str = ""
    status: str = ""
    currency: str = ""
    legs: tuple[LooseLeg, ...] = ()
    posted_amount: int | None = None
    folded_accounts: tuple[str, ...] = ()
    debited_accounts: tuple[str, ...] = ()
    debit_shard: str | None = None
    held_in_counted: bool = False
    payment_id: str | None = None
    settlement_id: str | None = None
    settlement_lines: tuple[int, ...] = ()

    @property
    def moves(self) -> list[Move]:
        """The moves of its legs."""
        return [(leg.from_account_id, leg.to_account_id, leg.amount) for leg in self.legs]


class _EntryKey(BaseModel, frozen=True):
    account_shard: str
    sequence: str


class _LineKey(BaseModel, frozen=True):
    settlement_bucket: str
    line: int


class _SettlementPartitions(BaseModel, frozen=True):
    id: str
    line_buckets: tuple[int, ...] = ()


class VerificationReads:
    """Reads accounts, transfers, entries, payments, transactions and settlement lines."""

    def __init__(
        self,
        store: Store,
        *,
        segments: int = SEGMENTS,
        scan_page: int = SCAN_PAGE,
        entries_page: int = ENTRIES_PAGE,
    ) -> None:
        self._store = store
        self.segments = segments
        self._scan_page = scan_page
        self.entries_page = entries_page

    def accounts(self, segment: int, start_after: Key | None) -> Iterator[ScanPage[BalanceRow]]:
        """Rows of the accounts table, page by page."""
        return self._pages(Account, BalanceRow, segment, start_after)

    def transfers(self, segment: int, start_after: Key | None) -> Iterator[ScanPage[TransferFacts]]:
        """Transfers, page by page."""
        return self._pages(Transfer, TransferFacts, segment, start_after)

    def payments(self, segment: int, start_after: Key | None) -> Iterator[ScanPage[PaymentFacts]]:
        """Payments, page by page."""
        return self._pages(Payment, PaymentFacts, segment, start_after)

    def settlement_lines(
        self, segment: int, start_after: Key | None
    ) -> Iterator[ScanPage[LineFacts]]:
        """Lines of settlements, page by page."""
        return self._pages(SettlementLine, LineFacts, segment, start_after)

    def lines(self, account_shard: str, after: str | None) -> Iterator[Line]:
        """Entries of one row of an account after the sequence `after`, in order."""
        start = None if after is None else {"account_shard": account_shard, "sequence": after}
        return self._store.query(
            Entry,
            Line,
            [equals("account_shard", account_shard)],
            page_size=self.entries_page,
            start_after=start,
            consistent=True,
        )

    def newest_lines(self, account_shard: str) -> Iterator[Line]:
        """Entries of one row of an account, newest first."""
        return self._store.query(
            Entry,
            Line,
            [equals("account_shard", account_shard)],
            page_size=self.entries_page,
            newest_first=True,
            consistent=True,
        )

    def rows_of(self, account_id: str) -> list[BalanceRow]:
        """All rows of one account, row 00 first if it exists."""
        key = (account_id, PROFILE_SHARD)
        profile = self.rows([key]).get(key)
        if profile is not None:
            return [profile, *self.shards_of(profile)]
        shards = shards_of(account_id, MAX_CREDIT_SHARDS)
        return list(self.rows([(account_id, shard) for shard in shards]).values())

    def shards_of(self, profile: BalanceRow) -> list[BalanceRow]:
        """The balance shards of the account with this row 00."""
        shards = shards_of(profile.id, profile.credit_shards)
        return list(self.rows([(profile.id, shard) for shard in shards]).values())

    def rows(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], BalanceRow]:
        """Rows of accounts by (account, shard); those that do not exist are left out."""
        wanted: list[Key] = [row_key(id_, shard) for id_, shard in dict.fromkeys(keys)]
        found = self._in_batches(Account, wanted, BalanceRow)
        return {(row.account_id, row.shard): row for row in found}

    def transfers_by_id(self, ids: Sequence[str]) -> dict[str, TransferFacts]:
        """Transfers by id; those that do not exist are left out."""
        wanted: list[Key] = [{"id": each} for each in dict.fromkeys(ids)]
        return {row.id: row for row in self._in_batches(Transfer, wanted, TransferFacts)}

    def lines_of(self, transfer: TransferFacts) -> list[Line]:
        """The entries of a transfer, strongly consistent.

        Entries on balance shards are found by their keys, the others through an index, which may
        not yet include very recent entries.
        """
        sequence = shard_sequence(transfer.operation_id)
        known = {
            (credit_partition(account, transfer.id), sequence)
            for account in transfer.folded_accounts
        }
        known |= {
            (entry_partition(account, transfer.debit_shard or ""), sequence)
            for account in transfer.debited_accounts
        }
        known |= {(key.account_shard, key.sequence) for key in self._indexed(transfer.id)}
        keys: list[Key] = [
            {"account_shard": partition, "sequence": sequence}
            for partition, sequence in sorted(known)
        ]
        return list(self._in_batches(Entry, keys, Line))

    def lines_naming(self, transfer_id: str) -> list[Line]:
        """The entries that name a transfer, which need not exist. The index may lag."""
        keys: list[Key] = [
            {"account_shard": key.account_shard, "sequence": key.sequence}
            for key in self._indexed(transfer_id)
        ]
        return list(self._in_batches(Entry, keys, Line))

    def _indexed(self, transfer_id: str) -> Iterator[_EntryKey]:
        return self._store.query(
            Entry,
            _EntryKey,
            [equals("transfer_id", transfer_id)],
            index="transfer-index",
            page_size=self.entries_page,
        )

    def entries_there(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """The keys (partition, sequence) that have an entry."""
        wanted: list[Key] = [
            {"account_shard": partition, "sequence": sequence} for partition, sequence in keys
        ]
        found = self._in_batches(Entry, wanted, _EntryKey)
        return {(key.account_shard, key.sequence) for key in found}

    def payments_by_id(self, ids: Sequence[str]) -> dict[str, PaymentFacts]:
        """Payments by id; those that do not exist are left out."""
        wanted: list[Key] = [{"id": each} for each in dict.fromkeys(ids)]
        return {row.id: row for row in self._in_batches(Payment, wanted, PaymentFacts)}

    def transactions(self, ids: Sequence[str]) -> dict[str, TransactionFacts]:
        """Transactions by id; those that do not exist are left out."""
        wanted: list[Key] = [{"id": each} for each in dict.fromkeys(ids)]
        return {row.id: row for row in self._in_batches(Transaction, wanted, TransactionFacts)}

    def lines_of_settlement(self, settlement_id: str, numbers: Sequence[int]) -> list[LineFacts]:
        """Lines of a settlement by their numbers; those that do not exist are left out."""
        wanted = dict.fromkeys((line_partition(settlement_id, each), each) for each in numbers)
        return self._settlement_lines(list(wanted))

    def line_partitions(self, settlement_ids: Sequence[str]) -> list[str]:
        """The partitions that contain the lines of the settlements."""
        wanted: list[Key] = [{"id": each} for each in settlement_ids]
        return [
            bucket_key(row.id, bucket)
            for row in self._in_batches(Settlement, wanted, _SettlementPartitions)
            for bucket in row.line_buckets
        ]

    def lines_in_partition(self, partition: str, after: int | None) -> Iterator[LineFacts]:
        """The lines in a partition after the line `after`, in order."""
        start: Key | None = None
        if after is not None:
            start = {"settlement_bucket": partition, "line": after}
        return self._store.query(
            SettlementLine,
            LineFacts,
            [equals("settlement_bucket", partition)],
            page_size=self._scan_page,
            start_after=start,
            consistent=True,
        )

    def lines_of_transactions(self, ids: Sequence[str]) -> list[LineFacts]:
        """All lines of the transactions.

        They are found through an index, which may not yet include very recent lines.
        """
        found = [
            (key.settlement_bucket, key.line)
            for each in ids
            for key in self._store.query(
                SettlementLine,
                _LineKey,
                [equals("transaction_id", each)],
                index="gsi-transaction",
                page_size=self._scan_page,
            )
        ]
        return self._settlement_lines(found)

    def _pages(
        self, model: type[Row], view: type[View], segment: int, start_after: Key | None
    ) -> Iterator[ScanPage[View]]:
        return self._store.scan(
            model,
            view,
            segment=segment,
            total_segments=self.segments,
            page_size=self._scan_page,
            start_after=start_after,
        )

    def _settlement_lines(self, keys: Sequence[tuple[str, int]]) -> list[LineFacts]:
        wanted: list[Key] = [
            {"settlement_bucket": partition, "line": number} for partition, number in keys
        ]
        return list(self._in_batches(SettlementLine, wanted, LineFacts))

    def _in_batches(
        self, model: type[Row], keys: Sequence[Key], view: type[View]
    ) -> Iterator[View]:
        # A row that was edited by hand may name any id. No row has one that is not a valid key, and
        # DynamoDB would refuse the whole batch, in this run and in all others.
        possible = [key for key in keys if all(map(_is_valid, key.values()))]
        for start in range(0, len(possible), MAX_TRANSACTION_ITEMS):
            batch = possible[start : start + MAX_TRANSACTION_ITEMS]
            yield from self._store.get_many(model, batch, view, UNRESTRICTED)


def _is_valid(value: str | int) -> bool:
    """Whether the value may be part of a key."""
    return isinstance(value, int) or 0 < len(value.encode()) <= MAX_KEY_BYTES


def is_number_guard(row: BalanceRow) -> bool:
    """Whether the row only keeps an account number unique, and holds no balance."""
    return row.id.startswith(NUMBER_GUARD_PREFIX)
