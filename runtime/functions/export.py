"""Export queue: each message is one turn of one export."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache, partial

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.core.outside import Outside
from runtime.functions.composition.environments import Event, per_environment
from runtime.functions.composition.services import FunctionServices
from runtime.reporting.exports.files import ExportFiles
from runtime.reporting.exports.jobs import Jobs
from runtime.reporting.exports.queue import ExportOrder, ExportQueue
from runtime.reporting.exports.repository import ExportRepository
from runtime.reporting.exports.sources.reads import ExportReads
from runtime.reporting.exports.writing import ExportDependencies, write_export
from runtime.settings import ExportSettings

PROFILES_REMEMBERED_SECONDS = 60


class ExportServices(FunctionServices):
    """Dependencies of functions/export.py."""

    def __init__(self, settings: ExportSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        self.queue = ExportQueue(self.outside.aws.sqs(), settings.export_queue_url)
        self.dependencies = ExportDependencies(
            jobs=Jobs(
                ExportRepository(self.store),
                self.outside,
                self.invocation.remaining_seconds,
            ),
            files=ExportFiles(self.outside.aws.s3(), settings.export_bucket),
            reads=ExportReads.on(
                self.store,
                self.profiles_for(PROFILES_REMEMBERED_SECONDS),
                timedelta(seconds=settings.intent_lease_seconds),
            ),
            margin_seconds=settings.stop_before_timeout_seconds,
            settle=timedelta(seconds=settings.settle_seconds),
        )


@cache
def export_services() -> ExportServices:
    """Build the services from the environment, once."""
    return ExportServices(ExportSettings.from_environment(os.environ))


def export(
    event: Event, context: LambdaContext, services: ExportServices
) -> PartialItemFailureResponse:
    """Write exports; SQS redelivers failed messages, and finally moves them to the DLQ."""
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
