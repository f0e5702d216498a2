"""Settlement files from the queue: an object of the bucket, a chunk of a file, or its closing."""

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

from runtime.bootstrap.reconcile import ReconcileServices, reconcile_services
from runtime.handlers.environments import Event, per_environment
from runtime.services.reconciliation.messages import handle_message


def reconcile(
    event: Event, context: LambdaContext, services: ReconcileServices
) -> PartialItemFailureResponse:
    """Do what each message asks for; what fails returns to the queue, and at last to its DLQ."""
    return process_partial_response(
        event=event,
        record_handler=partial(_reconcile, services),
        processor=BatchProcessor(event_type=EventType.SQS),
        context=context,
    )


def _reconcile(services: ReconcileServices, record: SQSRecord) -> None:
    handle_message(record.body, record.message_id, services.reconciliation)


handler_for = per_environment(reconcile)
handler = handler_for(reconcile_services)
