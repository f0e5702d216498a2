"""Compares one row of an account with its entries, one entry at a time, in constant memory."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

from runtime.ledger.accounts.models import PROFILE_SHARD, Posting
from runtime.ledger.entries.models import entry_partition
from runtime.verification.holds.rules import Held
from runtime.verification.rules import CheckName, Findings, Tally, is_newer, is_posting


class Line(BaseModel, frozen=True):
    """A stored entry, accepted even with invalid values."""

    account_shard: str
    sequence: str
    transfer_id: str | None = None
    operation_id: str = ""
    account_id: str = ""
    amount: int = 0
    held_out: int = 0
    held_in: int = 0
    balance_after: int | None = None
    fold_version: int | None = None
    balance_shard: str | None = None

    @property
    def row(self) -> tuple[str, str]:
        """The account and the shard of the row that includes the amount."""
        account_id, _, shard = self.account_shard.rpartition("#")
        return account_id, self.balance_shard or shard

    @property
    def name(self) -> str:
        """Its name in the report."""
        return f"{self.account_shard}@{self.sequence}"

    @property
    def version(self) -> int:
        """The first version of the row that includes the amount; 0 if the entry has none."""
        if self.account_shard.endswith(f"#{PROFILE_SHARD}"):
            return int(self.sequence) if self.sequence.isdecimal() else 0
        return self.fold_version or 0


class BalanceRow(BaseModel, frozen=True):
    """A stored row of the accounts table, accepted even with invalid values."""

    id: str
    shard: str
    currency: str = ""
    posting: str = ""
    account_type: str = ""
    version: int = 0
    balance: int = 0
    held_out: int = 0
    held_in: int = 0
    credit_limit: int = 0
    spendable: int = 0


class Step(StrEnum):
    """Result of offering an entry to a reading."""

    TAKEN = "taken"
    GAP = "gap"
    """An entry before it is missing, or only late."""


class Reading(BaseModel):
    """Progress of comparing one row, at its balance and version as read, with its entries.

    Findings and sums count only once the reading is finished. A balance shard that does not agree
    yet is read again from the start.
    """

    account_id: str
    shard: str
    currency: str
    balance: int
    version: int
    held_out: int = 0
    held_in: int = 0
    folded: bool = False
    missed_since: float | None = None
    """When missing entries were first rechecked, in seconds since the epoch."""
    after: str | None = None
    next_version: int = 1
    total: int = 0
    running: int | None = 0
    newest: int = 0
    newer: int = 0
    newer_held_out: int = 0
    newer_held_in: int = 0
    again: bool = False
    findings: Findings = Field(default_factory=Findings)
    tally: Tally = Field(default_factory=Tally)

    @classmethod
    def of(cls, row: BalanceRow) -> Reading:
        """A new reading of the row."""
        return cls(
            account_id=row.id,
            shard=row.shard,
            currency=row.currency,
            balance=row.balance,
            version=row.version,
            held_out=row.held_out,
            held_in=row.held_in,
            folded=row.posting == Posting.FOLDED or row.shard != PROFILE_SHARD,
        )

    @property
    def name(self) -> str:
        """The partition of its entries, and its name in the report."""
        return entry_partition(self.account_id, self.shard)

    @property
    def is_profile(self) -> bool:
        """Whether it is row 00, which has an entry per version. A shard has one per operation."""
        return self.shard == PROFILE_SHARD

    @property
    def agrees(self) -> bool:
        """Whether the entries read so far add up to the balance."""
        return not self.waits and self.total == self.balance

    def may_be_late(self, row_now: BalanceRow | None) -> bool:
        """Whether missing data may still arrive. Entries of row 00 come from a stream.

        An entry and its row are committed together but read separately, so `row_now` may briefly be
        older than the entry.
        """
        if self.agrees:
            return self.newest > _version_of(row_now)
        return not self.is_profile or self.waits

    @property
    def waits(self) -> bool:
        """Whether entries for versions of row 00 are still missing."""
        return self.is_profile and self.next_version <= self.version

    @property
    def held_at_cut(self) -> Held:
        """Held amounts at the cut: those of the row minus its newer entries."""
        return Held(self.held_out - self.newer_held_out, self.held_in - self.newer_held_in)

    def from_the_start(self) -> Reading:
        """A new reading of the same row and version."""
        return Reading(
            account_id=self.account_id,
            shard=self.shard,
            currency=self.currency,
            balance=self.balance,
            version=self.version,
            held_out=self.held_out,
            held_in=self.held_in,
            folded=self.folded,
            missed_since=self.missed_since,
            again=True,
        )

    def offer(self, line: Line, cut_mark: str, *, may_wait: bool) -> Step:
        """Take the next entry of the row's partition.

        While `may_wait`, a gap means a late entry; the entry after the gap must be offered again.
        """
        version = line.version
        if may_wait and self.waits and version > self.next_version:
            # Even if it is newer than the row: entries up to `after` are not read again.
            return Step.GAP
        if version > self.version:
            self.newest = max(self.newest, version)
        elif version < 1:
            self._wrong(line, "a version of the row")
        else:
            if self.is_profile:
                self._step(line, version)
            self._count(line, cut_mark)
        self.after = line.sequence
        return Step.TAKEN

    def finish(self, row_now: BalanceRow | None) -> None:
        """Check the totals. `row_now` is the current row, read after the last entry.

        Called when nothing can be late any more, or when the grace period is over.
        """
        if self.waits:
            self._miss(self.next_version, self.version, "no entry")
        if self.total != self.balance:
            self.findings.violated(
                CheckName.ACCOUNT_ENTRIES, self.name, expected=self.total, found=self.balance
            )
        now = _version_of(row_now)
        if self.newest > now:
            found = f"version {now}" if row_now is not None else "no such row"
            expected = f"version {self.newest}, as its entries"
            self.findings.violated(CheckName.ACCOUNT_ENTRIES, self.name, expected, found)
        self.tally.sums(self.currency).balances += self.balance - self.newer
        if self.is_profile:
            self.tally.hold(self.account_id, self.held_at_cut)

    def _step(self, line: Line, version: int) -> None:
        """Check that the entry follows the previous one, without a gap, with the right balance."""
        if version > self.next_version:
            self._miss(self.next_version, version - 1, f"version {version}")
            self.running = None
        if self.running is not None:
            expected = self.running + line.amount
            if line.balance_after != expected:
                found = "none" if line.balance_after is None else line.balance_after
                self.findings.violated(CheckName.RUNNING_BALANCES, line.name, expected, found)
        self.findings.count(CheckName.RUNNING_BALANCES)
        self.running = line.balance_after
        self.next_version = version + 1

    def _count(self, line: Line, cut_mark: str) -> None:
        self.total += line.amount
        newer = is_newer(line.operation_id, cut_mark)
        if newer:
            self.newer += line.amount
            self.newer_held_out += line.held_out
            self.newer_held_in += line.held_in
        if not is_posting(line.operation_id, line.amount, folded=self.folded):
            return
        if line.transfer_id is None:
            self._wrong(line, "a transfer", CheckName.TRANSFER_ENTRIES)
            if not newer:
                self.tally.sums(self.currency).entries += line.amount
                self.tally.sums(self.currency).unexplained += line.amount
        elif not newer:
            account_id = self.account_id if line.account_id == self.account_id else "another"
            self.tally.post(line.transfer_id, line.operation_id, account_id, line.amount)
            self.tally.sums(self.currency).entries += line.amount

    def _miss(self, first: int, last: int, found: str) -> None:
        missing = f"version {first}" if first == last else f"versions {first} to {last}"
        self.findings.violated(CheckName.ACCOUNT_ENTRIES, self.name, missing, found)

    def _wrong(
        self, line: Line, expected: str, check: CheckName = CheckName.ACCOUNT_ENTRIES
    ) -> None:
        self.findings.violated(check, line.name, expected, "none")


def _version_of(row: BalanceRow | None) -> int:
    return row.version if row is not None else 0
