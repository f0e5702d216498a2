"""Arithmetic of ledger verification: fingerprints of postings, sums per currency, and findings.

All sums are independent of order and grouping. Segments can therefore be read in parallel, and an
interrupted run gives the same result as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Final
from zlib import crc32

from pydantic import BaseModel, Field

from runtime.core.fields import Timestamp
from runtime.ledger.rules import is_consolidation, operation_time
from runtime.reconciliation.matching.flows import Move
from runtime.verification.holds.rules import NOTHING_HELD, Held, held_fingerprint
from runtime.verification.settlements.rules import settled_fingerprint, settlement_fingerprint

BUCKETS: Final = 1024
"""Fingerprint sums per side. For each one that differs, 1/1,024 of the rows are drilled into."""
MODULUS: Final = 2**64
MAX_NAMED_VIOLATIONS: Final = 100
"""Violations listed per check. All are counted."""


class CheckName(StrEnum):
    """The checks, in the order of the report."""

    ACCOUNT_ENTRIES = "account_entries"
    RUNNING_BALANCES = "running_balances"
    SPENDABLE = "spendable"
    OPEN_HOLDS = "open_holds"
    FLOORS = "floors"
    CONSERVATION = "conservation"
    TRANSFER_ENTRIES = "transfer_entries"
    PAYMENT_TOTALS = "payment_totals"
    PAYMENT_CEILINGS = "payment_ceilings"
    PAYMENT_POSTINGS = "payment_postings"
    SETTLEMENT_POSTINGS = "settlement_postings"


class Violation(BaseModel, frozen=True):
    """One violation: amounts as integers in minor units, everything else as text."""

    id: str
    expected: int | str
    found: int | str


class Check(BaseModel):
    """Count and violations of one check so far."""

    counted: int = 0
    violated: int = 0
    named: list[Violation] = Field(default_factory=list)


class Findings(BaseModel):
    """Counts and violations of all checks so far, for a part of the data."""

    checks: dict[CheckName, Check] = Field(default_factory=dict)

    def of(self, name: CheckName) -> Check:
        """One check's findings."""
        return self.checks.setdefault(name, Check())

    def count(self, name: CheckName, number: int = 1) -> None:
        """Add `number` checked items."""
        self.of(name).counted += number

    def violated(
        self, name: CheckName, identifier: str, expected: int | str, found: int | str
    ) -> None:
        """Add a violation. It is listed up to MAX_NAMED_VIOLATIONS."""
        check = self.of(name)
        check.violated += 1
        if len(check.named) < MAX_NAMED_VIOLATIONS:
            check.named.append(Violation(id=identifier, expected=expected, found=found))

    def add(self, other: Findings) -> None:
        """Add another part's findings."""
        for name, theirs in other.checks.items():
            ours = self.of(name)
            ours.counted += theirs.counted
            ours.violated += theirs.violated
            ours.named = (ours.named + theirs.named)[:MAX_NAMED_VIOLATIONS]


class CurrencySums(BaseModel):
    """Sums of one currency, in minor units, of operations up to the cut.

    `balances`: all account rows. `entries`: entries of transfers that were counted. `unexplained`:
    the part of `entries` caused by reported violations between entries and transfers.
    """

    balances: int = 0
    entries: int = 0
    unexplained: int = 0

    def add(self, other: CurrencySums) -> None:
        """Add another part's sums."""
        self.balances += other.balances
        self.entries += other.entries
        self.unexplained += other.unexplained

    @property
    def created(self) -> int:
        """Money created (negative: destroyed). Zero in a correct ledger.

        A transfer's entries sum to zero. A remainder that no violation explains was credited to a
        shard after its row was read, so it is missing in `balances` too.
        """
        credited_later = self.unexplained - self.entries
        return self.balances + credited_later


class Tally(BaseModel):
    """Fingerprints by bucket, and sums per currency, for a part of the data.

    `prints`: postings by transfer. `holds`: held amounts by account. `booked`: postings by payment.
    `settlements`: settlement postings by transfer. `settled`: settled amounts by payment.
    """

    prints: dict[int, int] = Field(default_factory=dict)
    holds: dict[int, int] = Field(default_factory=dict)
    booked: dict[int, int] = Field(default_factory=dict)
    settlements: dict[int, int] = Field(default_factory=dict)
    settled: dict[int, int] = Field(default_factory=dict)
    currencies: dict[str, CurrencySums] = Field(default_factory=dict)

    def post(self, transfer_id: str, operation_id: str, account_id: str, amount: int) -> None:
        """Add one posting: an operation's change of an account."""
        _count(self.prints, transfer_id, fingerprint(operation_id, account_id, amount))

    def hold(self, account_id: str, held: Held) -> None:
        """Add held amounts of an account. Amounts of several holds add up."""
        if held != NOTHING_HELD:
            _count(self.holds, account_id, held_fingerprint(account_id, held))

    def book(self, payment_id: str, transfer_id: str, nets: Mapping[str, int]) -> None:
        """Add one posting of a payment, with all of its changes in one fingerprint."""
        whole = " ".join(f"{account}={net}" for account, net in sorted(nets.items()))
        print_ = fingerprint(transfer_id, f"{payment_id}\0{whole}", len(nets))
        _count(self.booked, payment_id, print_)

    def post_settlement(
        self, transfer_id: str, settlement_id: str, moves: Iterable[Move], lines: int
    ) -> None:
        """Add what a transfer moves for a number of settlement lines, or a part of it."""
        print_ = settlement_fingerprint(transfer_id, settlement_id, moves, lines)
        _count(self.settlements, transfer_id, print_)

    def settle(self, payment_id: str, nets: Mapping[str, int]) -> None:
        """Add what is settled of a payment, or a part of it."""
        _count(self.settled, payment_id, settled_fingerprint(payment_id, nets))

    def sums(self, currency: str) -> CurrencySums:
        """The sums of one currency."""
        return self.currencies.setdefault(currency, CurrencySums())

    def add(self, other: Tally) -> None:
        """Add another part's fingerprints and sums."""
        for mine, theirs in (
            (self.prints, other.prints),
            (self.holds, other.holds),
            (self.booked, other.booked),
            (self.settlements, other.settlements),
            (self.settled, other.settled),
        ):
            for bucket, sum_ in theirs.items():
                mine[bucket] = (mine.get(bucket, 0) + sum_) % MODULUS
        for currency, sums in other.currencies.items():
            self.sums(currency).add(sums)


def _count(prints: dict[int, int], identifier: str, print_: int) -> None:
    bucket = bucket_of(identifier)
    prints[bucket] = (prints.get(bucket, 0) + print_) % MODULUS


def differing(ours: Mapping[int, int], theirs: Mapping[int, int]) -> list[int]:
    """Buckets whose fingerprints differ between the two sides, in order."""
    return sorted(
        bucket
        for bucket in ours.keys() | theirs.keys()
        if ours.get(bucket, 0) != theirs.get(bucket, 0)
    )


class CheckReport(BaseModel, frozen=True):
    """One check of a completed run. `violations` lists the first of the `violated`."""

    name: CheckName
    holds: bool
    counted: int
    violated: int
    violations: tuple[Violation, ...]


class RunKind(StrEnum):
    """What a run reads: everything, or what changed since the last verified state."""

    FULL = "full"
    INCREMENTAL = "incremental"


class FullRun(BaseModel, frozen=True):
    """A completed full run."""

    run_id: str
    holds: bool
    as_of: Timestamp
    completed_at: Timestamp


class LedgerVerificationReport(BaseModel, frozen=True):
    """A completed run. `as_of` is its cut: operations up to that time were verified.

    An incremental run reads what changed after `since`, the cut of the last run that it continues.
    `last_full` may be the run itself.
    """

    run_id: str
    holds: bool
    as_of: Timestamp
    completed_at: Timestamp
    kind: RunKind = RunKind.FULL
    since: Timestamp | None = None
    last_full: FullRun | None = None
    checks: tuple[CheckReport, ...]

    @property
    def as_full_run(self) -> FullRun:
        """The run itself, as later reports refer to it."""
        return FullRun.model_validate(self, from_attributes=True)


class Baseline(BaseModel, frozen=True):
    """The last verified state.

    Operations until `verified_until` were verified, and nothing wrong was found. If it is None, the
    next run has to be a full one: there was none yet, or the last one found a violation.
    """

    verified_until: Timestamp | None = None
    last_full: FullRun | None = None

    def after(self, report: LedgerVerificationReport) -> Baseline:
        """The state after a run. A run that found a violation does not advance it."""
        until = report.as_of if report.holds else self.verified_until
        if report.kind is RunKind.INCREMENTAL:
            return Baseline(verified_until=until, last_full=self.last_full)
        return Baseline(
            verified_until=report.as_of if report.holds else None, last_full=report.as_full_run
        )


def report_of(
    findings: Findings,
    tally: Tally,
    *,
    run_id: str,
    as_of: Timestamp,
    completed_at: Timestamp,
    since: Timestamp | None = None,
) -> LedgerVerificationReport:
    """The report of a run after all phases. This also checks conservation."""
    judged = findings.model_copy(deep=True)
    judged.count(CheckName.CONSERVATION, len(tally.currencies))
    for currency in sorted(tally.currencies):
        created = tally.currencies[currency].created
        if created:
            judged.violated(CheckName.CONSERVATION, currency, 0, created)
    checks = tuple(_check_report(name, judged.of(name)) for name in CheckName)
    return LedgerVerificationReport(
        run_id=run_id,
        holds=all(check.holds for check in checks),
        as_of=as_of,
        completed_at=completed_at,
        kind=RunKind.FULL if since is None else RunKind.INCREMENTAL,
        since=since,
        checks=checks,
    )


def _check_report(name: CheckName, check: Check) -> CheckReport:
    return CheckReport(
        name=name,
        holds=not check.violated,
        counted=check.counted,
        violated=check.violated,
        violations=tuple(check.named),
    )


# -------------------------------------------------------------------- postings


def bucket_of(transfer_id: str) -> int:
    """The bucket of a transfer and of all its entries."""
    return crc32(transfer_id.encode()) % BUCKETS


def fingerprint(operation_id: str, account_id: str, amount: int) -> int:
    """64-bit fingerprint of one posting."""
    text = f"{operation_id}\0{account_id}\0{amount}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def is_newer(operation_id: str, cut_mark: str) -> bool:
    """Whether the operation began after the cut; `cut_mark` is the time part of the cut's id."""
    return operation_time(operation_id) > cut_mark


@dataclass(frozen=True, slots=True)
class Window:
    """The operations that a run adds up: those that began after `since` and until the cut.

    Both are time parts of operation ids. `since` is None in a full run. The run that set `since` as
    its cut has added up the operations until then, so each is added up exactly once.
    """

    cut: str
    since: str | None = None

    def is_newer(self, operation_id: str) -> bool:
        """Whether the operation began after the cut."""
        return is_newer(operation_id, self.cut)

    def is_older(self, operation_id: str) -> bool:
        """Whether an earlier run has added up the operation."""
        return self.since is not None and not is_newer(operation_id, self.since)

    def includes(self, operation_id: str) -> bool:
        """Whether this run adds up the operation."""
        return not self.is_newer(operation_id) and not self.is_older(operation_id)


def is_posting(operation_id: str, amount: int, *, folded: bool) -> bool:
    """Whether an entry must belong to a transfer. `folded`: whether its account is hot.

    Holds and status changes move no money. Consolidation moves money between one account's rows.
    """
    return amount != 0 and not is_consolidation(operation_id, folded=folded)
