"""Settlement queue: each message is a new file, a chunk of a file, or the end of a file."""

from __future__ import annotations

import os
from functools import cache, partial

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.alerts.repository import AlertRepository
from runtime.core.outside import Outside
from runtime.functions.composition.environments import Event, per_environment
from runtime.functions.composition.services import FunctionServices
from runtime.reconciliation.dependencies import ReconciliationDependencies
from runtime.reconciliation.files.bucket import SettlementObjects
from runtime.reconciliation.files.chunks_repository import SettlementChunkRepository
from runtime.reconciliation.files.queue import SettlementQueue
from runtime.reconciliation.matching.batch import BatchDependencies, record_batch
from runtime.reconciliation.messages import handle_message
from runtime.settings import ReconcileSettings


class ReconcileServices(FunctionServices):
    """Dependencies of functions/reconcile.py."""

    def __init__(self, settings: ReconcileSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        self.reconciliation = ReconciliationDependencies(
            objects=SettlementObjects(self.outside.aws.s3(), settings.settlement_bucket),
            queue=SettlementQueue(self.outside.aws.sqs(), settings.settlement_queue_url),
            chunks=SettlementChunkRepository(self.store),
            merchants=self.profiles_for(0),
            alerts=AlertRepository(self.store),
            record=partial(record_batch, dependencies=BatchDependencies(self.store, self.outside)),
            outside=self.outside,
            must_stop=self.stop_before_timeout(settings.stop_before_timeout_seconds),
        )


@cache
def reconcile_services() -> ReconcileServices:
    """Build the services from the environment, once."""
    return ReconcileServices(ReconcileSettings.from_environment(os.environ))


def reconcile(
    event: Event, context: LambdaContext, services: ReconcileServices
) -> PartialItemFailureResponse:
    """Process the messages; SQS redelivers failed ones, and finally moves them to the DLQ."""
    return process_partial_response(
        event=event,
        record_handler=partial(_reconcile, services),
        processor=BatchProcessor(event_type=EventType.SQS),
        context=context,
    )


def _reconcile(services: ReconcileServices, record: SQSRecord) -> None:
    handle_message(record.body, services.run_id, services.reconciliation)


handler_for = per_environment(reconcile)
handler = handler_for(reconcile_services)
