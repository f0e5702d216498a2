"""A world whose changes are audited and archived, and its verification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from operations.audit.archive_verification import ArchiveReader, Finding
from operations.audit.audited_tables import AuditedTables
from operations.audit.verification import (
    AuditVerificationDependencies,
    AuditVerificationReport,
    Phase,
    verify,
)
from operations.audit.verification_db import VerificationDatabase
from runtime.alerts.repository import AlertRepository
from runtime.audit.archive.archiving import archive_rows, close
from runtime.audit.archive.bucket import AuditArchive
from runtime.audit.models import AuditRow
from runtime.audit.projection.rows import entity_of
from runtime.audit.repository import AuditRepository
from runtime.core.timestamps import to_timestamp
from runtime.ledger.accounts.models import Account, row_id
from runtime.streams.records import Kind, StreamRecord
from tests.support.audit.rows import audit_projection, chain_of, history, image_of
from tests.support.audit.stage import AuditStage
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform


@dataclass
class AuditHarness:
    """A world whose changes are audited and archived, and its verification."""

    platform: Platform
    stage: AuditStage
    directory: Path
    archived: int = 0

    def account(
        self, *steps: dict[str, Any], shard: str = "00", archive: bool = True, **more: Any
    ) -> Account:
        """An account with a row per step; the last step is the stored row."""
        now = self.platform.clock()
        first = Account(
            id=row_id(new_id("acc", now), shard),
            shard=shard,
            account_type="wallet",
            currency="USD",
            created_at=to_timestamp(now),
            updated_at=to_timestamp(now),
            **SETUP.stamp(),
            **more,
        )
        rows, records = history(self.platform, first, *steps)
        self.store(rows[-1])
        assert audit_projection(self.platform)(records) == frozenset()
        if archive:
            self.archive(self.chain(entity_of(image_of(self.platform, first))))
        last: Account = rows[-1]
        return last

    def store(self, row: Account) -> None:
        table = self.platform.tables["accounts"]
        self.platform.client.put_item(TableName=table, Item=image_of(self.platform, row))

    def chain(self, entity: str) -> list[AuditRow]:
        return chain_of(self.platform, entity)

    def archive(self, rows: list[AuditRow]) -> None:
        """Archive rows as from the audit log's stream."""
        records = []
        for row in rows:
            self.archived += 1
            moment = {"ApproximateCreationDateTime": self.platform.clock().timestamp()}
            item = self.platform.store.codec.to_item(row)
            number = f"{self.archived:021d}"
            raw = {"dynamodb": {"SequenceNumber": number, **moment}}
            records.append(StreamRecord("audit_log", Kind.INSERT, number, None, item, raw))
        assert archive_rows(records, self.stage.deps(self.platform)) == frozenset()

    def close(self) -> None:
        assert close(self.stage.deps(self.platform)).complete

    def verify(
        self,
        only: str | None = None,
        sleep: Callable[[float], None] = lambda _: None,
        grace: timedelta = timedelta(0),
        progress: Callable[[Phase, int], None] = lambda _phase, _count: None,
        archive: AuditArchive | None = None,
    ) -> AuditVerificationReport:
        """Verify; during its waits the clock advances, and `sleep` is called."""

        def wait(seconds: float) -> None:
            self.platform.clock.advance(seconds)
            sleep(seconds)

        file = self.directory / f"{new_id('idx', self.platform.clock())}.sqlite"
        index = VerificationDatabase(file, self.platform.outside.lock())
        outside = replace(self.platform.outside, sleep=wait)
        reader = ArchiveReader(
            archive or self.stage.archive,
            index,
            self.stage.public_key(),
            outside.threads,
            only=only,
        )
        deps = AuditVerificationDependencies(
            audit=AuditRepository(self.platform.store),
            alerts=AlertRepository(self.platform.store),
            tables=AuditedTables(self.platform.store),
            reader=reader,
            index=index,
            outside=outside,
            grace=grace,
            patience_seconds=5,
            only=only,
            progress=progress,
        )
        try:
            return verify(deps)
        finally:
            index.close()

    def found(self, only: str | None = None) -> list[tuple[str, int, str]]:
        """Subject, position and sequence of each finding."""
        return [(f.subject, f.position, f.sequence) for f in self.verify(only).findings]

    def only_finding(self) -> Finding:
        (finding,) = self.verify().findings
        return finding
