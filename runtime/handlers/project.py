"""The tables' change streams: everything that is derived from them (services/projector.py)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.project import project_services
from runtime.observability import logger
from runtime.services.stream_records import StreamRecord, batch_answer


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Project a batch of records, and answer which of them come again."""
    services = project_services()
    services.begin(context)
    records = [StreamRecord.of(each, services.names_by_table) for each in event["Records"]]
    failed = services.projector.apply(records)
    logger.info(
        "projected",
        records=dict(Counter(record.table for record in records)),
        failed=len(failed),
    )
    return batch_answer(records, failed)
