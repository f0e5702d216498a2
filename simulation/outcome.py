"""One run: played to its end, judged, and reduced to what can be compared and shrunk."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simulation.platform.plan import Plan
from simulation.platform.world import Platform
from simulation.tasks import Violation
from simulation.watch.settled.check import check_settled

Progress = Callable[[Platform], None]
"""Called after each commit."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run. `hash` is over all commits, answers and webhooks.

    `rule` names what was violated first; `done` are the operations that each client had begun by
    then; `story` are the requests of the run, in words.
    """

    seed: str
    operations: int
    commits: int
    seconds: float
    hash: str
    violations: tuple[str, ...] = ()
    rule: str = ""
    done: Mapping[str, int] = field(default_factory=dict)
    story: tuple[str, ...] = ()


def play(plan: Plan, progress: Progress = lambda _: None) -> Outcome:
    """Run a plan to its end, let everything settle, and judge it. It raises nothing.

    A run that crashes, or whose simulation has a defect, proves nothing: that is a violation too.
    """
    platform = Platform(plan.seed, plan)
    platform.database.on_commit.append(lambda _: progress(platform))
    violations: list[str] = []

    def judge() -> None:
        violations.extend(check_settled(platform))
        if violations:
            raise Violation(violations[0])

    try:
        platform.run(judge)
        platform.settle()
        judge()
        violations.extend(platform.tamper())
    except Violation as violation:
        violations = violations or [f"scheduler: {violation}"]
    except Exception as crash:  # noqa: BLE001 - whatever it is, the run proves nothing
        trace = "".join(traceback.format_exception(crash))
        violations = [f"crash: {type(crash).__name__}: {crash}\n{trace}"]
    # What a rule has found comes first: what broke after that may follow from it.
    violations = [str(finding) for finding in platform.watch.findings] or violations
    try:
        return _outcome(platform, violations)
    finally:
        platform.scheduler.close()


def _outcome(platform: Platform, violations: list[str]) -> Outcome:
    findings = platform.watch.findings
    rule = findings[0].rule if findings else "".join(violations[:1]).partition(":")[0]
    return Outcome(
        seed=platform.seed,
        operations=sum(client.done for client in platform.clients),
        commits=platform.watch.commits,
        seconds=platform.scheduler.now,
        hash=history_hash(platform),
        violations=tuple(violations),
        rule=rule,
        done={client.plan.name: client.done for client in platform.clients},
        story=tuple(_story(platform)) if violations else (),
    )


def history_hash(platform: Platform) -> str:
    """SHA-256, in hex, over all commits, answers and webhooks so far, with their times."""
    digest = hashlib.sha256(platform.watch.hash.encode())
    for exchange in platform.history:
        response = exchange.response
        reported = None if response is None else (response.status, response.text)
        answer = (exchange.request_id, exchange.began, exchange.ended, reported)
        digest.update(json.dumps(answer).encode())
    for each in platform.deliveries:
        webhook = (each.at, each.merchant_id, each.webhook_id, each.body.hex(), each.status)
        digest.update(json.dumps(webhook).encode())
    return digest.hexdigest()


def _story(platform: Platform) -> list[str]:
    """The clients' requests, in the order in which they began, and what they were answered."""
    lines = []
    for exchange in platform.history:
        request, response = exchange.request, exchange.response
        if request.client == "set-up":
            continue
        body = "" if request.body is None else json.dumps(request.body)
        reported = "no answer"
        if response is not None:
            problem = response.body.get("code", "") if isinstance(response.body, dict) else ""
            replayed = "replayed" if response.replayed else ""
            reported = " ".join(filter(None, (str(response.status), problem, replayed)))
        ended = "…" if exchange.ended is None else f"{exchange.ended:.3f}"
        lines.append(
            f"{exchange.began:.3f}-{ended} {request.client} {request.method} {request.path} "
            f"{body} → {reported}"
        )
    return lines
