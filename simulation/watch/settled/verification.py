"""The platform's own verifications, run once more at rest: of the ledger and of the audit log.

Both must hold, but for what was edited by hand: that they must name, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Set
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from operations.audit.archive_verification import ArchiveReader
from operations.audit.audited_tables import AuditedTables
from operations.audit.verification import (
    AuditVerificationDependencies,
    AuditVerificationReport,
    verify,
)
from operations.audit.verification_db import VerificationDatabase
from runtime.alerts.repository import AlertRepository
from runtime.audit.archive.bucket import AuditArchive
from runtime.audit.repository import AuditRepository
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from simulation.dynamodb import InMemoryClient
from simulation.outside import outside_for
from simulation.platform.settings import AUDIT_BUCKET, AUDIT_KEY
from simulation.scheduler import Scheduler
from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.values import text

if TYPE_CHECKING:
    from simulation.platform.world import Platform

AUDITED: Final = frozenset(
    {
        *("accounts", "customers", "merchants", "payments"),
        *("settlements", "transactions", "transfers"),
    }
)
"""Tables whose changes the audit log has."""
OUT_OF_BAND: Final = "out_of_band"


def ledger_verification_faults(platform: Platform) -> Faults:
    """What the ledger's verification, which began at rest, finds beyond the edits made by hand."""
    edited = {edit.key[0] for edit in platform.watch.edits if not edit.is_of_words}
    report = platform.proof
    if not report.get("completed"):
        yield f"no verification of the ledger was completed: {report}"
        return
    for check in report["checks"]:
        for named in check["violations"]:
            if not edited & set(named["id"].split("#")):
                yield f"{check['name']}: {named}"
    if not report["holds"] and not edited:
        yield "the ledger's verification does not hold"
    yield from _kinds_that_differ(platform.proof_of_changes, report)


def _kinds_that_differ(incremental: dict[str, Any], full: dict[str, Any]) -> Faults:
    """Checks with violations that an incremental run, of the same state, found otherwise."""
    found = {each["name"]: each["violations"] for each in incremental.get("checks", ())}
    for check in full["checks"]:
        name, expected = check["name"], check["violations"]
        if sorted(found.get(name, ()), key=str) != sorted(expected, key=str):
            yield f"{name}: {expected} in full, and {found.get(name)} in what changed"


def audit_verification_faults(platform: Platform, rows: Rows) -> Faults:
    """What the audit log's verification finds, and edits without an alert."""
    watch = platform.watch
    forged = {edit.key[0] for edit in watch.edits if edit.table == "audit_log"}
    report = in_task(platform.scheduler, lambda: _audit_report(platform))
    named = {finding.subject for finding in report.findings}
    for finding in report.findings:
        if finding.subject not in forged:
            yield f"{finding.subject}: {finding.reason}"
    for entity in sorted(forged - named):
        yield f"the audit rows of {entity} were edited, and the verification says nothing"
    edited = {edit.key[0] for edit in watch.edits if edit.table in AUDITED}
    alerted = {
        text(item, "entity_id") for item in rows.of("alerts") if text(item, "type") == OUT_OF_BAND
    }
    for entity in sorted(edited - alerted):
        yield f"{entity} was edited by hand, without an alert"
    for entity in sorted(alerted - edited):
        yield f"{entity} counts as edited by hand, but was not edited"


def head_faults(platform: Platform, rows: Rows) -> Faults:
    """Each chain ends with the version of its entity, and has one row for each version.

    A balance shard has none: its entries record each version.
    """
    heads = platform.watch.rules.audit.heads
    edited: Set[str] = {edit.key[0] for edit in platform.watch.edits}
    for table in sorted(AUDITED):
        for item in rows.of(table):
            entity = text(item, "id")
            if entity.startswith("number#") or entity in edited:
                continue
            head, version = heads.get(entity), item["version"]["N"]
            if text(item, "shard") not in ("", "00"):
                if head is not None:
                    yield f"{entity} was changed by postings alone, and has audit rows: {head}"
            elif head is None:
                yield f"{entity} has no audit rows"
            elif (head.length, int(head.sequence.partition("#")[0])) != (int(version),) * 2:
                yield f"{entity} has version {version}, and its audit rows end with {head}"


def in_task(scheduler: Scheduler, work: Callable[[], Any]) -> Any:
    """What `work` returns, done as a task of the simulation so that it may wait."""
    task = scheduler.spawn(work, "verification")
    scheduler.run(until=lambda: task.done)
    return task.value


def _audit_report(platform: Platform) -> AuditVerificationReport:
    outside = outside_for(platform.scheduler, None, platform.aws.clients(None))
    client: Any = InMemoryClient(platform.database)
    store = Store(client, platform.tables, Codec(NoCipher()), lambda: 60.0, outside)
    with TemporaryDirectory() as directory:
        index = VerificationDatabase(Path(directory) / "index.sqlite", threading.Lock())
        reader = ArchiveReader(
            AuditArchive(outside.aws.s3(), AUDIT_BUCKET),
            index,
            _public_key(platform),
            outside.threads,
        )
        deps = AuditVerificationDependencies(
            audit=AuditRepository(store),
            alerts=AlertRepository(store),
            tables=AuditedTables(store),
            reader=reader,
            index=index,
            outside=outside,
            grace=timedelta(0),
            patience_seconds=5,
        )
        try:
            return verify(deps)
        finally:
            index.close()


def _public_key(platform: Platform) -> bytes:
    """What verifies the archive's roots, as KMS hands it out: DER."""
    key = load_pem_public_key(platform.aws.kms.public_key_pem(AUDIT_KEY).encode())
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
