"""`make tick` describes the report of a schedule's function in words."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.cli import main
from local.schedule_reports import WORDS, sentence
from local.stackfile import Schedule
from runtime.audit.archive.archiving import ClosingReport
from runtime.encryption.models import SweepProgress
from runtime.key_rotation.rotation import RotationReport
from runtime.ledger.holds.expiry import ExpiryReport
from runtime.payments.disputes.poll import PollReport
from runtime.payments.resolution.resolver import ResolverReport
from runtime.reconciliation.unsettled.sweep import SweepReport
from runtime.reporting.totals.compaction import CompactionReport
from runtime.verification.rules import CheckName, CheckReport, LedgerVerificationReport, Violation
from runtime.verification.run import VerificationOutcome
from runtime.verification.segments import Phase
from runtime.webhooks.due_deliveries import RetriesReport
from simulation.platform.settings import MINUTES
from tests.support.stages.any_stack import any_stack

AT = "2026-03-14T09:00:00.000Z"


def proved(*violated: CheckName) -> Any:
    """The final answer of ledger verification."""
    checks = tuple(
        CheckReport(
            name=name,
            counted=3,
            holds=name not in violated,
            violated=int(name in violated),
            violations=(Violation(id="acc_1", expected=1, found=2),) * (name in violated),
        )
        for name in CheckName
    )
    report = LedgerVerificationReport(
        run_id="run_1", holds=not violated, as_of=AT, completed_at=AT, checks=checks
    )
    return VerificationOutcome(Phase.DONE, "run_1", report).answer()


def swept(failed: int) -> Any:
    """The answer of a finished key rotation."""
    progress = SweepProgress(key_id="key", started_at=AT, seen=5, renewed=2, failed=failed)
    return RotationReport({"customers": progress, "merchants": progress}, finished=True).answer()


REPORTS: list[tuple[str, Any, str]] = [
    (
        "resolver",
        asdict(ResolverReport(3, 3, 0, 0, 0, 0, 0, False)),
        "3 payments resolved, 0 still unknown",
    ),
    (
        "resolver",
        asdict(ResolverReport(9, 1, 4, 0, 2, 1, 7_200, True)),
        "1 payment resolved, 4 still unknown (1 of them for too long), "
        '2 FAILED: make logs ARGS="resolver"; not finished, the next run continues',
    ),
    ("holds", asdict(ExpiryReport(due=2, expired=1)), "1 of 2 due holds expired"),
    ("retries", asdict(RetriesReport(due=1, queued=1)), "1 of 1 due webhook queued"),
    ("totals", asdict(CompactionReport(merchants=1, rows=128)), "128 rows of 1 merchant folded"),
    (
        "poll",
        asdict(PollReport(True, AT, 2, 1, 0, 3, 0)),
        "2 merchants polled, 1 event applied, 0 kept for an operator, 3 waiting",
    ),
    (
        "missing",
        asdict(
            SweepReport(
                finished=False,
                merchants=1,
                missing=7,
                failed=0,
                open_exceptions=9,
                oldest_exception_days=3,
            )
        ),
        "1 merchant swept, 7 transactions missing, 9 open exceptions; "
        "not finished, the next run continues",
    ),
    (
        "archive",
        ClosingReport(roots=1, segments=2, rows=1_500, last_number=2, complete=True).answer(),
        "1 root signed over 2 segments with 1,500 rows",
    ),
    ("proof", VerificationOutcome(Phase.ACCOUNTS, "run_1").answer(), "not finished, at accounts"),
    ("proof", VerificationOutcome(Phase.ACCOUNTS, "run_1", busy=True).answer(), "another run is"),
    ("proof", proved(), f"the ledger balances as of {AT}"),
    ("proof", proved(CheckName.CONSERVATION), "THE LEDGER DOES NOT BALANCE: conservation."),
    (
        "canary",
        {"run": "canary-1", "payment_id": "pay_1", "milliseconds": 80},
        "pay_1 paid and refunded; the first answer took 80 ms",
    ),
    (
        "canary",
        {"run": "canary-1", "payment_id": None, "milliseconds": 80},
        "read; the first answer took 80 ms",
    ),
    ("canary", {"run": "canary-1", "failed": "no key"}, "FAILED: no key"),
    ("canary", {"run": "canary-1", "skipped": "it is late"}, "skipped, because it is late"),
    ("rotation", swept(0), "4 of 10 rows re-encrypted"),
    ("rotation", swept(1), '4 of 10 rows re-encrypted, 2 FAILED: make logs ARGS="rotation"'),
]


@pytest.mark.parametrize(("schedule", "report", "words"), REPORTS)
def test_a_report_is_described_in_words(schedule: str, report: Any, words: str) -> None:
    as_sent = json.loads(json.dumps(report))
    said = sentence(schedule, as_sent, 0.44)
    assert said.startswith(f"{schedule}: {words}")
    assert said.endswith(" (0.4 s)")
    assert "{" not in said


def test_every_schedule_has_a_description_and_a_test_of_it() -> None:
    assert set(WORDS) == {*MINUTES, "canary"} == {schedule for schedule, _, _ in REPORTS}


def test_a_schedule_without_a_description_is_reported_as_done() -> None:
    assert sentence("spring-cleaning", {"rooms": 3}, 1.0) == "spring-cleaning: done (1.0 s)"


def test_the_command_prints_the_description(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = json.dumps(asdict(ResolverReport(3, 3, 0, 0, 0, 0, 0, False))).encode()
    answer = {"Payload": SimpleNamespace(read=lambda: payload)}
    functions = SimpleNamespace(invoke=lambda **_: answer)
    monkeypatch.setattr("local.schedules.Clients", lambda _: SimpleNamespace(functions=functions))
    any_stack(schedules={"resolver": Schedule(function="resolver-1", event={})}).write(
        tmp_path / "stack.json"
    )
    assert main(["--state-dir", str(tmp_path), "tick", "resolver"]) == 0
    assert "resolver: 3 payments resolved, 0 still unknown (0." in capsys.readouterr().err
