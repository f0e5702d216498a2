"""What writes exports: the function behind the queue of export jobs."""

from __future__ import annotations

from typing import Final, Unpack

from aws_cdk import aws_iam as iam
from constructs import Construct

from runtime.reporting.exports.models import EXPORT_GIVEN_UP, EXPORT_PREFIX
from runtime.settings import ExportSettings
from stacks.base_stack import FunctionsStack, FunctionsStackProps
from stacks.constructs.queues import CONSUMER_ACTIONS, feed_from_queue
from stacks.constructs.service_function import FunctionSpec, ServiceFunction
from stacks.data import EXPORT_TIMEOUT_SECONDS
from stacks.environment import settings_for
from stacks.iam.statements import queue_statements, through_service
from stacks.own_metrics import OwnMetric
from stacks.runbooks import Runbook

EXPORT_MEMORY_MB: Final = 1769
"""One whole virtual processor (Lambda Developer Guide): rows become text there."""


class ExportsStack(FunctionsStack):
    """Export (queue → files). Its role reads tables that no secret and no personal field is in."""

    def __init__(
        self, scope: Construct, construct_id: str, **props: Unpack[FunctionsStackProps]
    ) -> None:
        super().__init__(scope, construct_id, **props)
        self.export = self._worker()
        self._write_outputs({"export": self.export})

    def _worker(self) -> ServiceFunction:
        """Queue → export; what fails five times waits in the queue's dead letters."""
        export = self._function("Export", self._export())
        feed_from_queue(
            self,
            "JobToExport",
            queue=self._data.export_jobs.queue,
            target=export.live,
            batch_size=1,
            max_concurrency=self._stage.concurrency.export,
        )
        self._alarms.log_line(
            self,
            "ExportGivenUp",
            log_group=export.log_group,
            messages=(EXPORT_GIVEN_UP,),
            metric=OwnMetric.EXPORTS_GIVEN_UP,
            description="An export failed: several attempts made no progress; see the log.",
            runbook=Runbook.EXPORT_FAILED,
        )
        return export

    def _export(self) -> FunctionSpec:
        data, key_arn = self._data, self._key.key_arn
        return FunctionSpec(
            module="export",
            description="Writes exports of lists and of the ledger",
            settings=settings_for(
                ExportSettings,
                stage=self._stage,
                tables=data.tables,
                service="export",
                export_bucket=data.export_bucket.bucket_name,
                export_queue_url=data.export_jobs.queue.queue_url,
                settle_seconds=self._stage.proof_patience_seconds,
            ),
            statements=[
                iam.PolicyStatement(
                    sid="Files",
                    actions=["s3:GetObject", "s3:PutObject"],
                    resources=[f"{data.export_bucket_arn}/{EXPORT_PREFIX}*"],
                ),
                # Parts of an upload are encrypted with the object's data key, decrypted for
                # each of them (S3 User Guide, "Multipart upload API and permissions").
                through_service(key_arn, "s3", ("kms:Decrypt", "kms:GenerateDataKey")),
                *queue_statements(
                    "Jobs",
                    data.export_jobs.queue.queue_arn,
                    key_arn,
                    *CONSUMER_ACTIONS,
                    "SendMessage",
                ),
            ],
            wildcard_resources={
                f"{data.export_bucket_export}/{EXPORT_PREFIX}*": (
                    "Each export has names of its own; only the prefix is ours."
                )
            },
            no_dead_letter_queue="Fed by a queue, whose own redrive policy keeps what failed.",
            sends_to_itself=True,
            memory_mb=EXPORT_MEMORY_MB,
            timeout_seconds=EXPORT_TIMEOUT_SECONDS,
        )
