"""`make load`: a rate of mixed requests against a stage, and then every answer checked."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Final

from rich.console import Console

from local.errors import LocalError
from local.progress import Progress
from local.workspace import Workspace
from operations.load.checks import READING_THREADS, Check, Checks
from operations.load.client import PATIENT_SECONDS, Habits, LoadClient, http_client
from operations.load.journal import Journal
from operations.load.measurements import Measurements
from operations.load.pacing import Pace, Paced, paced
from operations.load.reader import PATIENCE_SECONDS, POLL_SECONDS, Reader
from operations.load.report import print_report
from operations.load.requests import Reply, Request, is_final
from operations.load.target import (
    Target,
    Wanted,
    connect,
    prepare,
    release,
    require_permission_to_move_money,
)
from operations.load.traffic import Traffic

FEWEST_CLIENTS, MOST_CLIENTS = 8, 256
FEWEST_WALLETS, MOST_WALLETS = 4, 40
WALLETS_PER_RATE: Final = 2
"""Transfers of one account wait for each other, so a higher rate gets more accounts."""


class LoadTestFailed(LocalError):
    """A check after the load test does not hold."""


@dataclass(frozen=True)
class Plan:
    """How much, and how the clients and the checks behave."""

    pace: Pace
    habits: Habits = field(default_factory=Habits)
    patience_seconds: float = PATIENCE_SECONDS
    poll_seconds: float = POLL_SECONDS


@dataclass(frozen=True)
class Result:
    """What a run measured, and what its checks found."""

    paced: Paced
    measured: Measurements
    checks: list[Check]
    unknown: list[Request]
    """Requests whose outcome could not be found out."""


def plan_of(rate: float, seconds: float, clients: int | None) -> Plan:
    """A plan; by default as many clients as answers that take two seconds would keep busy."""
    if clients is None:
        clients = min(max(int(rate * 2), FEWEST_CLIENTS), MOST_CLIENTS)
    return Plan(Pace(rate, seconds, clients))


def load(plan: Plan, wanted: Wanted, workspace: Workspace, progress: Progress) -> None:
    """Run a load test and print its report.

    Raises:
        LoadTestFailed: a check does not hold.
        LocalError: the stage cannot be reached, or refuses what the run needs.
    """
    require_permission_to_move_money(wanted, workspace)
    client = connect(wanted, plan.pace.seconds, workspace, progress)
    wallets = min(max(int(plan.pace.rate / WALLETS_PER_RATE), FEWEST_WALLETS), MOST_WALLETS)
    with progress.step("Prepare a merchant, an API key and accounts"):
        target = prepare(client, wanted, wallets)
    if not target.wallets:
        progress.note("A merchant's token: no transfers, and its totals are not compared.")
    try:
        result = run(plan, target, progress)
        print_report(Console(highlight=False), plan.pace, result)
    finally:
        release(client, target)
    failed = [check.name for check in result.checks if not check.holds]
    if failed:
        raise LoadTestFailed(
            f"Checks that do not hold: {'; '.join(failed)}.",
            hint=f"The rows of this run have the metadata load_run={target.run_id}; "
            "make proof and make verify-audit check the stage itself.",
        )


def run(plan: Plan, target: Target, progress: Progress) -> Result:
    """Send the requests, find out what is still unknown, and check all answers."""
    journal, measured = Journal(), Measurements()
    begun = datetime.now(UTC)
    pace = plan.pace
    with http_client(target.api_url, target.bearer, pace.clients, target.transport) as http:
        client = LoadClient(http, journal, measured, plan.habits)
        traffic = Traffic(target, journal)

        def once(dice: Random) -> None:
            request = traffic.next(dice)
            journal.note(request, client.ask(request, dice))

        with progress.step(f"{pace.rate:g} requests/s for {pace.seconds:g} s"):
            done = paced(pace, once, target.run_id)
        if journal.open_requests:
            with progress.step(f"Ask again about {len(journal.open_requests)} open requests"):
                _resolve(journal, client, plan)
        with progress.step("Check every answer"):
            reader = Reader(http, plan.patience_seconds, plan.poll_seconds)
            checks = Checks(journal, target, reader, begun).all()
    return Result(done, measured, checks, journal.open_requests)


def _resolve(journal: Journal, client: LoadClient, plan: Plan) -> None:
    """Repeat each open request under its key until it is answered, or patience ends.

    What is still open then stays in the journal.
    """
    ends = time.monotonic() + plan.patience_seconds

    def resolved(request: Request) -> Reply | None:
        while True:
            left = ends - time.monotonic()
            reply = client.send(request, min(PATIENT_SECONDS, max(left, plan.poll_seconds)))
            if is_final(reply) or time.monotonic() > ends:
                return reply
            time.sleep(plan.poll_seconds)

    requests, journal.open_requests = journal.open_requests, []
    with ThreadPoolExecutor(READING_THREADS) as pool:
        for request, reply in zip(requests, pool.map(resolved, requests), strict=True):
            journal.note(request, reply)
