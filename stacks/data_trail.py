"""A trail of who touches tables and buckets directly, and the query that finds it.

CloudTrail calls reads and writes of rows and objects data events. Those of the platform's own
functions are left out unless the stage wants them: a sale makes about ten, and their rows say
themselves who asked for what.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from aws_cdk import Aws, CfnResource, Duration
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.constructs.alarms import Alarms
from stacks.constructs.customer_key import CustomerKey
from stacks.constructs.log_group import encrypted_log_group
from stacks.constructs.private_bucket import PrivateBucket
from stacks.constructs.schema_table import SchemaTable
from stacks.iam.service_key_users import cloudwatch_logs
from stacks.runbooks import Runbook
from stacks.stage import PROD, StageConfig
from stacks.stage_protection import TrailConfig

HEARTBEAT_ROLE: Final = "ledger-TotalsRole"
HEARTBEAT_TABLE: Final = "totals"
"""The schedule that compacts totals queries this table in every run. Its queries are recorded in
every trail, so that a trail without events is one that has stopped."""
HEARTBEATS: Final = 3
"""Runs of that schedule in which no event arrives, until the alarm triggers."""
DELIVERY_MINUTES: Final = 30
"""CloudTrail delivers to CloudWatch Logs within minutes, and promises no time (CloudTrail User
Guide, "Sending events to CloudWatch Logs")."""
UNFINISHED_UPLOADS_KEPT_DAYS: Final = 7

QUERY: Final = """\
fields eventTime, eventName, userIdentity.arn, sourceIPAddress, userAgent, errorCode, eventID
| filter @message like "ID"
| sort eventTime desc
| limit 1000"""
"""Finds all calls that name a key of a row or of an object, in whatever field: PutItem and
UpdateItem have one key, a transaction has one for each of its items."""


def trail_arn(stage_name: str) -> str:
    """Of the stage's own trail."""
    name = f"payments-{stage_name}"
    return f"arn:{Aws.PARTITION}:cloudtrail:{Aws.REGION}:{Aws.ACCOUNT_ID}:trail/{name}"


def saved_query(scope: Construct, stage_name: str, log_group: str) -> None:
    """The query of the runbooks, in the console of CloudWatch Logs Insights."""
    logs.CfnQueryDefinition(
        scope,
        "WhoTouchedIt",
        name=f"payments-{stage_name}/who touched a row or an object",
        log_group_names=[log_group],
        query_string=QUERY,
    )


class DataTrail(Construct):
    """Data events of the tables and buckets, in a locked bucket and a log group, with their key."""

    def __init__(  # noqa: PLR0913 - what is recorded, and where
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: TrailConfig,
        stage: StageConfig,
        tables: Mapping[str, SchemaTable],
        buckets: Iterable[s3.IBucket],
        access_logs: s3.IBucket,
        alarms: Alarms,
    ) -> None:
        super().__init__(scope, construct_id)
        self._config, self._stage, self._tables = config, stage, tables
        self._arn = trail_arn(stage.name)
        key = self._key()
        bucket = self._bucket(key, access_logs)
        self.log_group = encrypted_log_group(self, "Events", stage=stage, key=key)
        role = self._role()
        trail = cloudtrail.CfnTrail(
            self,
            "Trail",
            trail_name=f"payments-{stage.name}",
            is_logging=True,
            advanced_event_selectors=list(self._selectors(buckets)),
            cloud_watch_logs_log_group_arn=self.log_group.log_group_arn,
            cloud_watch_logs_role_arn=role.role_arn,
            enable_log_file_validation=True,
            include_global_service_events=False,
            is_multi_region_trail=False,
            kms_key_id=key.key_arn,
            s3_bucket_name=bucket.bucket_name,
        )
        # CloudTrail refuses a bucket that it may not write to yet.
        assert bucket.policy is not None  # noqa: S101 - its statements are below
        policy = bucket.policy.node.default_child
        assert isinstance(policy, CfnResource)  # noqa: S101 - what L2 policies are made of
        trail.add_resource_dependency(policy)
        saved_query(self, stage.name, self.log_group.log_group_name)
        self._watch(alarms)

    def _key(self) -> kms.Key:
        """Apart from the data's: who may read rows need not be able to read who read them."""
        key = CustomerKey(self, "TrailKey", purpose="events of the trail", stage=self._stage).key
        cloudtrail_itself = iam.ServicePrincipal("cloudtrail.amazonaws.com")
        from_this_trail = {"aws:SourceArn": self._arn}
        # CloudTrail User Guide, "Configure AWS KMS key policies for CloudTrail". Decrypt is for the
        # bucket's key, with which S3 makes the keys of objects.
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="TrailEncrypts",
                principals=[cloudtrail_itself],
                actions=["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
                resources=["*"],
                conditions={"StringEquals": from_this_trail},
            )
        )
        key.add_to_resource_policy(cloudwatch_logs())
        return key

    def _bucket(self, key: kms.IKey, access_logs: s3.IBucket) -> s3.Bucket:
        """Where events stay as they are until their time is over."""
        kept, lock = Duration.days(self._config.kept_days), s3.ObjectLockRetention
        bucket = PrivateBucket(
            self,
            "Delivered",
            key=key,
            access_logs=access_logs,
            lifecycle=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=Duration.days(
                        UNFINISHED_UPLOADS_KEPT_DAYS
                    ),
                    expiration=kept,
                    noncurrent_version_expiration=Duration.days(1),
                )
            ],
            data=self._stage.data,
            lock=lock.compliance(kept) if self._stage.name == PROD else lock.governance(kept),
        ).bucket
        # CloudTrail User Guide, "Amazon S3 bucket policy for CloudTrail".
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="TrailChecksOwner",
                principals=[iam.ServicePrincipal("cloudtrail.amazonaws.com")],
                actions=["s3:GetBucketAcl"],
                resources=[bucket.bucket_arn],
                conditions={"StringEquals": {"aws:SourceArn": self._arn}},
            )
        )
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="TrailWrites",
                principals=[iam.ServicePrincipal("cloudtrail.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(f"AWSLogs/{Aws.ACCOUNT_ID}/*")],
                conditions={
                    "StringEquals": {
                        "aws:SourceArn": self._arn,
                        "s3:x-amz-acl": "bucket-owner-full-control",
                    }
                },
            )
        )
        return bucket

    def _role(self) -> iam.Role:
        """With which CloudTrail writes into the log group, and nothing else."""
        policy = iam.ManagedPolicy(
            self,
            "Policy",
            description="What CloudTrail may do: write events into its log group",
            statements=[
                iam.PolicyStatement(
                    sid="Events",
                    actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                    resources=[self.log_group.log_group_arn],
                )
            ],
        )
        return iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "cloudtrail.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceArn": self._arn}},
            ),
            managed_policies=[policy],
        )

    def _selectors(
        self, buckets: Iterable[s3.IBucket]
    ) -> Iterable[cloudtrail.CfnTrail.AdvancedEventSelectorProperty]:
        """Rows and objects, and the heartbeat.

        API Reference of CloudTrail, "AdvancedFieldSelector": the fields of one selector must all
        match, and an event is recorded if any selector does. The ARN of an index begins with its
        table's.
        """
        roles = f"arn:{Aws.PARTITION}:sts::{Aws.ACCOUNT_ID}:assumed-role/payments-"
        ours = f"{roles}{self._stage.name}-"
        others = [] if self._config.functions else [_field("userIdentity.arn", not_starting=[ours])]
        tables = [each.table.table_arn for each in self._tables.values()]
        yield _selector(
            "Rows", "AWS::DynamoDB::Table", _field("resources.ARN", starting=tables), *others
        )
        yield _selector(
            "Objects",
            "AWS::S3::Object",
            _field("resources.ARN", starting=[each.arn_for_objects("") for each in buckets]),
            *others,
        )
        yield _selector(
            "Heartbeat",
            "AWS::DynamoDB::Table",
            _field("resources.ARN", starting=[self._tables[HEARTBEAT_TABLE].table.table_arn]),
            _field("eventName", equal=["Query"]),
            _field("userIdentity.arn", starting=[f"{ours}{HEARTBEAT_ROLE}"]),
        )

    def _watch(self, alarms: Alarms) -> None:
        minutes = HEARTBEATS * self._stage.schedules.totals_minutes + DELIVERY_MINUTES
        # CloudWatch counts in periods of whole minutes, here of an hour, for a day at the most.
        hours = min(-(-minutes // 60), 24)
        alarms.at_least(
            self,
            "Silent",
            metric=cloudwatch.Metric(
                namespace="AWS/Logs",
                metric_name="IncomingLogEvents",
                dimensions_map={"LogGroupName": self.log_group.log_group_name},
                period=Duration.hours(hours),
                statistic="Sum",
            ),
            threshold=1,
            periods=1,
            description="The trail of data events records nothing.",
            runbook=Runbook.TRAIL_SILENT,
            below=True,
        )


def _selector(
    name: str, resource_type: str, *fields: cloudtrail.CfnTrail.AdvancedFieldSelectorProperty
) -> cloudtrail.CfnTrail.AdvancedEventSelectorProperty:
    return cloudtrail.CfnTrail.AdvancedEventSelectorProperty(
        name=name,
        field_selectors=[
            _field("eventCategory", equal=["Data"]),
            _field("resources.type", equal=[resource_type]),
            *fields,
        ],
    )


def _field(
    field: str,
    *,
    equal: list[str] | None = None,
    starting: list[str] | None = None,
    not_starting: list[str] | None = None,
) -> cloudtrail.CfnTrail.AdvancedFieldSelectorProperty:
    return cloudtrail.CfnTrail.AdvancedFieldSelectorProperty(
        field=field, equal_to=equal, starts_with=starting, not_starts_with=not_starting
    )
