"""What keeps the books beside the requests: projections of the change streams, and schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Unpack

from aws_cdk import aws_iam as iam
from constructs import Construct

from runtime.alerts.models import EVENT_SOURCE
from runtime.core.change_context import ENTRY_CONFLICT, NOT_COMPACTED, OUT_OF_BAND, PARKED
from runtime.settings import HoldsSettings, ProjectSettings, TotalsSettings, VerifyLedgerSettings
from runtime.verification.models import LEDGER_VERIFICATION_FAILED
from stacks.base_stack import FunctionsStack, FunctionsStackProps
from stacks.constructs.alarms import (
    alerts_alarm,
    decryption_failure_alarm,
    iterator_age_alarm,
    log_alarm,
)
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

PROJECT_TIMEOUT_SECONDS: Final = 60
PROJECT_MEMORY_MB: Final = 1024
HOLDS_TIMEOUT_SECONDS: Final = 120
TOTALS_TIMEOUT_SECONDS: Final = 300
PROOF_TIMEOUT_SECONDS: Final = 900
"""Lambda's longest (Lambda quotas)."""
PROOF_MEMORY_MB: Final = 1769
"""One whole virtual processor (Lambda Developer Guide)."""
PROJECTED: Final[Mapping[str, Mapping[str, Any] | None]] = {
    "accounts": {
        # Rows that reserve account numbers are in the same table but are not accounts.
        "dynamodb": {"Keys": {"id": {"S": [{"anything-but": {"prefix": "number#"}}]}}}
    },
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
of their
records do."""


class LedgerStack(FunctionsStack):
    """Project (change streams), holds (expiry), totals (folding) and proof (of the books)."""

    def __init__(
        self, scope: Construct, construct_id: str, **props: Unpack[FunctionsStackProps]
    ) -> None:
        super().__init__(scope, construct_id, **props)
        self.functions: dict[str, ServiceFunction] = {"project": self._projector()}
        self.functions["holds"] = self._scheduled(
            "Holds", "holds", self._holds, self._stage.schedules.holds_minutes
        )
        self.functions["totals"] = self._scheduled(
            "Totals", "totals", self._totals, self._stage.schedules.totals_minutes
        )
        log_alarm(
            self,
            "NotFolded",
            log_group=self.functions["totals"].log_group,
            messages=(NOT_COMPACTED,),
            metric_name="TotalsNotFolded",
            description="Totals of closed days are not compacted; summaries read more rows.",
        )
        self.functions["proof"] = self._scheduled(
            "Proof", "proof", self._proof, self._stage.schedules.proof_minutes
        )
        log_alarm(
            self,
            "BooksContradict",
            log_group=self.functions["proof"].log_group,
            messages=(LEDGER_VERIFICATION_FAILED,),
            metric_name="LedgerVerificationFailed",
            description="Ledger verification failed; GET /v1/proof lists each violation.",
        )
        self._write_outputs(self.functions)

    def _projector(self) -> ServiceFunction:
        """Streams → project; what cannot be projected at all lies in the failed batches."""
        project = self._function("Project", self._project())
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
            )
        iterator_age_alarm(self, "StreamsLag", function=project.function)
        log_alarm(
            self,
            "OutOfBandChange",
            log_group=project.log_group,
            messages=(OUT_OF_BAND, ENTRY_CONFLICT, PARKED),
            metric_name="ChangedPastTheLedger",
            description="A row was changed out of band, or its record was parked; see the log.",
        )
        alerts_alarm(self, "Alerts", log_group=project.log_group)
        decryption_failure_alarm(self, "ProjectUnopenable", log_group=project.log_group)
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

    def _holds(self, dead_letter_rights: list[iam.PolicyStatement]) -> FunctionSpec:
        return FunctionSpec(
            module="expire_holds",
            description="Releases expired holds",
            settings=settings_for(
                HoldsSettings, stage=self._stage, tables=self._data.tables, service="holds"
            ),
            statements=dead_letter_rights,
            no_dead_letter_queue="Failed runs go to an on-failure destination, with their error.",
            timeout_seconds=HOLDS_TIMEOUT_SECONDS,
        )

    def _totals(self, dead_letter_rights: list[iam.PolicyStatement]) -> FunctionSpec:
        return FunctionSpec(
            module="compact_totals",
            description="Compacts the totals of closed days",
            settings=settings_for(
                TotalsSettings, stage=self._stage, tables=self._data.tables, service="totals"
            ),
            statements=dead_letter_rights,
            no_dead_letter_queue="Failed runs go to an on-failure destination, with their error.",
            timeout_seconds=TOTALS_TIMEOUT_SECONDS,
        )

    def _proof(self, dead_letter_rights: list[iam.PolicyStatement]) -> FunctionSpec:
        return FunctionSpec(
            module="verify_ledger",
            description="Verifies that the ledger balances; continues where the last run stopped",
            settings=settings_for(
                VerifyLedgerSettings,
                stage=self._stage,
                tables=self._data.tables,
                service="proof",
                cut_seconds=self._stage.proof_cut_seconds,
                patience_seconds=self._stage.proof_patience_seconds,
            ),
            statements=dead_letter_rights,
            no_dead_letter_queue="Failed runs go to an on-failure destination, with their error.",
            memory_mb=PROOF_MEMORY_MB,
            timeout_seconds=PROOF_TIMEOUT_SECONDS,
        )
