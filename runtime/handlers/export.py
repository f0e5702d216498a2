"""The queue of exports: each message is one turn of one export."""

from __future__ import annotations

from functools import partial

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.export import ExportServices, export_services
from runtime.gateways.export_queue import ExportOrder
from runtime.handlers.environments import Event, per_environment
from runtime.services.exports.writing import write_export


def export(
    event: Event, context: LambdaContext, services: ExportServices
) -> PartialItemFailureResponse:
    """Write exports; what fails returns to the queue, and at last to its dead letters."""
    return process_partial_response(
        event=event,
        record_handler=partial(_write, services),
        processor=BatchProcessor(event_type=EventType.SQS),
        context=context,
    )


def _write(services: ExportServices, record: SQSRecord) -> None:
    order = ExportOrder.model_validate_json(record.body)
    turn = write_export(order.id, record.message_id, services.dependencies)
    if turn.next_in_seconds is not None:
        services.queue.send(order, turn.next_in_seconds)


handler_for = per_environment(export)
handler = handler_for(export_services)
