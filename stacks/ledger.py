"""Work on the ledger outside requests: projections of the change streams, and schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Unpack

from constructs import Construct

from runtime.alerts.models import EVENT_SOURCE
from runtime.core.change_context import ENTRY_CONFLICT, OUT_OF_BAND, PARKED
from runtime.settings import ProjectSettings
from stacks.base_stack import FunctionsStack, FunctionsStackProps
from stacks.constructs.service_function import FunctionSpec, ServiceFunction
from stacks.constructs.stream_source import StreamSource
from stacks.environment import settings_for
from stacks.iam.statements import (
    data_key_statement,
    default_bus_statement,
    failed_batches_statements,
    queue_statements,
    through_service,
)
from stacks.own_metrics import OwnMetric
from stacks.runbooks import Runbook
from stacks.scheduled_workers import LEDGER

PROJECT_TIMEOUT_SECONDS: Final = 60
PROJECT_MEMORY_MB: Final = 1024
PROJECTED: Final[Mapping[str, Mapping[str, Any] | None]] = {
    "accounts": None,
    "alerts": {"eventName": ["INSERT"]},
    "customers": None,
    "exports": {"eventName": ["INSERT", "MODIFY"]},
    "merchants": None,
    "payments": None,
    "settlements": None,
    "transactions": None,
    "transfers": None,
}
"""Tables whose streams feed the projector (runtime/functions/composition/projector.py), and which
of their records do."""


class LedgerStack(FunctionsStack):
    """Project, which is fed by the change streams, and the scheduled workers."""

    def __init__(
        self, scope: Construct, construct_id: str, **props: Unpack[FunctionsStackProps]
    ) -> None:
        super().__init__(scope, construct_id, **props)
        self._write_outputs({"project": self._projector(), **self._scheduled(LEDGER)})

    def _projector(self) -> ServiceFunction:
        """Streams → project; what cannot be projected at all lies in the failed batches."""
        project, alarms = self._function("Project", self._project()), self._alarms
        for name, only in PROJECTED.items():
            table = self._data.tables[name]
            assert table.table.table_stream_arn is not None  # noqa: S101 - declared on the model
            StreamSource(
                self,
                f"{name.capitalize()}Stream",
                stream_arn=table.table.table_stream_arn,
                target=project.live,
                failed_batches=self._data.failed_batches_bucket,
                only=only,
                alarms=alarms,
                parallel_batches=self._stage.streams.parallel_batches_of(name),
                window_seconds=self._stage.stream_windows[name],
            )
        alarms.iterator_age(self, "StreamsLag", function=project.function)
        alarms.log_line(
            self,
            "OutOfBandChange",
            log_group=project.log_group,
            messages=(OUT_OF_BAND, ENTRY_CONFLICT, PARKED),
            metric=OwnMetric.CHANGED_OUT_OF_BAND,
            description="A row was changed out of band, or its record was parked; see the log.",
            runbook=Runbook.OUT_OF_BAND,
        )
        alarms.alerts(self, "SeriousAlerts", log_group=project.log_group)
        self._alarms.count_unreadable_fields(self, "ProjectUnreadable", log_group=project.log_group)
        return project

    def _project(self) -> FunctionSpec:
        data = self._data
        return FunctionSpec(
            module="project",
            description="Derives entries, audit rows, webhooks, totals, alerts from the streams",
            settings=settings_for(
                ProjectSettings,
                stage=self._stage,
                tables=data.tables,
                service="project",
                pii_key_arn=data.pii_key.key_arn,
                delivery_queue_url=data.deliveries.queue.queue_url,
                export_queue_url=data.export_jobs.queue.queue_url,
                failed_batches_bucket=data.failed_batches_bucket.bucket_name,
                large_transaction_minor=self._stage.alerts.large_transaction_minor,
                velocity_payments=self._stage.alerts.velocity_payments,
                webhook_deadline_seconds=self._stage.webhooks.deadline_seconds,
            ),
            statements=[
                *failed_batches_statements(data.failed_batches_bucket_arn),
                through_service(self._key.key_arn, "s3", ("kms:GenerateDataKey",)),
                data_key_statement(data.pii_key, "pii", "Decrypt", "GenerateDataKey"),
                default_bus_statement(EVENT_SOURCE),
                *queue_statements(
                    "Deliveries",
                    data.deliveries.queue.queue_arn,
                    self._key.key_arn,
                    "SendMessage",
                ),
                *queue_statements(
                    "ExportJobs",
                    data.export_jobs.queue.queue_arn,
                    self._key.key_arn,
                    "SendMessage",
                ),
            ],
            wildcard_resources={
                f"{data.failed_batches_export}/*": "Lambda names what it puts there.",
            },
            no_dead_letter_queue="Fed by streams, which have on-failure destinations.",
            memory_mb=PROJECT_MEMORY_MB,
            timeout_seconds=PROJECT_TIMEOUT_SECONDS,
        )
