"""Behind the archive of the audit log."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.gateways import clients
from runtime.gateways.audit_archive import AuditArchive, RootSigner
from runtime.repositories.alerts import AlertRepository
from runtime.services.audit_archiving import ArchiveDesk
from runtime.settings import ArchiveSettings


class ArchiveServices(FunctionServices):
    """Behind handlers/archive.py."""

    def __init__(self, settings: ArchiveSettings) -> None:
        super().__init__(settings)
        margin = settings.stop_before_timeout_seconds
        self.desk = ArchiveDesk(
            archive=AuditArchive(clients.s3(), settings.audit_bucket),
            signer=RootSigner(self.kms, settings.audit_key_arn),
            alerts=AlertRepository(self.store),
            codec=self.store.codec,
            clock=lambda: datetime.now(UTC),
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


@cache
def archive_services() -> ArchiveServices:
    """Built from the environment at the first event."""
    return ArchiveServices(ArchiveSettings.from_environment(os.environ))
