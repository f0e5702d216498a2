"""The queue of exports: each message is one turn of one export."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.export import export_services
from runtime.gateways.export_queue import ExportOrder
from runtime.services.exports.writing import write_export

_processor = BatchProcessor(event_type=EventType.SQS)


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Write exports; what fails returns to the queue, and at last to its dead letters."""
    export_services().begin(context)
    return process_partial_response(
        event=event, record_handler=_write, processor=_processor, context=context
    )


def _write(record: SQSRecord) -> None:
    order = ExportOrder.model_validate_json(record.body)
    services = export_services()
    turn = write_export(order.id, record.message_id, services.dependencies)
    if turn.next_in_seconds is not None:
        services.queue.send(order, turn.next_in_seconds)
