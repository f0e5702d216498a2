"""Reading one row of an account against its entries, entry by entry, in constant memory."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

from runtime.ledger.accounts.models import PROFILE_SHARD, Posting
from runtime.ledger.entries.models import entry_partition
from runtime.verification.holds.rules import Held
from runtime.verification.rules import CheckName, Findings, Tally, is_newer, is_posting


class Line(BaseModel, frozen=True):
    """An entry as it stands, whatever somebody has made of it."""

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

    @property
    def name(self) -> str:
        """How a report calls it."""
        return f"{self.account_shard}@{self.sequence}"

    @property
    def version(self) -> int:
        """The version of the row that first holds the amount; 0 when it names none."""
        if self.account_shard.endswith(f"#{PROFILE_SHARD}"):
            return int(self.sequence) if self.sequence.isdecimal() else 0
        return self.fold_version or 0


class BalanceRow(BaseModel, frozen=True):
    """A row of the accounts table as it stands, whatever somebody has made of it."""

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
    """What came of offering an entry to a reading."""

    TAKEN = "taken"
    GAP = "gap"
    """An entry before it is missing, or only late."""


class Reading(BaseModel):
    """How far one row (its balance and version as read) has been compared with its entries.

    Its findings and sums count only once it is finished; a fold row that does not agree yet is read
    again from the start.
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
    """When what it lacks was first looked for again, in seconds since the epoch."""
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
        """A reading that has not begun."""
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
        """The partition of its entries, and how a report calls it."""
        return entry_partition(self.account_id, self.shard)

    @property
    def is_profile(self) -> bool:
        """Row 00 has an entry per version; a fold row has one per operation."""
        return self.shard == PROFILE_SHARD

    @property
    def agrees(self) -> bool:
        """Whether the entries that were read are exactly those of the balance."""
        return not self.waits and self.total == self.balance

    def may_be_late(self, row_now: BalanceRow | None) -> bool:
        """Whether waiting can help: entries of row 00 come from a stream, one per version.

        An entry and its row are one commit, yet read apart: `row_now` may not show it for a moment.
        """
        if self.agrees:
            return self.newest > _version_of(row_now)
        return not self.is_profile or self.waits

    @property
    def waits(self) -> bool:
        """Whether an entry that row 00 has a version for was not read yet."""
        return self.is_profile and self.next_version <= self.version

    @property
    def held_at_cut(self) -> Held:
        """What was held when the cut was made, by the row and its entries since."""
        return Held(self.held_out - self.newer_held_out, self.held_in - self.newer_held_in)

    def from_the_start(self) -> Reading:
        """The same row's reading, to be begun again."""
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

        A gap is taken for lateness while `may_wait`; the entry after it is to be offered again.
        """
        version = line.version
        if may_wait and self.waits and version > self.next_version:
            # Also of one that is newer than the row: what lies behind `after` is not read again.
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
        """Judge the whole. `row_now` is the row as it stands, read after the last entry.

        Called once nothing can be late any more, or patience has come to its end.
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
        """The entry follows the one before it, without a gap and to the unit."""
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
