"""Settlement files from the queue: an object of the bucket, a chunk of a file, or its closing."""

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

from runtime.bootstrap.reconcile import reconcile_services
from runtime.services.reconciliation.messages import handle_message

_processor = BatchProcessor(event_type=EventType.SQS)


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Do what each message asks for; what fails returns to the queue, and at last to its DLQ."""
    reconcile_services().begin(context)
    return process_partial_response(
        event=event, record_handler=_reconcile, processor=_processor, context=context
    )


def _reconcile(record: SQSRecord) -> None:
    handle_message(record.body, record.message_id, reconcile_services().reconciliation)
