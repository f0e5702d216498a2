"""The proof of the books: everything is read, while money moves, and nothing is trusted.

A run fixes its cut at the beginning: older than the longest possible request, so whatever began
before it is committed before anything is read. It goes phase by phase; the segments of a phase are
read at once, each with checkpoints of its own. An invocation whose time ends leaves the run to the
next one, which goes on with the same cut.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from runtime.domain.ids import new_id
from runtime.domain.instants import to_instant
from runtime.domain.proof import Findings, ProofReport, Tally, report_of
from runtime.models.proof import segment_part
from runtime.repositories.books import SEGMENTS
from runtime.repositories.proofs import LEASE_SECONDS, Stored
from runtime.services.proof_accounts import read_accounts
from runtime.services.proof_payments import read_payments
from runtime.services.proof_transfers import drill_entries, drill_transfers, read_transfers
from runtime.services.proof_work import (
    OutOfTime,
    Phase,
    ProofDesk,
    RunState,
    SegmentState,
    Work,
)

_READERS: Final[Mapping[Phase, Callable[[Work], None]]] = {
    Phase.ACCOUNTS: read_accounts,
    Phase.TRANSFERS: read_transfers,
    Phase.DRILL_TRANSFERS: drill_transfers,
    Phase.DRILL_ENTRIES: drill_entries,
    Phase.PAYMENTS: read_payments,
}
_RENEWED_AFTER_SECONDS = LEASE_SECONDS / 4


def prove(desk: ProofDesk, *, restart: bool = False) -> ProofReport | None:
    """Go on with the open run, or begin one; its report when it is completed.

    None when time ran out: the run goes on from its checkpoints. Raises StaleWrite when another
    invocation has the run in hand.
    """
    run = _Run.take(desk, restart=restart)
    while run.state.phase is not Phase.DONE:
        if not run.read_phase():
            run.give_back()
            return None
        run.next_phase()
    report = run.report()
    desk.proofs.complete(report, run.stored, desk.clock())
    return report


@dataclass
class _Run:
    """A run in this invocation's hands."""

    desk: ProofDesk
    owner: str
    stored: Stored[RunState]
    _renewed_at: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _halted: bool = False

    @classmethod
    def take(cls, desk: ProofDesk, *, restart: bool) -> _Run:
        now = desk.clock()
        stored = desk.proofs.open_run(RunState)
        if stored is None or stored.content.phase is Phase.DONE or restart:
            fresh = RunState(run_id=new_id("prf", now), cut=to_instant(now - desk.cut))
            stored = Stored(fresh, stored.version if stored else 0)
        owner = new_id("inv", now)
        return cls(desk, owner, desk.proofs.save_run(stored, owner, now))

    @property
    def state(self) -> RunState:
        return self.stored.content

    def read_phase(self) -> bool:
        """Read every segment to its end; False when time ran out."""
        with ThreadPoolExecutor(max_workers=self.desk.parallel) as pool:
            done = [pool.submit(self._read_segment, segment) for segment in range(SEGMENTS)]
        return all(each.result() for each in done)

    def _read_segment(self, segment: int) -> bool:
        work = Work.resume(self.desk, self.state, segment, self._stopped, self._renew)
        if work.state.done:
            return True
        try:
            _READERS[self.state.phase](work)
        except OutOfTime:
            return False
        except BaseException:
            self._halted = True  # the other segments save what they have, and end
            raise
        return True

    def _stopped(self) -> bool:
        return self._halted or self.desk.must_stop()

    def _renew(self) -> None:
        with self._lock:
            if time.monotonic() - self._renewed_at > _RENEWED_AFTER_SECONDS:
                self._save(self.owner)

    def _save(self, owner: str | None) -> None:
        self.stored = self.desk.proofs.save_run(self.stored, owner, self.desk.clock())
        self._renewed_at = time.monotonic()

    def give_back(self) -> None:
        """Let the next invocation go on at once."""
        self._save(None)

    def next_phase(self) -> None:
        """What comes next: into the details only where transfers and entries differ."""
        state = self.state
        following = {
            Phase.ACCOUNTS: Phase.TRANSFERS,
            Phase.DRILL_TRANSFERS: Phase.DRILL_ENTRIES,
            Phase.DRILL_ENTRIES: Phase.PAYMENTS,
            Phase.PAYMENTS: Phase.DONE,
        }
        if state.phase is Phase.TRANSFERS:
            entries, transfers = (self._tally(p) for p in (Phase.ACCOUNTS, Phase.TRANSFERS))
            state.differing = sorted(entries.differing(transfers))
            state.phase = Phase.DRILL_TRANSFERS if state.differing else Phase.PAYMENTS
        else:
            state.phase = following[state.phase]
        self._save(self.owner)

    def report(self) -> ProofReport:
        """Everything that the segments have found."""
        findings, tally = Findings(), Tally()
        for phase in _READERS:
            for segment in range(SEGMENTS):
                findings.add(self._segment(phase, segment).findings)
            if phase is not Phase.TRANSFERS:
                tally.add(self._tally(phase))
        return report_of(
            findings,
            tally,
            run_id=self.state.run_id,
            as_of=self.state.cut,
            completed_at=to_instant(self.desk.clock()),
        )

    def _tally(self, phase: Phase) -> Tally:
        tally = Tally()
        for segment in range(SEGMENTS):
            tally.add(self._segment(phase, segment).tally)
        return tally

    def _segment(self, phase: Phase, segment: int) -> SegmentState:
        part = segment_part(phase, segment)
        stored = self.desk.proofs.segment(self.state.run_id, part, SegmentState)
        return SegmentState() if stored is None else stored.content
