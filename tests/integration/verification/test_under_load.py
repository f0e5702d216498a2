"""Verification while money moves, holds end and the projector lags: no false violations."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

import pytest

from runtime.ledger.accounts.models import Account
from runtime.verification.accounts.checkpoints import Checkpoints
from runtime.verification.books_repository import VerificationReads
from runtime.verification.repository import VerificationRepository
from runtime.verification.rules import CheckName, LedgerVerificationReport, RunKind
from runtime.verification.run import verify_ledger
from runtime.verification.segments import LedgerVerificationDependencies, Phase
from tests.support.engines.engine import Engine
from tests.support.engines.streams import STORMY
from tests.support.ledger_changes import NoChanges
from tests.support.simulation.ledger import LedgerClient, LedgerPlatform

MOVERS = 4
PROOFS = 2
CUT = timedelta(seconds=6)
"""Longer than any request in these tests, which run against a local engine."""
GRACE_SECONDS = 60.0
TICK_SECONDS = 0.1
MAX_TICK_SECONDS = 0.5
MOVE_SECONDS = 0.25
"""Pause between two moves of a client. Faster clients would only make the run longer."""
STUCK_SECONDS = 300.0
"""Real time after which the stream poller is considered dead."""


@pytest.fixture
def ledger(engine: Engine, dice: Random) -> Iterator[LedgerPlatform]:
    seed = str(dice.random())
    ledger = LedgerPlatform(engine, seed, STORMY, projector_faults=0.03)
    logging.disable(logging.CRITICAL)  # the projector's expected failures
    yield ledger
    logging.disable(logging.NOTSET)
    ledger.platform.drop()


@dataclass
class Time:
    """A clock that follows the machine's but pauses on a busy machine.

    It stops while the stream lags or a request takes long, so that neither the cut nor the grace
    period depends on the machine's speed.
    """

    ledger: LedgerPlatform
    begun: dict[int, datetime] = field(default_factory=dict)
    """When the current request began, by client."""

    @contextmanager
    def passing(self) -> Iterator[None]:
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            ticking = pool.submit(self._tick, stop)
            try:
                yield
            finally:
                stop.set()
                ticking.result()

    def wait(self, span: timedelta) -> None:
        """Wait until `span` has passed on this clock."""
        end = self.ledger.platform.clock() + span
        while self.ledger.platform.clock() < end:
            time.sleep(TICK_SECONDS)

    def _tick(self, stop: threading.Event) -> None:
        clock, before = self.ledger.platform.clock, time.monotonic()
        while not stop.wait(TICK_SECONDS):
            deadline = time.monotonic() + STUCK_SECONDS
            there = self.ledger.poller.lengths()
            while not (stop.is_set() or self._is_on_time(there)):
                assert time.monotonic() < deadline, "the streams do not move"
                stop.wait(TICK_SECONDS)
            now = time.monotonic()
            clock.advance(min(now - before, MAX_TICK_SECONDS))
            before = now

    def _is_on_time(self, there: Mapping[tuple[str, int], int]) -> bool:
        now, begun = self.ledger.platform.clock(), list(self.begun.values())
        return self.ledger.poller.has_done(there) and all(now - each < CUT / 2 for each in begun)


def move(ledger: LedgerPlatform, accounts: list[str], client: LedgerClient, dice: Random) -> None:
    """One transfer, or one hold that is posted in part or canceled, between two accounts."""
    source, target = dice.sample(accounts, 2)
    amount = dice.randrange(2, 400)
    if dice.random() < 0.6:
        client.send(ledger.order(source, target, amount))
        return
    answer = client.send(ledger.order(source, target, amount, hold=True))
    if answer.status != 201:
        return
    hold_id = json.loads(answer.body)["id"]
    ends = (
        ledger.post_order(hold_id),
        ledger.post_order(hold_id, amount - 1),
        ledger.cancel_order(hold_id),
    )
    client.send(dice.choice(ends))


@contextmanager
def moving(now: Time, accounts: list[str]) -> Iterator[list[int]]:
    """Clients that move money until the block ends. Yields the number of moves per client."""
    ledger, clock = now.ledger, now.ledger.platform.clock
    stop = threading.Event()
    moves = [0] * MOVERS

    def work(number: int) -> None:
        dice = Random(f"{ledger.seed}-{number}")
        client = ledger.client(f"mover-{number}")
        moves_at = clock()
        while not stop.wait(TICK_SECONDS):
            if clock() < moves_at:
                continue
            now.begun[number] = clock()
            move(ledger, accounts, client, dice)
            del now.begun[number]
            moves_at += timedelta(seconds=MOVE_SECONDS)
            moves[number] += 1

    with ThreadPoolExecutor(MOVERS) as pool:
        workers = [pool.submit(work, number) for number in range(MOVERS)]
        try:
            yield moves
        finally:
            stop.set()
            for worker in workers:
                worker.result()


def proved(ledger: LedgerPlatform, drilled: list[Phase]) -> LedgerVerificationReport:
    """A complete run, in several short invocations."""
    dice = Random(ledger.seed)

    def noted(phase: Phase, _rows: int) -> None:
        drilled.append(phase)

    deps = LedgerVerificationDependencies(
        verifications=VerificationRepository(ledger.platform.store),
        books=VerificationReads(ledger.platform.store, scan_page=3, entries_page=10),
        changes=NoChanges(),
        checkpoints=Checkpoints(ledger.platform.store),
        outside=replace(ledger.platform.outside, sleep=time.sleep),
        must_stop=lambda: dice.random() < 0.02,
        cut=CUT,
        grace_seconds=GRACE_SECONDS,
        checkpoint_steps=2,
        progress=noted,
    )
    while (report := verify_ledger(deps, kind=RunKind.FULL).report) is None:
        pass
    return report


def test_runs_find_no_violations_while_money_moves_and_entries_are_late(
    ledger: LedgerPlatform,
) -> None:
    openings = (90_000, 50_000, 20_000, 0)
    accounts = [ledger.open(opening=opening) for opening in openings]
    accounts += [ledger.open(folded=True), ledger.open(opening=40_000, folded=True)]
    drilled: list[Phase] = []
    now = Time(ledger)
    with now.passing(), ledger.poller.running(workers=2), moving(now, accounts) as moves:
        now.wait(CUT)
        reports = [proved(ledger, drilled) for _ in range(PROOFS)]
    print([{c.name.value: c.counted for c in r.checks} for r in reports], moves, len(drilled))
    for report in reports:
        assert report.holds, report
    assert sum(moves) > 0
    last = {check.name: check.counted for check in reports[-1].checks}
    assert last[CheckName.TRANSFER_ENTRIES] > 0
    assert set(ledger.poller.injected) >= {"doubled", "late", "repeated"}


def test_a_difference_of_one_unit_under_load_is_found(ledger: LedgerPlatform) -> None:
    accounts = [ledger.open(opening=50_000) for _ in range(3)]
    quiet = ledger.open(opening=700)
    now = Time(ledger)
    with now.passing(), ledger.poller.running(workers=2), moving(now, accounts):
        now.wait(CUT)
        (row,) = (
            r for r in ledger.platform.rows(Account) if r.account_id == quiet and r.shard == "00"
        )
        forged = {"balance": row.balance + 1, "spendable": row.spendable + 1}
        ledger.platform.put(row.model_copy(update=forged))
        report = proved(ledger, [])
    assert not report.holds
    checks = {check.name: check for check in report.checks}
    assert checks[CheckName.ACCOUNT_ENTRIES].violated == 1, report
    (named,) = checks[CheckName.ACCOUNT_ENTRIES].violations
    assert (named.id, named.expected, named.found) == (f"{quiet}#00", 700, 701)
    (created,) = checks[CheckName.CONSERVATION].violations
    assert (created.id, created.expected, created.found) == ("USD", 0, 1)
    others = set(checks) - {CheckName.ACCOUNT_ENTRIES, CheckName.CONSERVATION}
    assert all(checks[name].holds for name in others)
