"""Everything that holds state: keys, tables, buckets. Deployed first, deleted never."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from runtime.reconciliation.files.models import CONVERTED_PREFIX
from runtime.tables import ALL_TABLES, restored_table_name
from stacks.backups import Backups
from stacks.constructs.acknowledge import acknowledge
from stacks.constructs.alarm_topics import AlarmTopic
from stacks.constructs.alarms import Alarms
from stacks.constructs.cost_budget import CostBudget
from stacks.constructs.customer_key import CustomerKey, SigningKey
from stacks.constructs.private_bucket import PrivateBucket
from stacks.constructs.queues import WorkQueue
from stacks.constructs.schema_table import Restored, SchemaTable, pascal
from stacks.constructs.table_alarms import alarm_on_throttles
from stacks.data_trail import DataTrail, saved_query
from stacks.dead_letters import DELIVERIES, EXPORT_JOBS, dead_letter_queue
from stacks.iam.key_users import DATA_KEY_USERS, only_listed_roles
from stacks.iam.resource_policies import append_only, one_archivist
from stacks.iam.service_key_users import (
    alarms_to_topics,
    cloudwatch_logs,
    eventbridge_to_queues,
)
from stacks.iam.statements import Purpose
from stacks.runbooks import Severity
from stacks.stage import PROD, StageConfig

SETTLEMENT_COLD_AFTER_DAYS: Final = 90
CONVERTED_KEPT_DAYS: Final = 30
"""Longer than a message about a chunk can wait anywhere; the file itself stays."""
EXPORT_KEPT_DAYS: Final = 7
"""As long as the row of the export."""
FAILED_BATCHES_KEPT_DAYS: Final = 365
"""A person has a year to look; the rows themselves are in the tables."""
OLD_VERSIONS_KEPT_DAYS: Final = 30
ACCESS_LOGS_KEPT_DAYS: Final = 365
UNFINISHED_UPLOADS_KEPT_DAYS: Final = 7
AUDIT_KEPT_DAYS: Final = 2_555
"""Seven years: no audit row, and no root over them, can be changed or deleted before."""
APPENDING_ROLE: Final = "ledger-ProjectRole"
SIGNING_ROLE: Final = "audit-ArchiveRole"
"""How CloudFormation begins the names of the roles that alone may append to the audit log and sign
its roots, after `payments-<stage>-`."""


KEPT_RESTORES: Final = 2
"""The tables in use, and those before them: functions may still use these while a deployment moves
them. Those of three restores would have more than the 200 outputs that a stack can have."""

DELIVER_TIMEOUT_SECONDS: Final = 60
"""Of the function that the queue of deliveries feeds."""
EXPORT_TIMEOUT_SECONDS: Final = 300
"""Of the function that the queue of export jobs feeds: half an hour after it died, another goes on.
"""


class DataStack(Stack):
    """Keys by purpose, tables by schema name, the buckets, and the queues that streams feed."""

    def __init__(
        self, scope: Construct, construct_id: str, *, stage: StageConfig, **kwargs: Any
    ) -> None:
        super().__init__(
            scope, construct_id, termination_protection=stage.data.is_protected, **kwargs
        )
        self._stage = stage
        self.table_key = self._key("TableKey", "tables, buckets, queues and logs at rest")
        self.pii_key = self._key("PiiKey", "wraps the data keys of personal fields")
        self.pci_key = self._key("PciKey", "wraps the data keys of payment methods")
        self.index_key = self._key("IndexKey", "wraps the keys of blind indexes")
        self.audit_key = SigningKey(
            self,
            "AuditKey",
            purpose="signs the roots of the audit log's archive",
            signer_role_prefix=f"payments-{stage.name}-{SIGNING_ROLE}",
            stage=stage,
        ).key
        for statement in (eventbridge_to_queues(), alarms_to_topics(), cloudwatch_logs()):
            self.table_key.add_to_resource_policy(statement)
        self.alarms = self._alarms()
        self._budget()
        for key, users in (
            (self.pii_key, DATA_KEY_USERS["pii"]),
            (self.pci_key, DATA_KEY_USERS["pci"]),
        ):
            for statement in only_listed_roles(users, stage):
                key.add_to_resource_policy(statement)
        restores = (None, *stage.data.restored)[-KEPT_RESTORES:]
        self._all_tables = [self._tables(restore) for restore in restores]
        self.tables = self._all_tables[-1]
        self.alarms.unreadable_fields(self)
        for table in self.tables.values():
            alarm_on_throttles(self, table, self.alarms)
        access_logs = self._access_logs()
        self._settlement_files(construct_id, access_logs)
        self._exports(construct_id, access_logs)
        self._failed_batches(construct_id, access_logs)
        self._audit_archive(construct_id, access_logs)
        self._backups()
        self._trail(access_logs)
        self.deliveries = WorkQueue(
            self,
            "Deliveries",
            key=self.table_key,
            alarms=self.alarms,
            consumer_timeout_seconds=DELIVER_TIMEOUT_SECONDS,
            dead_letters=dead_letter_queue(stage.name, DELIVERIES),
        )
        self.export_jobs = WorkQueue(
            self,
            "ExportJobs",
            key=self.table_key,
            alarms=self.alarms,
            consumer_timeout_seconds=EXPORT_TIMEOUT_SECONDS,
            dead_letters=dead_letter_queue(stage.name, EXPORT_JOBS),
        )
        self._export_everything()
        self._write_outputs()

    def _budget(self) -> None:
        if self._stage.budget is not None:
            CostBudget(
                self,
                "Costs",
                stage=self._stage,
                config=self._stage.budget,
                tickets=self._topics[Severity.TICKET],
                key=self.table_key,
            )

    def _backups(self) -> None:
        if self._stage.backup is not None:
            Backups(
                self,
                "Backups",
                config=self._stage.backup,
                stage=self._stage,
                tables=self.tables,
                bucket=self.settlement_bucket,
                key=self.table_key,
                alarms=self.alarms,
            )

    def _tables(self, restore: str | None) -> dict[str, SchemaTable]:
        """The tables by schema name: the original ones, or those that a restore made."""
        stage = self._stage
        appending = f"payments-{stage.name}-{APPENDING_ROLE}"
        policies = {"audit_log": append_only(appending, stage.deploying_roles)}
        return {
            schema.name: SchemaTable(
                self,
                f"{pascal(schema.name)}{(restore or '').capitalize()}",
                schema=schema,
                key=self.table_key,
                data=stage.data,
                policy=policies.get(schema.name),
                restored=None
                if restore is None
                else Restored(restore, restored_table_name(stage.name, schema.name, restore)),
            )
            for schema in ALL_TABLES
        }

    def _alarms(self) -> Alarms:
        """What makes the stage's alarms, with a topic for each severity that notifies anyone."""
        config = self._stage.alarms
        targets = {Severity.PAGE: config.page, Severity.TICKET: config.ticket}
        self._topics = {
            severity: AlarmTopic(
                self, f"{severity.capitalize()}Alarms", target=target, key=self.table_key
            )
            for severity, target in targets.items()
        }
        notifying = {
            severity: self._topics[severity].topic
            for severity, target in targets.items()
            if target.notifies
        }
        return Alarms(self._stage.name, config.runbooks, notifying)

    @property
    def data_keys(self) -> Mapping[Purpose, kms.Key]:
        """The KMS keys that wrap data keys, by purpose."""
        return {"pii": self.pii_key, "pci": self.pci_key, "index": self.index_key}

    def _settlement_files(self, construct_id: str, access_logs: s3.Bucket) -> None:
        """Where settlement files are uploaded, converted, and moved when they are rejected."""
        settlement = PrivateBucket(
            self,
            "Settlement",
            key=self.table_key,
            access_logs=access_logs,
            lifecycle=[
                _cold_after(SETTLEMENT_COLD_AFTER_DAYS),
                s3.LifecycleRule(
                    prefix=CONVERTED_PREFIX, expiration=Duration.days(CONVERTED_KEPT_DAYS)
                ),
                _tidy(),
            ],
            data=self._stage.data,
        )
        settlement.send_events()
        self.settlement_bucket = settlement.bucket
        self.settlement_bucket_export = f"{construct_id}-settlement-bucket-arn"
        self.settlement_bucket_arn = self.export_value(
            self.settlement_bucket.bucket_arn, name=self.settlement_bucket_export
        )

    def _exports(self, construct_id: str, access_logs: s3.Bucket) -> None:
        """Where exports and reports are written for a few days."""
        self.export_bucket = PrivateBucket(
            self,
            "Export",
            key=self.table_key,
            access_logs=access_logs,
            lifecycle=[s3.LifecycleRule(expiration=Duration.days(EXPORT_KEPT_DAYS)), _tidy()],
            data=self._stage.data,
        ).bucket
        self.export_bucket_export = f"{construct_id}-export-bucket-arn"
        self.export_bucket_arn = self.export_value(
            self.export_bucket.bucket_arn, name=self.export_bucket_export
        )

    def _failed_batches(self, construct_id: str, access_logs: s3.Bucket) -> None:
        """Where batches of the change streams lie that could not be projected, with their rows."""
        self.failed_batches_bucket = PrivateBucket(
            self,
            "FailedBatches",
            key=self.table_key,
            access_logs=access_logs,
            lifecycle=[
                s3.LifecycleRule(expiration=Duration.days(FAILED_BATCHES_KEPT_DAYS)),
                _tidy(),
            ],
            data=self._stage.data,
        ).bucket
        self.failed_batches_export = f"{construct_id}-failed-batches-bucket-arn"
        self.failed_batches_bucket_arn = self.export_value(
            self.failed_batches_bucket.bucket_arn, name=self.failed_batches_export
        )

    def _audit_archive(self, construct_id: str, access_logs: s3.Bucket) -> None:
        """Immutable copies of all audit rows; in prod not even AWS can change them."""
        kept = Duration.days(AUDIT_KEPT_DAYS)
        lock = s3.ObjectLockRetention
        self.audit_bucket = PrivateBucket(
            self,
            "Audit",
            key=self.table_key,
            access_logs=access_logs,
            lifecycle=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=Duration.days(
                        UNFINISHED_UPLOADS_KEPT_DAYS
                    )
                )
            ],
            data=self._stage.data,
            lock=lock.compliance(kept) if self._stage.name == PROD else lock.governance(kept),
        ).bucket
        archive = f"payments-{self._stage.name}-{SIGNING_ROLE}"
        self.audit_bucket.add_to_resource_policy(one_archivist(archive, self.audit_bucket))
        self.audit_bucket_export = f"{construct_id}-audit-bucket-arn"
        self.audit_bucket_arn = self.export_value(
            self.audit_bucket.bucket_arn, name=self.audit_bucket_export
        )

    def _key(self, construct_id: str, purpose: str) -> kms.Key:
        return CustomerKey(self, construct_id, purpose=purpose, stage=self._stage).key

    def _trail(self, access_logs: s3.IBucket) -> None:
        """Record who touches tables and buckets directly, or save the query for what records it."""
        config = self._stage.trail
        if config is not None and config.mode == "own":
            DataTrail(
                self,
                "DataTrail",
                config=config,
                stage=self._stage,
                tables=self.tables,
                buckets=self._buckets().values(),
                access_logs=access_logs,
                alarms=self.alarms,
            )
        elif config is not None and config.log_group is not None:
            saved_query(self, self._stage.name, config.log_group)

    def _buckets(self) -> dict[str, s3.Bucket]:
        """Where objects lie that functions read or write, by the name that commands use."""
        return {
            "settlement": self.settlement_bucket,
            "export": self.export_bucket,
            "audit": self.audit_bucket,
            "failed_batches": self.failed_batches_bucket,
        }

    def _access_logs(self) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "AccessLogs",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            lifecycle_rules=[
                s3.LifecycleRule(expiration=Duration.days(ACCESS_LOGS_KEPT_DAYS)),
                _tidy(),
            ],
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=self._stage.data.removal_policy,
            versioned=True,
        )
        for pack in ("NIST.800.53.R5", "PCI.DSS.321"):
            acknowledge(
                bucket,
                f"{pack}-S3DefaultEncryptionKMS",
                "S3 delivers access logs only to buckets whose default encryption is S3's own key "
                '(S3 User Guide, "Enabling Amazon S3 server access logging").',
            )
        return bucket

    def _export_everything(self) -> None:
        """Export whatever another stack may refer to, whether one does or not.

        CloudFormation refuses to remove an export in use. Without this, the exports would follow
        from what the other stacks use today, and an older version, which uses less, could not be
        deployed.
        """
        keys = (self.table_key, self.pii_key, self.pci_key, self.index_key, self.audit_key)
        for key in keys:
            self.export_value(key.key_arn)
        for table in (each.table for tables in self._all_tables for each in tables.values()):
            self.export_value(table.table_name)
            self.export_value(table.table_arn)
            if table.table_stream_arn is not None:
                self.export_value(table.table_stream_arn)
        for topic in (each.topic for each in self._topics.values() if each.is_ours):
            self.export_value(topic.topic_arn)
        for queue in (self.deliveries.queue, self.export_jobs.queue):
            self.export_value(queue.queue_arn)
            self.export_value(queue.queue_url)
        for bucket in self._buckets().values():
            self.export_value(bucket.bucket_name)
            self.export_value(bucket.bucket_arn)

    def _write_outputs(self) -> None:
        tables = {name: table.table.table_name for name, table in self.tables.items()}
        buckets = {name: each.bucket_name for name, each in self._buckets().items()}
        CfnOutput(self, "Tables", value=self.to_json_string(tables))
        CfnOutput(self, "Buckets", value=self.to_json_string(buckets))


def _cold_after(days: int) -> s3.LifecycleRule:
    return s3.LifecycleRule(
        transitions=[
            s3.Transition(
                storage_class=s3.StorageClass.INFREQUENT_ACCESS,
                transition_after=Duration.days(days),
            )
        ]
    )


def _tidy() -> s3.LifecycleRule:
    return s3.LifecycleRule(
        abort_incomplete_multipart_upload_after=Duration.days(UNFINISHED_UPLOADS_KEPT_DAYS),
        noncurrent_version_expiration=Duration.days(OLD_VERSIONS_KEPT_DAYS),
    )
