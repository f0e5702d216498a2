"""Alarms on throttled requests to tables and their indexes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.constructs.alarms import Alarms
from stacks.constructs.durations import minutes
from stacks.constructs.schema_table import SchemaTable, pascal
from stacks.runbooks import Runbook

THROTTLED_REQUESTS: Final = 10
METRICS_PER_ALARM: Final = 10
"""An alarm's expression takes ten metrics at the most (CloudWatch quotas)."""
KINDS: Final = ("Read", "Write")


def throttle_metrics(
    table: SchemaTable, kinds: Sequence[str] = KINDS
) -> Iterator[cloudwatch.Metric]:
    """Throttled reads and writes of a table and of each of its indexes.

    The metric of the table leaves its indexes out: "The TableName dimension returns
    WriteThrottleEvents for the table, but not for any global secondary indexes" (DynamoDB Developer
    Guide, "DynamoDB metrics and dimensions"). A throttled index throttles writes to its table.
    """
    name = table.table.table_name
    for index in (None, *(each.name for each in table.schema.indexes)):
        of_index = {} if index is None else {"GlobalSecondaryIndexName": index}
        for kind in kinds:
            yield cloudwatch.Metric(
                namespace="AWS/DynamoDB",
                metric_name=f"{kind}ThrottleEvents",
                dimensions_map={"TableName": name, **of_index},
                period=minutes(5),
                statistic="Sum",
            )


def alarm_on_throttles(scope: Construct, table: SchemaTable, alarms: Alarms) -> None:
    """Triggers when DynamoDB throttles requests to the table or one of its indexes."""
    name = table.schema.name
    metrics = list(throttle_metrics(table))
    starts = range(0, len(metrics), METRICS_PER_ALARM)
    for number, start in enumerate(starts, start=1):
        part = metrics[start : start + METRICS_PER_ALARM]
        named = {f"m{place}": metric for place, metric in enumerate(part)}
        alarms.at_least(
            scope,
            f"Throttled{pascal(name)}{number if len(starts) > 1 else ''}",
            metric=cloudwatch.MathExpression(
                expression=" + ".join(f"FILL({each}, 0)" for each in named),
                using_metrics=named,
                period=minutes(5),
            ),
            threshold=THROTTLED_REQUESTS,
            periods=1,
            description=f"DynamoDB throttles requests to the table {name} or its indexes.",
            runbook=Runbook.TABLE_THROTTLED,
        )
