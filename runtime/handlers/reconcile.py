"""Settlement files from the queue: one object of the bucket, or the continuation of one."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.reconcile import reconcile_services
from runtime.gateways.settlement_files import FileVersion
from runtime.observability import logger
from runtime.services.reconciliation.file_run import reconcile_file

_processor = BatchProcessor(event_type=EventType.SQS)


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Reconcile each file of the batch; what fails returns to the queue, and at last to its DLQ."""
    reconcile_services().begin(context)
    return process_partial_response(
        event=event, record_handler=_reconcile, processor=_processor, context=context
    )


def _reconcile(record: SQSRecord) -> None:
    message = json.loads(record.body)
    uploaded = message["detail"]["object"]
    file = FileVersion(uploaded["key"], uploaded.get("version-id"))
    desk = reconcile_services().desk
    report = reconcile_file(file, record.message_id, desk)
    logger.info(
        "reconciled", settlement=report.settlement_id, status=report.status, lines=report.lines
    )
    if not report.finished:
        desk.files.ask_to_continue(record.body)
