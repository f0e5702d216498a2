"""Ledger verification: one run reads the data once, during normal operation.

A full run reads all data. An incremental run reads what changed since the last verified state, and
compares it in the same phases. A run fixes its cut when it begins, so that every operation up to
the cut is committed before the first read. Each phase reads its segments in parallel. The next
invocation continues an unfinished run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from runtime.core.errors import StaleWrite
from runtime.core.observability import logger
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.verification.accounts.phase import read_accounts
from runtime.verification.changes.phase import read_changes
from runtime.verification.holds.drills import drill_held, drill_holds
from runtime.verification.models import segment_part
from runtime.verification.payments.drills import drill_payments, drill_postings
from runtime.verification.payments.phase import read_payments
from runtime.verification.repository import Stored
from runtime.verification.rules import (
    Findings,
    LedgerVerificationReport,
    RunKind,
    Tally,
    differing,
    report_of,
)
from runtime.verification.segments import (
    LedgerVerificationDependencies,
    OutOfTime,
    Phase,
    RunState,
    SegmentState,
    Work,
)
from runtime.verification.settlements.phase import (
    drill_lines,
    drill_settled,
    drill_settlements,
    read_lines,
)
from runtime.verification.transfers import drill_entries, drill_transfers, read_transfers

_READ: Final[Mapping[Phase, Callable[[Work], None]]] = MappingProxyType(
    {
        Phase.CHANGES: read_changes,
        Phase.ACCOUNTS: read_accounts,
        Phase.TRANSFERS: read_transfers,
        Phase.DRILL_TRANSFERS: drill_transfers,
        Phase.DRILL_ENTRIES: drill_entries,
        Phase.DRILL_HELD: drill_held,
        Phase.DRILL_HOLDS: drill_holds,
        Phase.PAYMENTS: read_payments,
        Phase.DRILL_PAYMENTS: drill_payments,
        Phase.DRILL_POSTINGS: drill_postings,
        Phase.SETTLEMENT_LINES: read_lines,
        Phase.DRILL_SETTLEMENTS: drill_settlements,
        Phase.DRILL_LINES: drill_lines,
        Phase.DRILL_SETTLED: drill_settled,
    }
)
_PHASES: Final = tuple(Phase)


@dataclass(frozen=True, slots=True)
class VerificationOutcome:
    """Result of one invocation. `report` is set once the run is completed.

    `busy`: another invocation is working on the run, so this one stopped.
    """

    phase: Phase
    run_id: str | None = None
    report: LedgerVerificationReport | None = None
    busy: bool = False

    def answer(self) -> dict[str, Any]:
        """The scheduled function's answer."""
        shown: dict[str, Any] = {
            "completed": self.report is not None,
            "busy": self.busy,
            "run_id": self.run_id,
            "phase": str(self.phase),
        }
        return shown | (self.report.model_dump(mode="json") if self.report else {"holds": None})


def verify_ledger(
    deps: LedgerVerificationDependencies,
    *,
    kind: RunKind | None = None,
    restart: bool = False,
) -> VerificationOutcome:
    """Continue the current run or start one, until it is complete or the invocation's time ends.

    `kind` starts a run of that kind and discards an unfinished one of the other; without it, a run
    is incremental unless a full one is due. An incremental run needs a verified state; without
    one, the run is full. An unfinished incremental run that is too old is discarded, and so is any
    with `restart`. Raises Unavailable if DynamoDB was too busy; saved checkpoints are kept.
    """
    owner = deps.outside.new_id("prw", deps.outside.now())
    try:
        run = _take(deps, owner, kind, restart=restart)
    except StaleWrite:
        return VerificationOutcome(Phase.ACCOUNTS, busy=True)
    invocation = _Invocation(deps, owner, run, deps.outside.lock())
    try:
        report = invocation.work()
    except StaleWrite:
        logger.info("another worker is continuing this verification run", run=run.content.run_id)
        return VerificationOutcome(invocation.state.phase, run.content.run_id, busy=True)
    return VerificationOutcome(invocation.state.phase, run.content.run_id, report)


def _take(
    deps: LedgerVerificationDependencies, owner: str, kind: RunKind | None, *, restart: bool
) -> Stored[RunState]:
    """The run, leased to this worker. Raises StaleWrite while another worker has the lease.

    A restart ignores the lease. A worker on the discarded run stops at its next checkpoint.
    """
    now = deps.outside.now()
    last = deps.verifications.open_run(RunState)
    if (
        last is None
        or restart
        or last.content.phase is Phase.DONE
        or last.content.is_too_old(now)
        or kind not in {None, last.content.kind}
    ):
        last = Stored(_begun(deps, now, kind), 0 if last is None else last.version)
    return deps.verifications.save_run(last, owner, now, by_force=restart)


def _begun(deps: LedgerVerificationDependencies, now: datetime, kind: RunKind | None) -> RunState:
    baseline = deps.verifications.baseline().content
    cut, since, full = now - deps.cut, baseline.verified_until, baseline.last_full
    run = RunState(run_id=deps.outside.new_id("prf", now), cut=to_timestamp(cut))
    is_due = full is None or cut >= to_datetime(full.as_of) + deps.full_every
    if since is None or since > run.cut or kind is RunKind.FULL or (kind is None and is_due):
        return run
    return run.model_copy(update={"since": since, "phase": Phase.CHANGES})


@dataclass
class _Invocation:
    """One worker on one run, with its lease."""

    deps: LedgerVerificationDependencies
    owner: str
    run: Stored[RunState]
    _lease: AbstractContextManager[Any]
    _failed: bool = False

    @property
    def state(self) -> RunState:
        """The run's state."""
        return self.run.content

    def work(self) -> LedgerVerificationReport | None:
        """Run all phases; None if time runs out. Raises StaleWrite, Unavailable."""
        try:
            while self.state.phase is not Phase.DONE:
                if not self._read_phase():
                    return None
                following = self._after(self.state.phase)
                if following is Phase.DONE:
                    return self._complete()
                self._save(self.owner, following)
        finally:
            if self.state.phase is not Phase.DONE:
                self._release_lease()
        return None

    def _read_phase(self) -> bool:
        """Read the phase's segments in parallel. Returns whether all were completed."""
        with self.deps.outside.threads(self.deps.parallel) as pool:
            return all(list(pool.map(self._read_segment, range(self.deps.books.segments))))

    def _read_segment(self, segment: int) -> bool:
        if self._stopped():
            return False
        try:
            work = Work.resume(self.deps, self.state, segment, self._stopped, self._renew)
            if not work.state.done:
                _READ[self.state.phase](work)
        except OutOfTime:
            return False
        except BaseException:
            self._failed = True
            raise
        return True

    def _stopped(self) -> bool:
        return self._failed or self.deps.must_stop()

    def _after(self, phase: Phase) -> Phase:
        self._compare(phase)
        state = self.state
        left_out: set[Phase] = set()
        if not state.differing:
            left_out |= {Phase.DRILL_TRANSFERS, Phase.DRILL_ENTRIES}
        if not state.differing_holds:
            left_out |= {Phase.DRILL_HELD, Phase.DRILL_HOLDS}
        if not state.differing_bookings:
            left_out |= {Phase.DRILL_PAYMENTS, Phase.DRILL_POSTINGS}
        if not state.differing_settlements:
            left_out.add(Phase.DRILL_SETTLEMENTS)
        if not state.differing_settled:
            left_out.add(Phase.DRILL_SETTLED)
        if not (state.differing_settlements or state.differing_settled):
            left_out.add(Phase.DRILL_LINES)
        left_out -= state.direct
        behind = _PHASES[_PHASES.index(phase) + 1 :]
        return next(each for each in behind if each not in left_out)

    def _compare(self, phase: Phase) -> None:
        """Find the differing buckets to drill into, once both sides have been read."""
        state = self.state
        for segment in self._segments(phase):
            state.direct |= segment.direct
        if phase is Phase.TRANSFERS:
            entries, transfers = self._sum(Phase.ACCOUNTS)[1], self._sum(Phase.TRANSFERS)[1]
            state.differing = differing(entries.prints, transfers.prints)
            state.differing_holds = differing(entries.holds, transfers.holds)
        if phase is Phase.PAYMENTS:
            transfers, payments = self._sum(Phase.TRANSFERS)[1], self._sum(Phase.PAYMENTS)[1]
            state.differing_bookings = differing(transfers.booked, payments.booked)
        if phase is Phase.SETTLEMENT_LINES:
            transfers, payments = self._sum(Phase.TRANSFERS)[1], self._sum(Phase.PAYMENTS)[1]
            lines = self._sum(Phase.SETTLEMENT_LINES)[1]
            state.differing_settlements = differing(transfers.settlements, lines.settlements)
            state.differing_settled = differing(payments.settled, lines.settled)

    def _sum(self, *phases: Phase) -> tuple[Findings, Tally]:
        findings, tally = Findings(), Tally()
        for phase in phases:
            for segment in self._segments(phase):
                findings.add(segment.findings)
                tally.add(segment.tally)
        return findings, tally

    def _segments(self, phase: Phase) -> Iterator[SegmentState]:
        for segment in range(self.deps.books.segments):
            part = segment_part(phase, segment)
            stored = self.deps.verifications.segment(self.state.run_id, part, SegmentState)
            if stored is not None:
                yield stored.content

    def _complete(self) -> LedgerVerificationReport:
        findings, tally = self._sum(*_READ)
        now = self.deps.outside.now()
        report = report_of(
            findings,
            tally,
            run_id=self.state.run_id,
            as_of=self.state.cut,
            completed_at=to_timestamp(now),
            since=self.state.since,
        )
        stored = self.deps.verifications.baseline()
        verified = Stored(stored.content.after(report), stored.version)
        report = report.model_copy(update={"last_full": verified.content.last_full})
        self.state.phase = Phase.DONE
        self.deps.verifications.complete(report, self.run, verified, now)
        return report

    # ------------------------------------------------------------ the lease

    def _renew(self) -> None:
        """Renew the lease. Raises StaleWrite if the run was taken over or discarded."""
        with self._lease:
            self._save(self.owner, self.state.phase)

    def _save(self, owner: str | None, phase: Phase) -> None:
        self.state.phase = phase
        self.run = self.deps.verifications.save_run(self.run, owner, self.deps.outside.now())

    def _release_lease(self) -> None:
        try:
            self._save(None, self.state.phase)
        except StaleWrite:
            logger.info("another worker has taken over the verification run", run=self.state.run_id)
