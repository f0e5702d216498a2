"""The proof while money moves, holds end, and the projector stumbles behind: no false alarm."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from random import Random

import pytest

from runtime.domain.proof import CheckName, ProofReport
from runtime.models.account import Account
from runtime.repositories.books import Books
from runtime.repositories.proofs import ProofRepository
from runtime.services.proof import prove
from runtime.services.proof_work import Phase, ProofDesk
from tests.support.engines import Engine
from tests.support.ledger_world import LedgerClient, LedgerWorld
from tests.support.streams import STORMY

MOVERS = 4
PROOFS = 2
CUT = timedelta(seconds=6)
"""Longer than any request of these tests, which run against an engine on this machine."""
PATIENCE_SECONDS = 60.0
TICK_SECONDS = 0.05
MAX_TICK_SECONDS = 0.5
"""A machine that stood still for longer has not made any entry late."""


@pytest.fixture
def ledger(dynamodb_local_engine: Engine, dice: Random) -> Iterator[LedgerWorld]:
    seed = str(dice.random())
    ledger = LedgerWorld(dynamodb_local_engine, seed, STORMY, projector_faults=0.03)
    logging.disable(logging.CRITICAL)  # the projector's expected failures
    yield ledger
    logging.disable(logging.NOTSET)
    ledger.world.drop()


@contextmanager
def time_passing(ledger: LedgerWorld) -> Iterator[None]:
    """The tests' clock goes as the machine's does, so that the cut means something."""
    stop = threading.Event()

    def tick() -> None:
        before = time.monotonic()
        while not stop.wait(TICK_SECONDS):
            now = time.monotonic()
            ledger.world.clock.advance(min(now - before, MAX_TICK_SECONDS))
            before = now

    ticker = threading.Thread(target=tick)
    ticker.start()
    try:
        yield
    finally:
        stop.set()
        ticker.join()


def move(ledger: LedgerWorld, accounts: list[str], client: LedgerClient, dice: Random) -> None:
    """One transfer, or a hold that is posted in part or canceled, between any two accounts."""
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
def moving(ledger: LedgerWorld, accounts: list[str]) -> Iterator[list[int]]:
    """Clients that move money until the block ends; how often each did."""
    stop = threading.Event()
    moves = [0] * MOVERS

    def work(number: int) -> None:
        dice = Random(f"{ledger.seed}-{number}")
        client = ledger.client(f"mover-{number}")
        while not stop.is_set():
            move(ledger, accounts, client, dice)
            moves[number] += 1

    with ThreadPoolExecutor(MOVERS) as pool:
        workers = [pool.submit(work, number) for number in range(MOVERS)]
        try:
            yield moves
        finally:
            stop.set()
            for worker in workers:
                worker.result()


def proved(ledger: LedgerWorld, drilled: list[Phase]) -> ProofReport:
    """A run, in as many invocations as its time is short."""
    dice = Random(ledger.seed)

    def noted(phase: Phase, _rows: int) -> None:
        drilled.append(phase)

    desk = ProofDesk(
        proofs=ProofRepository(ledger.world.store),
        books=Books(ledger.world.store, scan_page=3, entries_page=10),
        clock=ledger.world.clock,
        sleep=time.sleep,
        must_stop=lambda: dice.random() < 0.02,
        cut=CUT,
        patience_seconds=PATIENCE_SECONDS,
        checkpoint_steps=2,
        progress=noted,
    )
    while (report := prove(desk).report) is None:
        pass
    return report


def test_no_run_raises_an_alarm_while_money_moves_and_entries_are_late(ledger: LedgerWorld) -> None:
    openings = (90_000, 50_000, 20_000, 0)
    accounts = [ledger.open(opening=opening) for opening in openings]
    accounts += [ledger.open(folded=True), ledger.open(opening=40_000, folded=True)]
    drilled: list[Phase] = []
    with time_passing(ledger), ledger.poller.running(workers=2), moving(ledger, accounts) as moves:
        time.sleep(CUT.total_seconds())
        reports = [proved(ledger, drilled) for _ in range(PROOFS)]
    print([{c.name.value: c.counted for c in r.checks} for r in reports], moves, len(drilled))
    for report in reports:
        assert report.holds, report
    assert sum(moves) > 50
    last = {check.name: check.counted for check in reports[-1].checks}
    assert last[CheckName.TRANSFER_ENTRIES] > 50
    assert set(ledger.poller.injected) >= {"doubled", "late", "repeated"}


def test_one_unit_that_appears_under_load_is_found(ledger: LedgerWorld) -> None:
    accounts = [ledger.open(opening=50_000) for _ in range(3)]
    quiet = ledger.open(opening=700)
    with time_passing(ledger), ledger.poller.running(workers=2), moving(ledger, accounts):
        time.sleep(CUT.total_seconds())
        (row,) = (r for r in ledger.world.rows(Account) if r.id == quiet and r.shard == "00")
        forged = {"balance": row.balance + 1, "spendable": row.spendable + 1}
        ledger.world.put(row.model_copy(update=forged))
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
