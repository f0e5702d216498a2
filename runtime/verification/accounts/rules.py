"""Compares one row of an account with its entries, one entry at a time, in constant memory."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

from runtime.ledger.accounts.models import (
    FIRST_CREDIT_SHARDS,
    PROFILE_SHARD,
    Posting,
    account_of_row,
)
from runtime.ledger.entries.models import entry_partition
from runtime.verification.holds.rules import NOTHING_HELD, Held
from runtime.verification.rules import CheckName, Findings, Tally, Window, is_posting


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
    credit_shards: int = FIRST_CREDIT_SHARDS

    @property
    def account_id(self) -> str:
        """The account's id, also on a balance shard."""
        return account_of_row(self.id, self.shard)


class Checkpoint(BaseModel, frozen=True):
    """A row at one of its entries: the entries up to `sequence` add up to `balance`.

    `version` is that of row 00; 0 for a balance shard. The operations of these entries began until
    the cut of the run that made the checkpoint. The credit shards of an account have one for all of
    them: `shards` are the sums of their entries up to `sequence`.
    """

    sequence: str
    version: int = 0
    balance: int = 0
    shards: dict[str, int] = Field(default_factory=dict)
    held_out: int = 0
    held_in: int = 0


class Step(StrEnum):
    """Result of offering an entry to a reading."""

    TAKEN = "taken"
    GAP = "gap"
    """An entry before it is missing, or only late."""


class Reading(BaseModel):
    """Progress of comparing one row, at its balance and version as read, with its entries.

    Findings and sums count only once the reading is finished. It begins after a checkpoint if there
    is one. A row that does not agree then is read again from its first entry: a checkpoint only
    saves reads. So is a balance shard that does not agree yet.

    `windowed…`: the sums of the entries in the run's window. `mark`: the last entry up to which all
    were counted and began until the cut, which becomes the next checkpoint.
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
    windowed: int = 0
    windowed_held: Held = NOTHING_HELD
    counted_held: Held = NOTHING_HELD
    again: bool = False
    checkpoint: Checkpoint | None = None
    mark: Checkpoint | None = None
    mark_is_final: bool = False
    findings: Findings = Field(default_factory=Findings)
    tally: Tally = Field(default_factory=Tally)

    @classmethod
    def of(cls, row: BalanceRow, checkpoint: Checkpoint | None = None) -> Reading:
        """A new reading of the row, after its checkpoint."""
        reading = cls(
            account_id=row.account_id,
            shard=row.shard,
            currency=row.currency,
            balance=row.balance,
            version=row.version,
            held_out=row.held_out,
            held_in=row.held_in,
            folded=row.posting == Posting.FOLDED or row.shard != PROFILE_SHARD,
        )
        if checkpoint is not None:
            reading.checkpoint = checkpoint
            reading.after = checkpoint.sequence
            reading.next_version = checkpoint.version + 1
            reading.total = reading.running = checkpoint.balance
        return reading

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
    def must_restart(self) -> bool:
        """Whether its checkpoint may be the reason that it does not agree."""
        return self.checkpoint is not None and not self.waits and self.total != self.balance

    @property
    def held_change(self) -> Held:
        """Change of the held amounts within the window, in a full run those at the cut.

        It includes what the row holds beyond its entries, for which no hold will be found.
        """
        out, coming = self.windowed_held
        return Held(out + self._held_beyond.out, coming + self._held_beyond.coming)

    @property
    def _held_beyond(self) -> Held:
        before = self.checkpoint
        out, coming = (before.held_out, before.held_in) if before is not None else NOTHING_HELD
        return Held(
            self.held_out - out - self.counted_held.out,
            self.held_in - coming - self.counted_held.coming,
        )

    def next_checkpoint(self, _window: Window) -> Checkpoint | None:
        """The checkpoint to begin after next time; None if it is not new, or the row is wrong."""
        wrong = any(check.violated for check in self.findings.checks.values())
        if wrong or self.mark is None or self.total != self.balance:
            return None
        beyond = self._held_beyond
        return self.mark.model_copy(
            update={
                "held_out": self.mark.held_out + beyond.out,
                "held_in": self.mark.held_in + beyond.coming,
            }
        )

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

    def offer(self, line: Line, window: Window, *, may_wait: bool) -> Step:
        """Take the next entry of the row's partition.

        While `may_wait`, a gap means a late entry; the entry after the gap must be offered again.
        """
        version = line.version
        if may_wait and self.waits and version > self.next_version:
            # Even if it is newer than the row: entries up to `after` are not read again.
            return Step.GAP
        if version > self.version:
            self.newest = max(self.newest, version)
            self.mark_is_final = True
        elif version < 1:
            self._wrong(line, "a version of the row")
        else:
            if self.is_profile:
                self._step(line, version)
            self._count(line, window)
            self._set_mark(line, version, window)
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
        self.tally.sums(self.currency).balances += self.balance - self.total + self.windowed
        if self.is_profile:
            self.tally.hold(self.account_id, self.held_change)

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

    def _count(self, line: Line, window: Window) -> None:
        self.total += line.amount
        self.counted_held = _plus(self.counted_held, line)
        included = window.includes(line.operation_id)
        if included:
            self.windowed += line.amount
            self.windowed_held = _plus(self.windowed_held, line)
        if not is_posting(line.operation_id, line.amount, folded=self.folded):
            return
        if line.transfer_id is None:
            self._wrong(line, "a transfer", CheckName.TRANSFER_ENTRIES)
            if included:
                self.tally.sums(self.currency).entries += line.amount
                self.tally.sums(self.currency).unexplained += line.amount
        elif included:
            account_id = self.account_id if line.account_id == self.account_id else "another"
            self.tally.post(line.transfer_id, line.operation_id, account_id, line.amount)
            self.tally.sums(self.currency).entries += line.amount

    def _set_mark(self, line: Line, version: int, window: Window) -> None:
        if self.mark_is_final or window.is_newer(line.operation_id):
            self.mark_is_final = True
            return
        before = self.checkpoint
        out, coming = (before.held_out, before.held_in) if before is not None else NOTHING_HELD
        self.mark = Checkpoint(
            sequence=line.sequence,
            version=version if self.is_profile else 0,
            balance=self.total,
            held_out=out + self.counted_held.out,
            held_in=coming + self.counted_held.coming,
        )

    def _miss(self, first: int, last: int, found: str) -> None:
        missing = f"version {first}" if first == last else f"versions {first} to {last}"
        self.findings.violated(CheckName.ACCOUNT_ENTRIES, self.name, missing, found)

    def _wrong(
        self, line: Line, expected: str, check: CheckName = CheckName.ACCOUNT_ENTRIES
    ) -> None:
        self.findings.violated(check, line.name, expected, "none")


def _plus(held: Held, line: Line) -> Held:
    return Held(held.out + line.held_out, held.coming + line.held_in)


def _version_of(row: BalanceRow | None) -> int:
    return row.version if row is not None else 0
