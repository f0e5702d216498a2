"""Bring a world to rest: nothing goes wrong any more, and clients come back for their answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from runtime.core.timestamps import to_datetime
from runtime.verification.rules import RunKind
from simulation.aws.sqs import Queue
from simulation.faults import FaultRates, PartnerRates
from simulation.outside import clock
from simulation.partners.receivers import ReceiverRates
from simulation.platform.http import OPERATOR, HttpRequest
from simulation.platform.settings import CUT_SECONDS
from simulation.tasks import LambdaDied

if TYPE_CHECKING:
    from simulation.platform.world import Platform

ROUND_SECONDS: Final = 600.0
"""Between two runs of the schedules that finish things."""
MOST_ROUNDS: Final = 60
"""Ten hours: longer than anything is tried again."""
FINISHING: Final = ("resolver", "holds", "retries")
OPEN_STATUSES: Final = {
    "webhooks": ("pending",),
    "exports": ("queued", "running"),
    "settlement_files": ("processing",),
}
MOST_RUNS: Final = 40
"""Invocations of a schedule that goes on where it stopped."""


@contextmanager
def paused(platform: Platform) -> Iterator[None]:
    """Come to rest for what is done inside; then things go wrong again as they did before."""
    rates, aws, line = platform.scheduler.rates, platform.aws.rates, platform.line
    endpoints, impatience = platform.endpoints.rates, platform.impatience
    calm_since = platform.state.calm_since
    settle(platform)
    yield
    platform.scheduler.rates, platform.aws.rates, platform.line = rates, aws, line
    platform.endpoints.rates, platform.impatience = endpoints, impatience
    platform.state.calm_since, platform.state.is_settling = calm_since, False
    for schedule in platform.sources.schedules.values():
        schedule.start()


def settle(platform: Platform) -> None:
    """Come to rest. What does not is for the checks of a world at rest to name."""
    _calm(platform)
    for schedule in platform.sources.schedules.values():
        schedule.stop()
    for _ in range(2):  # what began only now has to be finished, too
        _come_back(platform)
        redrive(platform.queues.values())
        _finish(platform)
    _come_back(platform)
    _run(platform, "poll")
    platform.scheduler.sleep(ROUND_SECONDS)  # what it found becomes webhooks, which may fail
    _redeliver(platform)
    platform.acquirer.correct_all()
    platform.scheduler.sleep(ROUND_SECONDS)
    _finish(platform)
    for name in ("totals", "missing", "rotation", "archive"):
        _run(platform, name)
    platform.proof = prove(platform)


def _calm(platform: Platform) -> None:
    platform.state.is_settling = True
    if platform.state.calm_since is None:
        platform.state.calm_since = platform.scheduler.now
    platform.scheduler.rates = FaultRates.calm()
    platform.aws.rates = platform.line = PartnerRates.calm()
    platform.endpoints.rates = ReceiverRates.calm()
    platform.impatience = 0.0


def _come_back(platform: Platform) -> None:
    spawn = platform.scheduler.spawn
    tasks = [spawn(client.come_back, client.plan.name) for client in platform.clients]
    platform.scheduler.join(tasks)
    for task in tasks:
        task.outcome()


def _finish(platform: Platform) -> None:
    """Run what finishes things until nothing is open."""
    for _ in range(MOST_ROUNDS):
        platform.stripe.finish_refunds()
        for name in FINISHING:
            _run(platform, name)
        platform.scheduler.sleep(ROUND_SECONDS)
        if _is_quiet(platform) and not is_open(platform):
            return


def _is_quiet(platform: Platform) -> bool:
    return platform.sources.quiet() and platform.notifier.is_quiet()


def _run(platform: Platform, name: str, **asked: str) -> Any:
    """Run a schedule. Raises Violation where it fails: nothing goes wrong any more."""
    try:
        return platform.sources.schedules[name].run_now(**asked)
    except (LambdaDied, Exception) as error:
        failed = f"{name} failed at rest: {type(error).__name__}: {error}"
        raise platform.violation("schedule", failed) from error


def is_open(platform: Platform) -> bool:
    """Whether anything still waits for the platform itself."""
    now = clock(platform.scheduler)()
    for item in platform.items("transfers"):
        expires_at = item.get("expires_at", {}).get("S")
        if item["status"]["S"] == "pending" and to_datetime(expires_at) < now:
            return True
    queued = (platform.items(name) for name in ("payments", "transactions"))
    if any("open_bucket" in item for items in queued for item in items):
        return True
    return any(
        item.get("status", {}).get("S") in statuses
        for name, statuses in OPEN_STATUSES.items()
        for item in platform.items(name)
    )


def redrive(queues: Iterable[Queue]) -> None:
    """An operator moves back the dead letters: what faults made of them must get through now."""
    for queue in queues:
        queue.redrive()


def _redeliver(platform: Platform) -> None:
    """An operator asks again for every webhook that was given up."""
    failed = [
        item["id"]["S"]
        for item in platform.items("webhooks")
        if item.get("status", {}).get("S") in ("failed", "expired")
    ]
    for number, webhook_id in enumerate(failed):
        answer = platform.api(
            HttpRequest(
                "set-up",
                "POST",
                f"/v1/webhooks/{webhook_id}/redeliver",
                {},
                headers={"idempotency-key": f"redeliver-{int(platform.scheduler.now)}-{number}"},
                credential=OPERATOR,
            )
        )
        if not answer.is_success:
            raise platform.violation("redelivery", f"{webhook_id} is not sent again: {answer.text}")
    if failed:
        _finish(platform)


def prove(platform: Platform) -> dict[str, Any]:
    """The report of a full ledger verification of all that happened until now.

    An incremental one goes before it and must find the same: `platform.proof_of_changes`.
    """
    platform.scheduler.sleep(CUT_SECONDS + ROUND_SECONDS)
    for _ in range(2):  # the first one may go on with a run that had begun before
        platform.proof_of_changes = _proved(platform, RunKind.INCREMENTAL)
    return _proved(platform, RunKind.FULL)


def _proved(platform: Platform, kind: RunKind) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for _ in range(MOST_RUNS):
        report = _run(platform, "proof", kind=kind)
        if report["completed"]:
            return report
        platform.scheduler.sleep(ROUND_SECONDS)
    raise AssertionError(f"ledger verification does not end: {report}")
