"""Work without a caller: settlement files, and schedules that concern payments and data keys."""

from __future__ import annotations

from typing import Final, Unpack

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from runtime.reconciliation.files.models import CONVERTED_PREFIX, REJECTED_PREFIX
from runtime.settings import ReconcileSettings
from stacks.base_stack import FunctionsStack, FunctionsStackProps
from stacks.constructs.canary_watch import watch_canary
from stacks.constructs.queues import CONSUMER_ACTIONS, WorkQueue, feed_from_queue
from stacks.constructs.service_function import FunctionSpec, ServiceFunction
from stacks.dead_letters import SETTLEMENT_FILES, dead_letter_queue
from stacks.environment import settings_for
from stacks.iam.statements import queue_statements, through_service
from stacks.scheduled_workers import PAYMENTS, canary

WRITTEN_PREFIXES: Final = (CONVERTED_PREFIX, REJECTED_PREFIX)
"""Where reconcile itself puts objects."""
RECONCILE_TIMEOUT_SECONDS: Final = 300
RECONCILE_MEMORY_MB: Final = 1769
"""One whole virtual processor (Lambda Developer Guide): matching is work of the processor."""
DELIVERY_ATTEMPTS: Final = 24
OLDEST_DELIVERED_HOURS: Final = 24


class WorkersStack(FunctionsStack):
    """Reconcile, which is fed by a queue of settlement files, and the scheduled workers."""

    def __init__(
        self, scope: Construct, construct_id: str, **props: Unpack[FunctionsStackProps]
    ) -> None:
        super().__init__(scope, construct_id, **props)
        canaries = self._scheduled(canary(self, self._stage))
        for function in canaries.values():
            watch_canary(function, stage=self._stage, alarms=self._alarms)
        functions = {"reconcile": self._reconciler(), **self._scheduled(PAYMENTS), **canaries}
        self._write_outputs(functions)

    def _reconciler(self) -> ServiceFunction:
        """Bucket → EventBridge → queue → reconcile; what fails five times waits in dead letters.

        Every object is announced, so that a file in a wrong place is seen and rejected too. A file
        is worked in chunks, whose messages the function puts into the same queue.
        """
        self.files = files = WorkQueue(
            self,
            "SettlementFiles",
            key=self._key,
            alarms=self._alarms,
            consumer_timeout_seconds=RECONCILE_TIMEOUT_SECONDS,
            dead_letters=dead_letter_queue(self._stage.name, SETTLEMENT_FILES),
        )
        arrived = events.Rule(
            self,
            "FileArrived",
            description="An object was put into the settlement bucket",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={"bucket": {"name": [self._data.settlement_bucket.bucket_name]}},
            ),
            targets=[
                targets.SqsQueue(
                    files.queue,
                    dead_letter_queue=files.dead_letters,
                    max_event_age=Duration.hours(OLDEST_DELIVERED_HOURS),
                    retry_attempts=DELIVERY_ATTEMPTS,
                )
            ],
        )
        self._alarms.undelivered(arrived, rule=arrived)
        reconcile = self._function("Reconcile", self._reconcile(files))
        feed_from_queue(
            self,
            "FileToReconcile",
            queue=files.queue,
            target=reconcile.live,
            batch_size=1,
            max_concurrency=self._stage.concurrency.reconcile,
        )
        return reconcile

    def _reconcile(self, files: WorkQueue) -> FunctionSpec:
        data, key_arn = self._data, self._key.key_arn
        return FunctionSpec(
            module="reconcile",
            description="Matches settlement files with transactions",
            settings=settings_for(
                ReconcileSettings,
                stage=self._stage,
                tables=data.tables,
                service="reconcile",
                settlement_bucket=data.settlement_bucket.bucket_name,
                settlement_queue_url=files.queue.queue_url,
            ),
            statements=[
                *self._settlement_objects(),
                *queue_statements(
                    "FileQueue",
                    files.queue.queue_arn,
                    key_arn,
                    *CONSUMER_ACTIONS,
                    "SendMessage",
                ),
            ],
            wildcard_resources={
                f"{data.settlement_bucket_export}/*": "Whoever sends a file names it.",
                **{
                    f"{data.settlement_bucket_export}/{prefix}*": (
                        "Objects are named by their files; only the prefix is ours."
                    )
                    for prefix in WRITTEN_PREFIXES
                },
            },
            no_dead_letter_queue="Fed by a queue, whose own redrive policy keeps what failed.",
            sends_to_itself=True,
            memory_mb=RECONCILE_MEMORY_MB,
            timeout_seconds=RECONCILE_TIMEOUT_SECONDS,
        )

    def _settlement_objects(self) -> list[iam.PolicyStatement]:
        """Read every object; write what was converted or rejected; delete what was moved away."""
        bucket = self._data.settlement_bucket_arn
        return [
            iam.PolicyStatement(
                sid="Files",
                actions=[
                    "s3:DeleteObjectVersion",
                    "s3:GetObject",
                    "s3:GetObjectVersion",
                ],
                resources=[f"{bucket}/*"],
            ),
            iam.PolicyStatement(
                sid="WrittenFiles",
                actions=["s3:PutObject"],
                resources=[f"{bucket}/{prefix}*" for prefix in WRITTEN_PREFIXES],
            ),
            # Rejected files are copied as a whole; only conversions are uploaded in parts.
            iam.PolicyStatement(
                sid="CutOffConversions",
                actions=["s3:AbortMultipartUpload"],
                resources=[f"{bucket}/{CONVERTED_PREFIX}*"],
            ),
            # Without it S3 answers 403 for an object that is gone, as for one that is not ours.
            iam.PolicyStatement(sid="Bucket", actions=["s3:ListBucket"], resources=[bucket]),
            through_service(self._key.key_arn, "s3", ("kms:Decrypt", "kms:GenerateDataKey")),
        ]
