"""One segment of one phase: its state, its checkpoints, and waiting for late entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

from pydantic import BaseModel, Field, PlainSerializer

from runtime.core.fields import Timestamp
from runtime.core.ids import highest_id
from runtime.core.outside import Outside
from runtime.core.timestamps import to_datetime
from runtime.ledger.accounts.models import PROFILE_SHARD
from runtime.ledger.entries.models import entry_partition
from runtime.ledger.rules import operation_time
from runtime.verification.accounts.checkpoints import Checkpoints, RowCheckpoints
from runtime.verification.accounts.credits import CreditReading, checkpoint_name, credits_name
from runtime.verification.accounts.rules import BalanceRow, Checkpoint, Reading
from runtime.verification.books_repository import VerificationReads
from runtime.verification.changes.feed import ChangeFeed
from runtime.verification.changes.notes import NotedIds, Notes, Subject, merged
from runtime.verification.changes.pages import AllRows, ChangedRows, Pages
from runtime.verification.models import changes_part, changes_prefix, segment_part
from runtime.verification.repository import NOTES_KEPT_DAYS, Stored, VerificationRepository
from runtime.verification.rules import Findings, RunKind, Tally, Window

CHECKPOINT_STEPS = 20
"""Pages (of at most 500 rows or entries) between checkpoints. A crash repeats at most these."""
GRACE_SECONDS = 60.0
"""How long an entry may lag behind its account or transfer: far above the normal stream lag. A
longer lag is reported as a violation."""
MAX_LATE = 100
"""Most rows or transfers per segment that wait for late entries at the same time."""
PAUSE_SECONDS = 0.5
PARALLEL_SEGMENTS = 4
FULL_EVERY = timedelta(days=30)
LONGEST_INCREMENTAL = timedelta(days=NOTES_KEPT_DAYS - 1)
"""How long an incremental run may be continued: no id that it noted has expired by then."""
_CUTS_REMEMBERED = 16
"""Cuts whose mark is cached: every row of a run is compared with it."""


class Phase(StrEnum):
    """The phases in order. A full run begins with accounts, an incremental one with changes.

    Drills are skipped if the sums they compare agree.
    """

    CHANGES = "changes"
    ACCOUNTS = "accounts"
    TRANSFERS = "transfers"
    DRILL_TRANSFERS = "drill_transfers"
    DRILL_ENTRIES = "drill_entries"
    DRILL_HELD = "drill_held"
    DRILL_HOLDS = "drill_holds"
    PAYMENTS = "payments"
    DRILL_PAYMENTS = "drill_payments"
    DRILL_POSTINGS = "drill_postings"
    SETTLEMENT_LINES = "settlement_lines"
    DRILL_SETTLEMENTS = "drill_settlements"
    DRILL_LINES = "drill_lines"
    DRILL_SETTLED = "drill_settled"
    DONE = "done"


class Fresh(BaseModel, frozen=True):
    """An entry newer than the cut, to be compared with its transfer directly."""

    name: str
    transfer_id: str
    operation_id: str
    account_id: str
    amount: int


class LateItem(BaseModel, frozen=True):
    """A transfer or payment that does not agree yet.

    `missed_since`: when it was first rechecked, in seconds since the epoch.
    """

    id: str
    missed_since: float | None = None


Drills = Annotated[set[Phase], PlainSerializer(sorted)]
"""Stored in order: that of a set depends on the process."""


class SegmentState(BaseModel):
    """Progress of a segment. It is saved as a whole, so every checkpoint is consistent."""

    cursor: dict[str, str | int] | None = None
    done: bool = False
    counted: int = 0
    findings: Findings = Field(default_factory=Findings)
    tally: Tally = Field(default_factory=Tally)
    reading: Reading | None = None
    credits: CreditReading | None = None
    late_rows: list[Reading] = Field(default_factory=list)
    late_credits: list[CreditReading] = Field(default_factory=list)
    late: list[LateItem] = Field(default_factory=list)
    fresh: list[Fresh] = Field(default_factory=list)
    fresh_compared: int = 0
    direct: Drills = Field(default_factory=set)


class RunState(BaseModel):
    """State of the run.

    `since`: the cut of the run that this one continues; None in a full run. The `differing…` lists
    are the buckets to drill into; `direct` are the drills that have rows to verify one by one, even
    if all sums agree.
    """

    run_id: str
    cut: Timestamp
    since: Timestamp | None = None
    phase: Phase = Phase.ACCOUNTS
    direct: Drills = Field(default_factory=set)
    differing: list[int] = Field(default_factory=list)
    differing_holds: list[int] = Field(default_factory=list)
    differing_bookings: list[int] = Field(default_factory=list)
    differing_settlements: list[int] = Field(default_factory=list)
    differing_settled: list[int] = Field(default_factory=list)

    @property
    def kind(self) -> RunKind:
        """Whether it reads everything or what changed."""
        return RunKind.FULL if self.since is None else RunKind.INCREMENTAL

    def is_too_old(self, now: datetime) -> bool:
        """Whether ids of changed rows that it noted may have expired."""
        return self.since is not None and now >= to_datetime(self.cut) + LONGEST_INCREMENTAL

    @property
    def cut_mark(self) -> str:
        """The cut in the form of an operation id's time part."""
        return _mark_of(self.cut)

    @property
    def window(self) -> Window:
        """The operations that this run adds up."""
        return Window(self.cut_mark, None if self.since is None else _mark_of(self.since))


@lru_cache(maxsize=_CUTS_REMEMBERED)
def _mark_of(cut: Timestamp) -> str:
    return operation_time(highest_id("cut", to_datetime(cut)))


@dataclass(frozen=True)
class LedgerVerificationDependencies:
    """Dependencies of ledger verification. `progress` is called with the rows read per phase.

    A full run begins at least every `full_every`. `checkpoints` are used by incremental runs only.
    """

    verifications: VerificationRepository
    books: VerificationReads
    changes: ChangeFeed
    checkpoints: Checkpoints
    outside: Outside
    must_stop: Callable[[], bool]
    cut: timedelta
    full_every: timedelta = FULL_EVERY
    grace_seconds: float = GRACE_SECONDS
    parallel: int = PARALLEL_SEGMENTS
    checkpoint_steps: int = CHECKPOINT_STEPS
    progress: Callable[[Phase, int], None] = lambda _phase, _rows: None


class OutOfTime(Exception):
    """The invocation's time is over. The state is saved, and another invocation continues."""


@dataclass
class Work:
    """Work on one segment of one phase."""

    deps: LedgerVerificationDependencies
    run: RunState
    segment: int
    stored: Stored[SegmentState]
    stopped: Callable[[], bool]
    renew: Callable[[], None]
    notes: Notes = field(init=False)
    pages: Pages = field(init=False)
    _steps: int = field(default=0)
    _checkpoints: dict[str, RowCheckpoints] = field(default_factory=dict)
    _new_checkpoints: dict[str, RowCheckpoints] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.notes = Notes(self.books.segments, self._store_notes)
        self.pages = (
            AllRows(self.books, self.segment)
            if self.run.since is None
            else ChangedRows(self.books, self._noted)
        )

    @classmethod
    def resume(
        cls,
        deps: LedgerVerificationDependencies,
        run: RunState,
        segment: int,
        stopped: Callable[[], bool],
        renew: Callable[[], None],
    ) -> Work:
        """The segment as of its last checkpoint."""
        part = segment_part(run.phase, segment)
        stored = deps.verifications.segment(run.run_id, part, SegmentState) or Stored(
            SegmentState(), 0
        )
        return cls(deps, run, segment, stored, stopped, renew)

    @property
    def state(self) -> SegmentState:
        """The segment's state, modified in place."""
        return self.stored.content

    @property
    def books(self) -> VerificationReads:
        """The tables to read."""
        return self.deps.books

    def count(self, rows: int = 1) -> None:
        """Count rows that were read."""
        self.state.counted += rows
        self.deps.progress(self.run.phase, rows)

    def step(self) -> None:
        """Save a checkpoint periodically, and when time runs out. Raises OutOfTime.

        Call this only while the state is consistent.
        """
        self._steps += 1
        stopping = self.stopped()
        if stopping or self._steps % self.deps.checkpoint_steps == 0:
            self.save()
        if stopping:
            raise OutOfTime

    def save(self) -> None:
        """Write the state, after what it refers to. Raises StaleWrite if another worker is here.

        If the process dies in between, what was written is written again.
        """
        self.deps.checkpoints.save(self._new_checkpoints, self.deps.outside.now())
        self._new_checkpoints = {}
        self.notes.flush()
        part = segment_part(self.run.phase, self.segment)
        deps = self.deps
        self.stored = deps.verifications.save_segment(
            self.run.run_id, part, self.stored, deps.outside.now()
        )
        self.renew()

    def finish(self) -> None:
        """Mark the segment as done."""
        self.state.done = True
        self.save()

    # ------------------------------------------------------------ what an incremental run knows

    def directly(self, *drills: Phase) -> None:
        """Run the drills, even if the sums that they compare agree."""
        self.state.direct.update(drills)

    def is_suspect(self, subject: Subject, identifier: str) -> bool:
        """Whether a row is verified one by one."""
        return self.pages.is_suspect(subject, identifier)

    def load_checkpoints(self, rows: Sequence[BalanceRow]) -> None:
        """Read the checkpoints of the rows. A full run begins at their first entries."""
        if self.run.since is not None:
            names = {checkpoint_name(row.account_id, row.shard) for row in rows}
            names |= {credits_name(row.id) for row in rows if row.shard == PROFILE_SHARD}
            self._checkpoints = self.deps.checkpoints.load(sorted(names))

    def reading_of(self, row: BalanceRow) -> Reading:
        """A new reading of the row, after its last checkpoint that this run can continue.

        A row that was changed from outside is read from its first entry.
        """
        return Reading.of(row, self._checkpoint(entry_partition(row.account_id, row.shard)))

    def credits_of(self, profile: BalanceRow) -> CreditReading:
        """A new reading of the credit shards of a hot account, likewise."""
        checkpoint = self._checkpoint(credits_name(profile.id))
        return CreditReading.of(profile, self.books.shards_of(profile), checkpoint)

    def _checkpoint(self, name: str) -> Checkpoint | None:
        since, found = self.run.since, self._checkpoints.get(name)
        if since is None or found is None or self.is_suspect(Subject.ROWS, name):
            return None
        return found.until(since)

    def keep_checkpoint(self, reading: Reading | CreditReading) -> None:
        """Keep the next checkpoint of what was read; it is written with the state.

        A full run keeps those of hot accounts, which have most of the entries.
        """
        since, checkpoint = self.run.since, reading.next_checkpoint(self.run.window)
        if checkpoint is None or (since is None and not reading.folded):
            return
        kept = RowCheckpoints()
        if since is not None:
            kept = kept.adding(since, self._checkpoint(reading.name))
        self._new_checkpoints[reading.name] = kept.adding(self.run.cut, checkpoint)

    def _store_notes(self, target: int, ids: NotedIds) -> None:
        now = self.deps.outside.now()
        part = changes_part(target, self.run.phase, self.deps.outside.new_id("prn", now))
        self.deps.verifications.save_notes(self.run.run_id, part, ids, now)

    def _noted(self) -> Mapping[Subject, Mapping[str, bool]]:
        prefix = changes_prefix(self.segment)
        return merged(self.deps.verifications.notes(self.run.run_id, prefix, NotedIds))

    # ------------------------------------------------------------ waiting

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.deps.outside.now().timestamp()

    def waiting_since(self, since: float | None) -> float:
        """Start of the grace period: the first recheck, which is `since` or now.

        It does not start at the first read, so that a changing row is rechecked more than once.
        """
        return self.now() if since is None else since

    def in_grace_period(self, since: float) -> bool:
        """Whether an item that was first rechecked at `since` may still arrive."""
        return self.now() < since + self.deps.grace_seconds

    def pause(self) -> None:
        """Wait briefly for late items. Raises OutOfTime."""
        if self.stopped():
            self.save()
            raise OutOfTime
        self.deps.outside.sleep(PAUSE_SECONDS)
