"""Behind the archive of the audit log."""

from __future__ import annotations

import os
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.gateways.audit_archive import AuditArchive, RootSigner
from runtime.repositories.alerts import AlertRepository
from runtime.services.audit_archiving import ArchiveDependencies
from runtime.settings import ArchiveSettings


class ArchiveServices(FunctionServices):
    """Behind handlers/archive.py."""

    def __init__(self, settings: ArchiveSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        margin = settings.stop_before_timeout_seconds
        self.deps = ArchiveDependencies(
            archive=AuditArchive(self.outside.aws.s3(), settings.audit_bucket),
            signer=RootSigner(self.kms, settings.audit_key_arn),
            alerts=AlertRepository(self.store),
            codec=self.store.codec,
            clock=self.outside.now,
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


@cache
def archive_services() -> ArchiveServices:
    """Built from the environment at the first event."""
    return ArchiveServices(ArchiveSettings.from_environment(os.environ))
