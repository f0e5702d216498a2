"""A table's change stream as the input of a function: nothing in it is ever dropped silently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.constructs.alarms import Alarms
from stacks.runbooks import Runbook

BATCH_RECORDS: Final = 100
MAX_ATTEMPTS: Final = 100
OLDEST_RECORD_HOURS: Final = 12
"""Half of what a stream keeps: what is given up can still be compared with it."""


class StreamSource(Construct):
    """Feeds a table's stream to the alias `live` of a function, in order, from the oldest record.

    Of a batch that fails, what comes before the first failed record is done; the rest is tried
    again, halved where the function itself failed, and at last put into `failed_batches` with its
    payload, so that the others go on. (Lambda Developer Guide, "Retain
    discarded records for a DynamoDB event source": S3 gets the whole batch, a queue only a pointer
    into a stream that forgets after 24 hours.)

    `only`: the records that the function is invoked for, as a pattern of Lambda's event filtering.
    `window_seconds`: how long Lambda waits for a batch to fill. `parallel_batches`: batches of one
    shard at once; Lambda keeps the records of one key in order.
    """

    def __init__(  # noqa: PLR0913 - the settings of one event source mapping
        self,
        scope: Construct,
        construct_id: str,
        *,
        stream_arn: str,
        target: lambda_.Alias,
        failed_batches: s3.IBucket,
        only: Mapping[str, Any] | None = None,
        batch_records: int = BATCH_RECORDS,
        window_seconds: int = 0,
        parallel_batches: int,
        alarms: Alarms,
    ) -> None:
        super().__init__(scope, construct_id)
        mapping = lambda_.EventSourceMapping(
            self,
            "Mapping",
            target=target,
            event_source_arn=stream_arn,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=batch_records,
            bisect_batch_on_error=True,
            filters=[lambda_.FilterCriteria.filter(dict(only))] if only else None,
            max_batching_window=Duration.seconds(window_seconds) if window_seconds else None,
            max_record_age=Duration.hours(OLDEST_RECORD_HOURS),
            metrics_config=lambda_.MetricsConfig(metrics=[lambda_.MetricType.EVENT_COUNT]),
            parallelization_factor=parallel_batches,
            report_batch_item_failures=True,
            retry_attempts=MAX_ATTEMPTS,
        )
        resource = mapping.node.default_child
        assert isinstance(resource, lambda_.CfnEventSourceMapping)  # noqa: S101 - L2's own part
        # In the resource itself: the CDK's helper would write grants into policies of its choice.
        resource.destination_config = lambda_.CfnEventSourceMapping.DestinationConfigProperty(
            on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(
                destination=failed_batches.bucket_arn
            )
        )
        alarms.first_one(
            self,
            "GivenUp",
            metric=cloudwatch.Metric(
                namespace="AWS/Lambda",
                metric_name="OnFailureDestinationDeliveredEventCount",
                dimensions_map={"EventSourceMappingUUID": mapping.event_source_mapping_id},
                period=Duration.minutes(1),
                statistic="Sum",
            ),
            description="Stream records failed repeatedly; see the bucket of failed batches.",
            runbook=Runbook.STREAM_RECORDS,
        )
