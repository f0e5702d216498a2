"""`make verify-audit`: verify the audit log of a stage from here, and show progress.

It reads what an auditor can read: the audit log, the audited tables, the alerts, the
archive's bucket, and the public key of the roots.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import TaskID
from rich.table import Column, Table

from local.deploy import up
from local.emulator.ports import parse_port
from local.errors import LocalError
from local.progress import Progress
from local.workspace import Workspace
from operations.audit.archive_verification import ArchiveReader, Finding
from operations.audit.audited_tables import AuditedTables
from operations.audit.target import AuditTarget, deployed_target, local_target
from operations.audit.verification import (
    AuditVerificationDependencies,
    AuditVerificationReport,
    Phase,
    verify,
)
from operations.audit.verification_db import VerificationDatabase
from operations.stage_tables import require_no_restore
from runtime.alerts.repository import AlertRepository
from runtime.audit.archive.bucket import AuditArchive
from runtime.audit.repository import AuditRepository
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from runtime.functions.composition.real_outside import real_outside

PATIENT_SECONDS: Final = 60.0
"""How long one call may be retried while the tables are busy."""
LOOKED_AGAIN_SECONDS: Final = 30.0
"""How long recent suspects are checked again."""
GRACE: Final = timedelta(seconds=60)
"""A row that is older than this must be in the archive."""
SHOWN_FINDINGS: Final = 100
_TITLES: Final = {
    Phase.ARCHIVE: "archived rows",
    Phase.ENTITIES: "entities",
    Phase.ROWS: "audit rows",
    Phase.CHAINS: "chains followed",
}


class AuditDoesNotHold(LocalError):
    """The audit log has errors."""


def verify_audit(
    workspace: Workspace,
    progress: Progress,
    *,
    entity: str | None,
    stage: str | None,
    restored: str | None,
) -> None:
    """Verify the audit log, or one entity's part of it, and print what was found.

    `stage`: a stage in AWS; None means the local one. `restored`: the name of a restore of that
    stage, for the tables that it made.

    Raises:
        AuditDoesNotHold: there are errors; each finding was printed.
        LocalError: the stage is not deployed, or cannot be reached.
    """
    if stage is None:
        require_no_restore(restored)
        port = os.environ.get("PORT") or None
        stack = up(workspace, None if port is None else parse_port(port), progress)
        target = local_target(stack)
    else:
        target = deployed_target(stage, restored)
    report = verified(target, only=entity, progress=progress)
    print_report(report)
    if not report.holds:
        raise AuditDoesNotHold(
            f"The audit log is not valid (findings: {len(report.findings)}).",
            hint='What each means: docs/operations.md, "Alarm: the audit log was tampered with".',
        )


def verified(
    target: AuditTarget,
    *,
    only: str | None = None,
    progress: Progress | None = None,
    patience_seconds: float = LOOKED_AGAIN_SECONDS,
) -> AuditVerificationReport:
    """Verify a stage; a bar per phase on `progress`, if there is one."""
    store = Store(
        target.dynamodb,
        target.tables,
        Codec(NoCipher()),
        lambda: PATIENT_SECONDS,
        real_outside(),
    )
    key = target.keys.get_public_key(KeyId=target.settings.audit_key_arn)["PublicKey"]
    with tempfile.TemporaryDirectory() as directory, _Counters(progress) as advance:
        index = VerificationDatabase(Path(directory) / "verification.sqlite", real_outside().lock())
        reader = ArchiveReader(
            AuditArchive(target.files, target.settings.audit_bucket),
            index,
            key,
            store.outside.threads,
            lambda count: advance(Phase.ARCHIVE, count),
            only,
        )
        deps = AuditVerificationDependencies(
            audit=AuditRepository(store),
            alerts=AlertRepository(store),
            tables=AuditedTables(store),
            reader=reader,
            index=index,
            outside=store.outside,
            grace=GRACE,
            patience_seconds=patience_seconds,
            only=only,
            progress=advance,
        )
        try:
            return verify(deps)
        finally:
            index.close()


def print_report(report: AuditVerificationReport) -> None:
    """Figures, and every finding with its place."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table("looked at", Column("count", justify="right"), box=SIMPLE)
    for what, count in (
        ("audit rows", report.rows),
        ("chains", report.chains),
        ("entities", report.entities),
        ("segments of the archive", report.segments),
        ("rows in the archive", report.archived),
        ("signed roots", report.roots),
        ("chains with rows too recent for the archive", report.young),
    ):
        table.add_row(what, f"{count:,}")
    console.print(table)
    for finding in report.findings[:SHOWN_FINDINGS]:
        console.print(f"  {reported(finding)}", markup=False)
    if len(report.findings) > SHOWN_FINDINGS:
        console.print(f"  and {len(report.findings) - SHOWN_FINDINGS} more")
    if report.holds:
        console.print("Every chain is valid and agrees with the archive and its entity.")


def reported(finding: Finding) -> str:
    """A finding as a line."""
    place = f", position {finding.position}" if finding.position else ""
    row = f" (row {finding.sequence})" if finding.sequence else ""
    return f"{finding.subject}{place}{row}: {finding.reason}"


class _Counters:
    """A counter per phase; none without a `progress`."""

    def __init__(self, progress: Progress | None) -> None:
        self._bars = Bars(disable=True) if progress is None else progress.rows()
        self._tasks: dict[Phase, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Callable[[Phase, int], None]:
        self._bars.start()
        return self._advance

    def __exit__(self, *_: object) -> None:
        for task in self._tasks.values():
            self._bars.update(task, total=self._bars.tasks[task].completed)
        self._bars.stop()

    def _advance(self, phase: Phase, count: int) -> None:
        with self._lock:
            if phase not in self._tasks:
                self._tasks[phase] = self._bars.add_task(_TITLES[phase], total=None)
            self._bars.advance(self._tasks[phase], count)
