"""A world whose changes are audited and archived, and who verifies it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from runtime.domain.instants import to_instant
from runtime.gateways.audit_archive import AuditArchive
from runtime.gateways.verification_index import VerificationIndex
from runtime.models.account import Account
from runtime.models.audit import AuditRow
from runtime.repositories.alerts import AlertRepository
from runtime.repositories.audit import AuditRepository
from runtime.repositories.audited import AuditedTables
from runtime.services.archive_verification import ArchiveReader, Finding
from runtime.services.audit_archiving import archive_rows, close
from runtime.services.audit_rows import entity_of
from runtime.services.audit_verification import (
    Phase,
    VerificationDesk,
    VerificationReport,
    verify,
)
from runtime.services.stream_records import Kind, StreamRecord
from tests.support.audit_rows import audit_projection, chain_of, history, image_of
from tests.support.audit_stage import AuditStage
from tests.support.outside import new_id
from tests.support.world import SETUP, World


@dataclass
class Auditor:
    """A world whose changes are audited and archived, and who verifies it."""

    world: World
    stage: AuditStage
    directory: Path
    archived: int = 0

    def account(self, *steps: dict[str, Any], archive: bool = True, **more: Any) -> Account:
        """An account with a row per step, the last of which is how it stands in its table."""
        now = self.world.clock()
        first = Account(
            id=new_id("acc", now),
            account_type="wallet",
            currency="USD",
            created_at=to_instant(now),
            updated_at=to_instant(now),
            **SETUP.stamp(),
            **more,
        )
        rows, records = history(self.world, first, *steps)
        self.store(rows[-1])
        assert audit_projection(self.world)(records) == frozenset()
        if archive:
            self.archive(self.chain(entity_of(image_of(self.world, first))))
        last: Account = rows[-1]
        return last

    def store(self, row: Account) -> None:
        table = self.world.tables["accounts"]
        self.world.client.put_item(TableName=table, Item=image_of(self.world, row))

    def chain(self, entity: str) -> list[AuditRow]:
        return chain_of(self.world, entity)

    def archive(self, rows: list[AuditRow]) -> None:
        """As the stream of the audit log would have it archived."""
        records = []
        for row in rows:
            self.archived += 1
            moment = {"ApproximateCreationDateTime": self.world.clock().timestamp()}
            item = self.world.store.codec.to_item(row)
            number = f"{self.archived:021d}"
            raw = {"dynamodb": {"SequenceNumber": number, **moment}}
            records.append(StreamRecord("audit_log", Kind.INSERT, number, None, item, raw))
        assert archive_rows(records, self.stage.desk(self.world)) == frozenset()

    def close(self) -> None:
        assert close(self.stage.desk(self.world)).complete

    def verify(
        self,
        only: str | None = None,
        sleep: Callable[[float], None] = lambda _: None,
        grace: timedelta = timedelta(0),
        progress: Callable[[Phase, int], None] = lambda _phase, _count: None,
        archive: AuditArchive | None = None,
    ) -> VerificationReport:
        """Verify; while it waits, the clock goes on, and `sleep` says what happens meanwhile."""

        def wait(seconds: float) -> None:
            self.world.clock.advance(seconds)
            sleep(seconds)

        file = self.directory / f"{new_id('idx', self.world.clock())}.sqlite"
        index = VerificationIndex(file, self.world.outside.lock())
        outside = replace(self.world.outside, sleep=wait)
        reader = ArchiveReader(
            archive or self.stage.archive,
            index,
            self.stage.public_key(),
            outside.threads,
            only=only,
        )
        desk = VerificationDesk(
            audit=AuditRepository(self.world.store),
            alerts=AlertRepository(self.world.store),
            tables=AuditedTables(self.world.store),
            reader=reader,
            index=index,
            outside=outside,
            grace=grace,
            patience_seconds=5,
            only=only,
            progress=progress,
        )
        try:
            return verify(desk)
        finally:
            index.close()

    def found(self, only: str | None = None) -> list[tuple[str, int, str]]:
        """Subject, position and sequence of each finding."""
        return [(f.subject, f.position, f.sequence) for f in self.verify(only).findings]

    def only_finding(self) -> Finding:
        (finding,) = self.verify().findings
        return finding
