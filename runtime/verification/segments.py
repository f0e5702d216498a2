"""One segment of one phase of a proof: its state, its checkpoints, and the end of its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from pydantic import BaseModel, Field

from runtime.core.fields import Timestamp
from runtime.core.ids import highest_id
from runtime.core.outside import Outside
from runtime.core.timestamps import to_datetime
from runtime.ledger.rules import operation_time
from runtime.verification.accounts.rules import Reading
from runtime.verification.books_repository import VerificationReads
from runtime.verification.models import segment_part
from runtime.verification.repository import Stored, VerificationRepository
from runtime.verification.rules import Findings, Tally

CHECKPOINT_STEPS = 20
"""Pages (of at most 500 rows or entries) between two checkpoints: what a crash reads again."""
GRACE_SECONDS = 60.0
"""How long an entry may be behind its account or transfer: far above a healthy stream's lag, and
what is later than this is worth an alarm."""
MAX_LATE = 100
"""Rows or transfers of one segment whose entries are waited for at once."""
PAUSE_SECONDS = 0.5
PARALLEL_SEGMENTS = 4


class Phase(StrEnum):
    """What is read, in this order. Drills are left out where what they look into agrees."""

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
    """An entry newer than the cut, to be compared with its transfer at once."""

    name: str
    transfer_id: str
    operation_id: str
    account_id: str
    amount: int


class LateItem(BaseModel, frozen=True):
    """A transfer or payment that does not agree yet.

    `missed_since`: when it was first looked at again, in seconds since the epoch.
    """

    id: str
    missed_since: float | None = None


class SegmentState(BaseModel):
    """How far a segment is. Saved as a whole, so that every state is one that was true."""

    cursor: dict[str, str | int] | None = None
    done: bool = False
    counted: int = 0
    findings: Findings = Field(default_factory=Findings)
    tally: Tally = Field(default_factory=Tally)
    reading: Reading | None = None
    beyond: list[tuple[str, str, str]] = Field(default_factory=list)
    late_rows: list[Reading] = Field(default_factory=list)
    late: list[LateItem] = Field(default_factory=list)
    fresh: list[Fresh] = Field(default_factory=list)
    fresh_compared: int = 0


class RunState(BaseModel):
    """The run as a whole. `differing…` are buckets that must be drilled into."""

    run_id: str
    cut: Timestamp
    phase: Phase = Phase.ACCOUNTS
    differing: list[int] = Field(default_factory=list)
    differing_holds: list[int] = Field(default_factory=list)
    differing_bookings: list[int] = Field(default_factory=list)
    differing_settlements: list[int] = Field(default_factory=list)
    differing_settled: list[int] = Field(default_factory=list)

    @property
    def cut_mark(self) -> str:
        """What the time part of an operation's id is compared with."""
        return operation_time(highest_id("cut", to_datetime(self.cut)))


@dataclass(frozen=True)
class LedgerVerificationDependencies:
    """What proving works with. `progress` hears of each phase's rows as they are counted."""

    proofs: VerificationRepository
    books: VerificationReads
    outside: Outside
    must_stop: Callable[[], bool]
    cut: timedelta
    grace_seconds: float = GRACE_SECONDS
    parallel: int = PARALLEL_SEGMENTS
    checkpoint_steps: int = CHECKPOINT_STEPS
    progress: Callable[[Phase, int], None] = lambda _phase, _rows: None


class OutOfTime(Exception):
    """The segment's state is saved; another invocation goes on."""


@dataclass
class Work:
    """A segment at work."""

    deps: LedgerVerificationDependencies
    run: RunState
    segment: int
    stored: Stored[SegmentState]
    stopped: Callable[[], bool]
    renew: Callable[[], None]
    _steps: int = field(default=0)

    @classmethod
    def resume(
        cls,
        deps: LedgerVerificationDependencies,
        run: RunState,
        segment: int,
        stopped: Callable[[], bool],
        renew: Callable[[], None],
    ) -> Work:
        """The segment as its last checkpoint has it."""
        part = segment_part(run.phase, segment)
        stored = deps.proofs.segment(run.run_id, part, SegmentState) or Stored(SegmentState(), 0)
        return cls(deps, run, segment, stored, stopped, renew)

    @property
    def state(self) -> SegmentState:
        """The state, changed in place."""
        return self.stored.content

    @property
    def books(self) -> VerificationReads:
        """What is read."""
        return self.deps.books

    def count(self, rows: int = 1) -> None:
        """So many more rows were read."""
        self.state.counted += rows
        self.deps.progress(self.run.phase, rows)

    def step(self) -> None:
        """The state is whole: save it now and then, and when time runs out. Raises OutOfTime."""
        self._steps += 1
        stopping = self.stopped()
        if stopping or self._steps % self.deps.checkpoint_steps == 0:
            self.save()
        if stopping:
            raise OutOfTime

    def save(self) -> None:
        """Write the checkpoint. Raises StaleWrite when another worker has this segment."""
        part = segment_part(self.run.phase, self.segment)
        deps = self.deps
        self.stored = deps.proofs.save_segment(
            self.run.run_id, part, self.stored, deps.outside.now()
        )
        self.renew()

    def finish(self) -> None:
        """The segment is read to its end."""
        self.state.done = True
        self.save()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.deps.outside.now().timestamp()

    def waiting_since(self, since: float | None) -> float:
        """When patience began: with the first look again, however long after what was missed.

        So that nothing is judged by a single second look at a row that is changing.
        """
        return self.now() if since is None else since

    def in_grace_period(self, since: float) -> bool:
        """Whether what was first looked for again at `since` may still come."""
        return self.now() < since + self.deps.grace_seconds

    def pause(self) -> None:
        """Wait a little for what is late. Raises OutOfTime."""
        if self.stopped():
            self.save()
            raise OutOfTime
        self.deps.outside.sleep(PAUSE_SECONDS)
