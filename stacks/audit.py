"""The audit log's archive: every row in immutable storage, under signed roots."""

from __future__ import annotations

from typing import Final, Unpack

from aws_cdk import aws_iam as iam
from constructs import Construct

from runtime.audit.models import ROOTS_PREFIX, ROWS_PREFIX
from runtime.core.change_context import AUDIT_TAMPERED
from runtime.settings import ArchiveSettings
from stacks.base_stack import FunctionsStack, FunctionsStackProps
from stacks.constructs.alarms import iterator_age_alarm, log_alarm
from stacks.constructs.service_function import FunctionSpec
from stacks.constructs.stream_source import StreamSource
from stacks.environment import settings_for
from stacks.iam.statements import failed_batches_statements, through_service

ARCHIVE_TIMEOUT_SECONDS: Final = 900
"""Lambda's longest (Lambda quotas): for the roots; a batch takes a second."""
ARCHIVE_MEMORY_MB: Final = 1769
"""One whole virtual processor, and room for the hashes of millions of names."""
SEGMENT_ROWS: Final = 5_000
"""Rows of one batch, so of one object; Lambda cuts it at 6 MB, which is about as many."""
OLDEST_UNARCHIVED_SECONDS: Final = 300
SCHEDULE: Final = "archive"


class AuditStack(FunctionsStack):
    """Archive: fed by the audit log's stream, and by a schedule that signs roots."""

    def __init__(
        self, scope: Construct, construct_id: str, **props: Unpack[FunctionsStackProps]
    ) -> None:
        super().__init__(scope, construct_id, **props)
        self.archive = self._scheduled(
            "Archive", SCHEDULE, self._archive, self._stage.schedules.archive_minutes
        )
        self._fed_by_the_stream()
        log_alarm(
            self,
            "AuditTampered",
            log_group=self.archive.log_group,
            messages=(AUDIT_TAMPERED,),
            metric_name="AuditTampered",
            description="An audit row was changed, deleted or forged; the log names it.",
        )
        self._write_outputs({SCHEDULE: self.archive})

    def _fed_by_the_stream(self) -> None:
        table = self._data.tables["audit_log"].table
        assert table.table_stream_arn is not None  # noqa: S101 - declared on the model
        StreamSource(
            self,
            "RowsStream",
            stream_arn=table.table_stream_arn,
            target=self.archive.live,
            failed_batches=self._data.failed_batches_bucket,
            batch_records=SEGMENT_ROWS,
            window_seconds=self._stage.archive_window_seconds,
            parallel_batches=1,
        )
        iterator_age_alarm(
            self,
            "RowsLag",
            function=self.archive.function,
            oldest_seconds=OLDEST_UNARCHIVED_SECONDS,
        )

    def _archive(self, dead_letter_rights: list[iam.PolicyStatement]) -> FunctionSpec:
        data, key_arn = self._data, self._key.key_arn
        bucket = data.audit_bucket_arn
        return FunctionSpec(
            module="archive",
            description="Copies the audit log to locked storage and signs roots over it",
            settings=settings_for(
                ArchiveSettings,
                stage=self._stage,
                tables=data.tables,
                service="archive",
                audit_bucket=data.audit_bucket.bucket_name,
                audit_key_arn=data.audit_key.key_arn,
            ),
            statements=[
                iam.PolicyStatement(
                    sid="Segments",
                    actions=["s3:PutObject"],
                    resources=[f"{bucket}/{ROWS_PREFIX}*", f"{bucket}/{ROOTS_PREFIX}*"],
                ),
                iam.PolicyStatement(
                    sid="Roots", actions=["s3:GetObject"], resources=[f"{bucket}/{ROOTS_PREFIX}*"]
                ),
                iam.PolicyStatement(
                    sid="ArchiveBucket", actions=["s3:ListBucket"], resources=[bucket]
                ),
                *failed_batches_statements(data.failed_batches_bucket_arn),
                iam.PolicyStatement(
                    sid="Signature", actions=["kms:Sign"], resources=[data.audit_key.key_arn]
                ),
                through_service(key_arn, "s3", ("kms:Decrypt", "kms:GenerateDataKey")),
                *dead_letter_rights,
            ],
            wildcard_resources={
                f"{data.audit_bucket_export}/{ROWS_PREFIX}*": "A segment is named by its content.",
                f"{data.audit_bucket_export}/{ROOTS_PREFIX}*": "Roots are numbered without end.",
                f"{data.failed_batches_export}/*": "Lambda names what it puts there.",
            },
            no_dead_letter_queue="Its stream and its schedule have on-failure destinations.",
            memory_mb=ARCHIVE_MEMORY_MB,
            timeout_seconds=ARCHIVE_TIMEOUT_SECONDS,
        )
