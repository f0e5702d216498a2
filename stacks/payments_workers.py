"""What runs without a caller: settlement files, payments whose request died, new keys for old."""

from __future__ import annotations

from typing import Final, Unpack

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from runtime.core.change_context import (
    MISSING_UNFINISHED,
    NOT_VOIDED,
    POLL_UNFINISHED,
    UNKNOWN_TOO_OLD,
)
from runtime.reconciliation.files.models import CONVERTED_PREFIX, REJECTED_PREFIX
from runtime.settings import (
    MissingSettings,
    PollSettings,
    ReconcileSettings,
    ResolverSettings,
    RotationSettings,
)
from stacks.base_stack import FunctionsStack, FunctionsStackProps
from stacks.constructs.alarms import decryption_failure_alarm, log_alarm
from stacks.constructs.queues import CONSUMER_ACTIONS, WorkQueue, feed_from_queue
from stacks.constructs.service_function import FunctionSpec, ServiceFunction
from stacks.environment import settings_for
from stacks.iam.statements import data_key_statement, queue_statements, through_service
from stacks.stage import StageConfig

WRITTEN_PREFIXES: Final = (CONVERTED_PREFIX, REJECTED_PREFIX)
"""Where reconcile itself puts objects."""
RECONCILE_TIMEOUT_SECONDS: Final = 300
RECONCILE_MEMORY_MB: Final = 1769
"""One whole virtual processor (Lambda Developer Guide): matching is work of the processor."""
RESOLVER_TIMEOUT_SECONDS: Final = 120
RESOLVER_MEMORY_MB: Final = 1769
"""One whole virtual processor: each payment costs some 9 ms of it, and many come at once."""
SHORTEST_BEGIN_SECONDS: Final = 20
"""A run begins things for so long, though what it has begun may then still go on in the next."""
POLL_TIMEOUT_SECONDS: Final = 900
MISSING_TIMEOUT_SECONDS: Final = 900
ROTATION_TIMEOUT_SECONDS: Final = 900
"""Lambda's longest (Lambda quotas)."""
DELIVERY_ATTEMPTS: Final = 24
OLDEST_DELIVERED_HOURS: Final = 24


class WorkersStack(FunctionsStack):
    """Reconcile and missing (settlement files), resolver (payments), rotation (of keys), poll."""

    def __init__(
        self, scope: Construct, construct_id: str, **props: Unpack[FunctionsStackProps]
    ) -> None:
        super().__init__(scope, construct_id, **props)
        self.reconcile = self._settlement_files()
        minutes = self._stage.schedules
        self.resolver = self._scheduled(
            "Resolver", "resolver", self._resolver, minutes.resolver_minutes
        )
        log_alarm(
            self,
            "UnknownTooOld",
            log_group=self.resolver.log_group,
            messages=(UNKNOWN_TOO_OLD, NOT_VOIDED),
            metric_name="UnknownTooOld",
            description="A processor does not report an outcome, or refuses a void.",
        )
        decryption_failure_alarm(self, "ResolverUnopenable", log_group=self.resolver.log_group)
        self.rotation = self._scheduled(
            "Rotation", "rotation", self._rotation, minutes.rotation_minutes
        )
        decryption_failure_alarm(self, "RotationUnopenable", log_group=self.rotation.log_group)
        self.poll = self._polled(minutes.poll_minutes)
        self.missing = self._swept(minutes.missing_minutes)
        self._write_outputs(
            {
                "reconcile": self.reconcile,
                "missing": self.missing,
                "resolver": self.resolver,
                "rotation": self.rotation,
                "poll": self.poll,
            }
        )

    def _polled(self, minutes: int) -> ServiceFunction:
        function = self._scheduled("Poll", "poll", self._poll, minutes)
        log_alarm(
            self,
            "PollUnfinished",
            log_group=function.log_group,
            messages=(POLL_UNFINISHED,),
            metric_name="PollUnfinished",
            description="One run of the poll does not reach all merchants: schedule it more often.",
        )
        decryption_failure_alarm(self, "PollUnopenable", log_group=function.log_group)
        return function

    def _swept(self, minutes: int) -> ServiceFunction:
        function = self._scheduled("Missing", "missing", self._missing, minutes)
        log_alarm(
            self,
            "MissingUnfinished",
            log_group=function.log_group,
            messages=(MISSING_UNFINISHED,),
            metric_name="MissingUnfinished",
            description="One run of the sweep for missing transactions does not reach all merchants"
            ": schedule it more often.",
        )
        return function

    def _settlement_files(self) -> ServiceFunction:
        """Bucket → EventBridge → queue → reconcile; what fails five times waits in dead letters.

        Every object is announced, so that a file in a wrong place is seen and rejected too. A file
        is worked in chunks, whose messages the function puts into the same queue.
        """
        files = WorkQueue(
            self,
            "SettlementFiles",
            key=self._key,
            consumer_timeout_seconds=RECONCILE_TIMEOUT_SECONDS,
        )
        events.Rule(
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
                actions=["s3:AbortMultipartUpload", "s3:PutObject"],
                resources=[f"{bucket}/{prefix}*" for prefix in WRITTEN_PREFIXES],
            ),
            # Without it S3 answers 403 for an object that is gone, as for one that is not ours.
            iam.PolicyStatement(sid="Bucket", actions=["s3:ListBucket"], resources=[bucket]),
            through_service(self._key.key_arn, "s3", ("kms:Decrypt", "kms:GenerateDataKey")),
        ]

    def _resolver(self, dead_letter_rights: list[iam.PolicyStatement]) -> FunctionSpec:
        data = self._data
        return FunctionSpec(
            module="resolve",
            description="Finishes payments whose request crashed or whose outcome is unknown",
            settings=settings_for(
                ResolverSettings,
                stage=self._stage,
                tables=data.tables,
                service="resolver",
                pii_key_arn=data.pii_key.key_arn,
                workers=self._stage.resolver.workers,
                workers_per_merchant=self._stage.resolver.workers_per_merchant,
                begin_seconds=_begin_seconds(self._stage),
            ),
            statements=[
                data_key_statement(data.pii_key, "pii", "Decrypt", "GenerateDataKey"),
                *dead_letter_rights,
            ],
            no_dead_letter_queue="Failed runs go to an on-failure destination, with their error.",
            memory_mb=RESOLVER_MEMORY_MB,
            timeout_seconds=RESOLVER_TIMEOUT_SECONDS,
        )

    def _poll(self, dead_letter_rights: list[iam.PolicyStatement]) -> FunctionSpec:
        data = self._data
        return FunctionSpec(
            module="poll_processors",
            description="Polls processors for disputes and failed refunds without a notification",
            settings=settings_for(
                PollSettings,
                stage=self._stage,
                tables=data.tables,
                service="poll",
                pii_key_arn=data.pii_key.key_arn,
                poll_days=self._stage.processor_events.poll_days,
            ),
            statements=[
                data_key_statement(data.pii_key, "pii", "Decrypt", "GenerateDataKey"),
                *dead_letter_rights,
            ],
            no_dead_letter_queue="Failed runs go to an on-failure destination, with their error.",
            timeout_seconds=POLL_TIMEOUT_SECONDS,
        )

    def _missing(self, dead_letter_rights: list[iam.PolicyStatement]) -> FunctionSpec:
        return FunctionSpec(
            module="find_unsettled",
            description="Finds transactions that no settlement file has named in time",
            settings=settings_for(
                MissingSettings, stage=self._stage, tables=self._data.tables, service="missing"
            ),
            statements=dead_letter_rights,
            no_dead_letter_queue="Failed runs go to an on-failure destination, with their error.",
            timeout_seconds=MISSING_TIMEOUT_SECONDS,
        )

    def _rotation(self, dead_letter_rights: list[iam.PolicyStatement]) -> FunctionSpec:
        data = self._data
        return FunctionSpec(
            module="rotate_keys",
            description="Encrypts again what old keys encrypted",
            settings=settings_for(
                RotationSettings,
                stage=self._stage,
                tables=data.tables,
                service="rotation",
                pii_key_arn=data.pii_key.key_arn,
                pci_key_arn=data.pci_key.key_arn,
                index_key_arn=data.index_key.key_arn,
            ),
            statements=[
                data_key_statement(data.pii_key, "pii", "Decrypt", "GenerateDataKey"),
                data_key_statement(data.pci_key, "pci", "Decrypt", "GenerateDataKey"),
                data_key_statement(data.index_key, "index", "Decrypt", "GenerateDataKey"),
                *dead_letter_rights,
            ],
            no_dead_letter_queue="Failed runs go to an on-failure destination, with their error.",
            timeout_seconds=ROTATION_TIMEOUT_SECONDS,
        )


def _begin_seconds(stage: StageConfig) -> int:
    """For how long a run begins things, so that all of them have ended when the next one begins.

    Asking about one payment takes two calls of the processor at the most.
    """
    interval = min(60 * stage.schedules.resolver_minutes, RESOLVER_TIMEOUT_SECONDS)
    return max(SHORTEST_BEGIN_SECONDS, interval - 2 * stage.processor_timeout_seconds)
