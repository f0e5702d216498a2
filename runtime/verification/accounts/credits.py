"""Part of the first phase: compares the credit shards of a hot account with their entries.

Each shard is read at (balance, version) first. Entries of all shards share 64 partitions, and each
one has the shard and the shard's version that include it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from pydantic import BaseModel, Field

from runtime.ledger.entries.models import credit_partitions, entry_partition
from runtime.ledger.hot_accounts.rules import is_credit_shard
from runtime.verification.accounts.rules import BalanceRow, Checkpoint, Line
from runtime.verification.rules import CheckName, Findings, Tally, Window, is_posting

LinesOf = Callable[[str, str | None], Iterator[Line]]
"""Reads the entries of a partition after a sequence, in order."""


class CreditShard(BaseModel):
    """A credit shard as read, and its entries so far. `newest`: the newest version they name."""

    balance: int = 0
    version: int = 0
    total: int = 0
    newest: int = 0


class CreditReading(BaseModel):
    """Progress of comparing the credit shards of one account with their entries.

    Findings and sums count only once the reading is finished. While the shards do not agree with
    their entries yet, all are read again from the start.
    """

    account_id: str
    currency: str
    shards: dict[str, CreditShard] = Field(default_factory=dict)
    partition: int = 0
    after: str | None = None
    missed_since: float | None = None
    """When missing entries were first rechecked, in seconds since the epoch."""
    again: bool = False
    windowed: int = 0
    start: str | None = None
    until_cut: dict[str, int] = Field(default_factory=dict)
    is_ahead: bool = False
    findings: Findings = Field(default_factory=Findings)
    tally: Tally = Field(default_factory=Tally)

    @classmethod
    def of(
        cls,
        profile: BalanceRow,
        rows: Iterable[BalanceRow],
        checkpoint: Checkpoint | None = None,
    ) -> CreditReading:
        """A new reading of the account's credit shards, after their checkpoint."""
        shards = {
            row.shard: CreditShard(balance=row.balance, version=row.version)
            for row in rows
            if is_credit_shard(row.shard)
        }
        reading = cls(account_id=profile.id, currency=profile.currency, shards=shards)
        if checkpoint is not None:
            reading.start, reading.until_cut = checkpoint.sequence, dict(checkpoint.shards)
            for name, total in checkpoint.shards.items():
                shards.setdefault(name, CreditShard()).total = total
        return reading

    @property
    def name(self) -> str:
        """Its name among checkpoints."""
        return credits_name(self.account_id)

    @property
    def folded(self) -> bool:
        """Only hot accounts have credit shards."""
        return True

    @property
    def must_restart(self) -> bool:
        """Whether its checkpoint may be the reason that it does not agree."""
        return self.start is not None and not self.agrees

    @property
    def agrees(self) -> bool:
        """Whether the entries read so far add up to the balance of each shard."""
        return all(shard.total == shard.balance for shard in self.shards.values())

    @property
    def keys(self) -> list[tuple[str, str]]:
        """Keys of the shards of which an entry names a version that was not there yet."""
        return [
            (self.account_id, name)
            for name, shard in self.shards.items()
            if shard.newest > shard.version
        ]

    def from_the_start(self) -> CreditReading:
        """A new reading of the same shards and versions."""
        return CreditReading(
            account_id=self.account_id,
            currency=self.currency,
            shards={
                name: CreditShard(balance=shard.balance, version=shard.version)
                for name, shard in self.shards.items()
            },
            missed_since=self.missed_since,
            again=True,
        )

    def lines(self, of_partition: LinesOf) -> Iterator[Line]:
        """The remaining entries. The reading continues after each entry that was offered."""
        partitions = credit_partitions(self.account_id)
        while self.partition < len(partitions):
            yield from of_partition(partitions[self.partition], self.after or self.start)
            self.partition, self.after = self.partition + 1, None

    def includes(self, line: Line) -> bool:
        """Whether the shards, as read, include the entry."""
        shard = self.shards.get(line.balance_shard or "")
        return shard is not None and 0 < line.version <= shard.version

    def offer(self, line: Line, window: Window) -> None:
        """Take the next entry."""
        self.after = line.sequence
        shard = self.shards.setdefault(line.balance_shard or "", CreditShard())
        if line.version > shard.version:
            shard.newest = max(shard.newest, line.version)
            self.is_ahead |= not window.is_newer(line.operation_id)
            return
        if line.version < 1:
            self._wrong(line, "a version of the row")
            return
        shard.total += line.amount
        included = window.includes(line.operation_id)
        if included:
            self.windowed += line.amount
        if not window.is_newer(line.operation_id):
            name = line.balance_shard or ""
            self.until_cut[name] = self.until_cut.get(name, 0) + line.amount
        if not is_posting(line.operation_id, line.amount, folded=True):
            return
        sums = self.tally.sums(self.currency)
        if line.transfer_id is None:
            self._wrong(line, "a transfer", CheckName.TRANSFER_ENTRIES)
            if included:
                sums.entries += line.amount
                sums.unexplained += line.amount
        elif included:
            account_id = self.account_id if line.account_id == self.account_id else "another"
            self.tally.post(line.transfer_id, line.operation_id, account_id, line.amount)
            sums.entries += line.amount

    def may_be_late(self, rows_now: Mapping[tuple[str, str], BalanceRow]) -> bool:
        """Whether the shards and their entries were only read at different times.

        They are committed together but read separately, so `rows_now` may briefly be older than an
        entry.
        """
        return not self.agrees or any(
            self.shards[key[1]].newest > _version_of(rows_now.get(key)) for key in self.keys
        )

    def finish(self, rows_now: Mapping[tuple[str, str], BalanceRow]) -> None:
        """Check the totals. `rows_now` are the current rows of `keys`, read after the last entry.

        Called when nothing can be late any more, or when the grace period is over.
        """
        for name, shard in self.shards.items():
            row_name = entry_partition(self.account_id, name)
            if shard.total != shard.balance:
                self.findings.violated(
                    CheckName.ACCOUNT_ENTRIES, row_name, expected=shard.total, found=shard.balance
                )
            row = rows_now.get((self.account_id, name))
            if shard.newest > shard.version and shard.newest > _version_of(row):
                found = f"version {row.version}" if row is not None else "no such row"
                expected = f"version {shard.newest}, as its entries"
                self.findings.violated(CheckName.ACCOUNT_ENTRIES, row_name, expected, found)
        beyond = sum(shard.balance - shard.total for shard in self.shards.values())
        self.tally.sums(self.currency).balances += beyond + self.windowed

    def next_checkpoint(self, window: Window) -> Checkpoint | None:
        """The checkpoint to begin after next time; None if a shard is wrong.

        There is none either while a shard is older than one of its entries until the cut, because
        the next reading would begin after that entry.
        """
        wrong = any(check.violated for check in self.findings.checks.values())
        if wrong or self.is_ahead or not self.agrees:
            return None
        return Checkpoint(sequence=window.cut, shards=self.until_cut)

    def _wrong(
        self, line: Line, expected: str, check: CheckName = CheckName.ACCOUNT_ENTRIES
    ) -> None:
        self.findings.violated(check, line.name, expected, "none")


def credits_name(account_id: str) -> str:
    """Name of an account's credit shards among checkpoints."""
    return f"{account_id}#credits"


def checkpoint_name(account_id: str, shard: str) -> str:
    """Name of what a row of an account is compared with its entries in, among checkpoints."""
    if is_credit_shard(shard):
        return credits_name(account_id)
    return entry_partition(account_id, shard)


def _version_of(row: BalanceRow | None) -> int:
    return row.version if row is not None else 0
