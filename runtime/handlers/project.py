"""The tables' change streams: everything that is derived from them (services/projector.py)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.project import ProjectServices, project_services
from runtime.handlers.environments import Event, per_environment
from runtime.observability import logger
from runtime.services.stream_records import StreamRecord, batch_answer


def project(event: Event, context: LambdaContext, services: ProjectServices) -> dict[str, Any]:
    """Project a batch of records, and answer which of them come again."""
    records = [StreamRecord.of(each, services.names_by_table) for each in event["Records"]]
    failed = services.projector.apply(records)
    logger.info(
        "projected",
        records=dict(Counter(record.table for record in records)),
        failed=len(failed),
    )
    return batch_answer(records, failed)


handler_for = per_environment(project)
handler = handler_for(project_services)
