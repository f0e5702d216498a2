"""`make proof`: verify the ledger of the local stage from here, and show progress.

The same services as in the scheduled function, with that function's own settings.
"""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import TaskID
from rich.table import Column, Table

from local.deploy import up
from local.emulator.aws import Clients
from local.emulator.ports import parse_port
from local.errors import LocalError
from local.progress import Progress
from local.stackfile import Stack
from local.workspace import Workspace
from runtime.audit.archive.bucket import AuditArchive
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from runtime.functions.composition.real_outside import real_outside
from runtime.settings import VerifyLedgerSettings
from runtime.verification.accounts.checkpoints import Checkpoints
from runtime.verification.books_repository import VerificationReads
from runtime.verification.changes.feed import ArchiveFeed
from runtime.verification.repository import VerificationRepository
from runtime.verification.rules import LedgerVerificationReport, RunKind
from runtime.verification.run import VerificationOutcome, verify_ledger
from runtime.verification.segments import LedgerVerificationDependencies, Phase

PATIENT_SECONDS: Final = 60.0
"""How long one call may be retried while the tables are busy."""
TABLE_OF: Final = {
    Phase.ACCOUNTS: "accounts",
    Phase.TRANSFERS: "transfers",
    Phase.DRILL_TRANSFERS: "transfers",
    Phase.DRILL_ENTRIES: "accounts",
    Phase.DRILL_HELD: "accounts",
    Phase.DRILL_HOLDS: "transfers",
    Phase.PAYMENTS: "payments",
    Phase.DRILL_PAYMENTS: "payments",
    Phase.DRILL_POSTINGS: "transfers",
    Phase.SETTLEMENT_LINES: "settlement_lines",
    Phase.DRILL_SETTLEMENTS: "transfers",
    Phase.DRILL_LINES: "settlement_lines",
    Phase.DRILL_SETTLED: "payments",
}


class LedgerDoesNotBalance(LocalError):
    """A check of ledger verification has violations."""


def run_ledger_verification(
    workspace: Workspace, progress: Progress, *, kind: RunKind, restart: bool
) -> None:
    """Verify the ledger, all of it or what changed, and print the result.

    Raises:
        LedgerDoesNotBalance: a check has violations.
        LocalError: another run is in progress.
    """
    port = os.environ.get("PORT") or None
    stack = up(workspace, None if port is None else parse_port(port), progress)
    clients = Clients(stack.aws_endpoint_url)
    settings = _settings(stack, clients)
    store = Store(
        clients.dynamodb,
        settings.tables,
        Codec(NoCipher()),
        lambda: PATIENT_SECONDS,
        real_outside(),
    )
    deps = LedgerVerificationDependencies(
        verifications=VerificationRepository(store),
        books=VerificationReads(store),
        changes=ArchiveFeed(AuditArchive(clients.files, settings.audit_bucket)),
        checkpoints=Checkpoints(store),
        outside=store.outside,
        must_stop=lambda: False,
        cut=timedelta(seconds=settings.cut_seconds),
        full_every=timedelta(days=settings.full_days),
        grace_seconds=settings.patience_seconds,
    )
    outcome = _watched(deps, settings, clients, progress, kind=kind, restart=restart)
    if outcome.report is None:
        raise LocalError(
            "Another verification run is in progress.",
            hint='Wait for it, or discard it: make proof ARGS="--restart"',
        )
    _print(outcome.report)


def _settings(stack: Stack, clients: Clients) -> VerifyLedgerSettings:
    name = stack.functions["proof"]
    configuration = clients.functions.get_function_configuration(FunctionName=name)
    return VerifyLedgerSettings.from_environment(configuration["Environment"]["Variables"])


def _watched(
    deps: LedgerVerificationDependencies,
    settings: VerifyLedgerSettings,
    clients: Clients,
    progress: Progress,
    *,
    kind: RunKind,
    restart: bool,
) -> VerificationOutcome:
    """Verify with a bar per phase; DynamoDB counts a table's rows only now and then."""
    tasks: dict[Phase, TaskID] = {}
    lock = threading.Lock()
    with progress.rows() as bars:

        def expected(phase: Phase) -> int | None:
            if kind is RunKind.INCREMENTAL:
                return None
            table = settings.tables[TABLE_OF[phase]]
            about: int = clients.dynamodb.describe_table(TableName=table)["Table"]["ItemCount"]
            return about or None

        def counted(phase: Phase, rows: int) -> None:
            with lock:
                if phase not in tasks:
                    title = phase.value.replace("_", " ")
                    tasks[phase] = bars.add_task(title, total=expected(phase))
                bars.advance(tasks[phase], rows)

        outcome = verify_ledger(replace(deps, progress=counted), kind=kind, restart=restart)
        for task in tasks.values():
            bars.update(task, total=bars.tasks[task].completed)
    return outcome


def _print(report: LedgerVerificationReport) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table("check", Column("counted", justify="right"), "holds", box=SIMPLE)
    for check in report.checks:
        holds = "[green]yes[/]" if check.holds else f"[red]no: {check.violated}[/]"
        table.add_row(check.name.value, str(check.counted), holds)
    read = "everything" if report.since is None else f"what changed since {report.since}"
    console.print(f"Ledger as of {report.as_of}, run {report.run_id}: {read}")
    console.print(table)
    for check in report.checks:
        for violation in check.violations:
            console.print(
                f"  {check.name.value}: {violation.id}: expected {violation.expected}, "
                f"found {violation.found}"
            )
    if not report.holds:
        raise LedgerDoesNotBalance(
            "The ledger does not balance.",
            hint='What each violation means: docs/operations.md, "Ledger verification".',
        )
