"""The audit archive: its stream writes segments of rows, its schedule signs roots over them."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.alerts.repository import AlertRepository
from runtime.audit.archive.archiving import ArchiveDependencies, archive_rows, close
from runtime.audit.archive.bucket import AuditArchive, RootSigner
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.functions.composition.environments import Event, per_environment, recorded
from runtime.functions.composition.services import FunctionServices
from runtime.settings import ArchiveSettings
from runtime.streams.records import StreamRecord, batch_answer


class ArchiveServices(FunctionServices):
    """Dependencies of functions/archive.py."""

    def __init__(self, settings: ArchiveSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        self.deps = ArchiveDependencies(
            archive=AuditArchive(self.outside.aws.s3(), settings.audit_bucket),
            signer=RootSigner(self.kms, settings.audit_key_arn),
            alerts=AlertRepository(self.store),
            codec=self.store.codec,
            clock=self.outside.now,
            must_stop=self.stop_before_timeout(settings.stop_before_timeout_seconds),
        )


@cache
def archive_services() -> ArchiveServices:
    """Build the services from the environment, once."""
    return ArchiveServices(ArchiveSettings.from_environment(os.environ))


def archive(event: Event, context: LambdaContext, services: ArchiveServices) -> dict[str, Any]:
    """Archive a batch of stream records, or sign roots on schedule.

    For a batch, returns the first failed record, like the projector.
    """
    if "Records" in event:
        return _archive(event, services)
    answer = close(services.deps).answer()
    logger.info("roots signed", schedule=event.get("schedule"), **answer)
    return answer


def _archive(event: Event, services: ArchiveServices) -> dict[str, Any]:
    records = [StreamRecord.of(each, services.names_by_table) for each in event["Records"]]
    failed = services.stream_progress.noted(
        event, records, lambda given: archive_rows(given, services.deps)
    )
    return batch_answer(records, failed)


handler_for = per_environment(recorded(archive))
handler = handler_for(archive_services)
