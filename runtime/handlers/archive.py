"""The audit log's archive: its stream (rows into segments), and its schedule (roots over them)."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.archive import ArchiveServices, archive_services
from runtime.handlers.environments import Event, per_environment
from runtime.observability import logger
from runtime.services.audit_archiving import archive_rows, close
from runtime.services.stream_records import StreamRecord, batch_answer


def archive(event: Event, context: LambdaContext, services: ArchiveServices) -> dict[str, Any]:
    """Archive a batch of records, or close what is archived.

    A batch answers with the first record that could not be done, as the projector does.
    """
    if "Records" in event:
        return _archive(event["Records"], services)
    answer = close(services.deps).answer()
    logger.info("closed", schedule=event.get("schedule"), **answer)
    return answer


def _archive(raw: list[dict[str, Any]], services: ArchiveServices) -> dict[str, Any]:
    records = [StreamRecord.of(each, services.names_by_table) for each in raw]
    return batch_answer(records, archive_rows(records, services.deps))


handler_for = per_environment(archive)
handler = handler_for(archive_services)
