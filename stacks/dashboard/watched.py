"""What the dashboard of a stage shows: the resources of its other stacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs

from stacks.constructs.alarms import Alarms
from stacks.constructs.schema_table import SchemaTable
from stacks.constructs.service_function import ServiceFunction
from stacks.own_metrics import OwnMetric, own_metric


@dataclass(frozen=True)
class Watched:
    """The resources, by the names that they have in the outputs of their stacks."""

    stage_name: str
    runbooks: str
    """Address of the page with the runbooks."""
    api: apigw.HttpApi
    functions: Mapping[str, ServiceFunction]
    tables: Mapping[str, SchemaTable]
    queues: Mapping[str, sqs.IQueue]
    dead_letters: Mapping[str, sqs.IQueue]
    log_groups: Sequence[logs.ILogGroup]
    alarms: Alarms

    def own(
        self, metric: OwnMetric, label: str, *, statistic: str = "Sum", minutes: int = 1
    ) -> cloudwatch.Metric:
        """A metric of our own as a line with a label."""
        found = own_metric(self.stage_name, metric, statistic=statistic, minutes=minutes)
        return found.with_(label=label)


def total(
    metrics: Sequence[cloudwatch.IMetric],
    label: str,
    *,
    prefix: str,
    of: str = "SUM",
    minutes: int = 1,
) -> cloudwatch.MathExpression:
    """The sum of metrics (or what else `of` makes of them); those without data do not count.

    `prefix` begins the ids of the metrics, which are unique within a panel.
    """
    named = {f"{prefix}{number}": metric for number, metric in enumerate(metrics)}
    return calculated(f"{of}([{', '.join(named)}])", named, label, minutes=minutes)


def calculated(
    expression: str, metrics: Mapping[str, cloudwatch.IMetric], label: str, *, minutes: int
) -> cloudwatch.MathExpression:
    """What a metric math expression over `metrics`, by their ids in it, makes of each period."""
    return cloudwatch.MathExpression(
        expression=expression,
        using_metrics=metrics,
        label=label,
        period=Duration.minutes(minutes),
    )
