"""What payments cost: usage that AWS meters, times its list prices, per 1,000 payments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch

from stacks.constructs.durations import minutes
from stacks.costs.prices import GIGABYTE, PRICES
from stacks.dashboard.panels import Panel, Section
from stacks.dashboard.traffic import outcomes
from stacks.dashboard.watched import Watched, calculated, total
from stacks.runbooks import Guide

MINUTES: Final = 60
"""Schedules and streams follow the payments that cause them within this time."""
MEGABYTES_PER_GIGABYTE: Final = 1_024
MILLISECONDS: Final = 1_000
SQS_REQUESTS: Final = (
    "NumberOfMessagesSent",
    "NumberOfMessagesReceived",
    "NumberOfMessagesDeleted",
    "NumberOfEmptyReceives",
)
"""Requests that SQS charges for. Several messages may share one, so this is an upper bound."""
_math = partial(calculated, minutes=MINUTES)
_PAYMENTS: Final = "(FILL(succeeded, 0) + FILL(declined, 0) + FILL(unknown, 0))"


def sections(watched: Watched) -> Sequence[Section]:
    """Dollars per 1,000 payments, as a whole and by service, and per hour."""
    services = _dollars(watched)
    everything = " + ".join(f"FILL({name}, 0)" for name in services)
    payments = outcomes(watched, MINUTES)
    return (
        Section(
            "Costs",
            (
                Panel(
                    "Usage per 1,000 payments",
                    "US dollars",
                    "At list prices, in the hour; it rises when few payments share what schedules "
                    "and other requests cost.",
                    Guide.DASHBOARD,
                    [
                        _math(
                            f"1000 * ({everything}) / {_PAYMENTS}",
                            {**services, **payments},
                            "all services",
                        )
                    ],
                ),
                Panel(
                    "Usage per 1,000 payments by service",
                    "US dollars",
                    "DynamoDB's writes are the most; a service that grows alone has changed or is "
                    "retried.",
                    Guide.DASHBOARD,
                    [
                        _math(
                            f"1000 * {name} / {_PAYMENTS}",
                            {name: metric, **payments},
                            str(metric.label),
                        )
                        for name, metric in services.items()
                    ],
                ),
                Panel(
                    "Usage per hour",
                    "US dollars",
                    "Without storage, keys and alarms, which the guide on costs adds.",
                    Guide.DASHBOARD,
                    [_math(everything, services, "all services")],
                ),
            ),
        ),
    )


def _dollars(watched: Watched) -> Mapping[str, cloudwatch.MathExpression]:
    """Dollars of a period by service. The keys are ids in expressions."""
    return {
        "writes": _priced("dynamodb-write", _units("Write", watched), "DynamoDB writes"),
        "reads": _priced("dynamodb-read", _units("Read", watched), "DynamoDB reads"),
        "compute": _compute(watched),
        "invocations": _priced("lambda-request", _invocations(watched), "Lambda requests"),
        "gateway": _priced("gateway-request", _requests(watched), "API Gateway"),
        "messages": _priced("sqs-request", _messages(watched), "SQS"),
        "logs": _priced("logs-ingested", _logs(watched), "Logs", units=GIGABYTE),
    }


def _priced(
    price: str, metrics: Sequence[cloudwatch.IMetric], label: str, *, units: int = 1
) -> cloudwatch.MathExpression:
    """The dollars of a sum. `units`: how many of the metric's make one of the price's."""
    prefix = price.replace("-", "_")
    used = total(metrics, label, prefix=prefix, minutes=MINUTES)
    sum_id = f"{prefix}_sum"
    return _math(f"{sum_id} * {_decimal(PRICES[price].each / units)}", {sum_id: used}, label)


def _compute(watched: Watched) -> cloudwatch.MathExpression:
    """Memory times time of all functions, by the price of their processors."""
    durations, terms = {}, []
    for name, function in sorted(watched.functions.items()):
        durations[f"time_{name}"] = function.function.metric_duration(
            period=minutes(MINUTES), statistic="Sum"
        )
        price = PRICES[f"lambda-{function.architecture}"].each
        gigabytes = function.memory_mb / MEGABYTES_PER_GIGABYTE
        terms.append(f"FILL(time_{name}, 0) * {_decimal(price * gigabytes / MILLISECONDS)}")
    return _math(" + ".join(terms), durations, "Lambda compute")


def _units(kind: str, watched: Watched) -> list[cloudwatch.IMetric]:
    """Consumed by tables and indexes; the metric of a table leaves its indexes out."""
    return [
        _metric(
            "AWS/DynamoDB",
            f"Consumed{kind}CapacityUnits",
            {"TableName": table.table.table_name, **of_index},
        )
        for table in watched.tables.values()
        for of_index in (
            {},
            *({"GlobalSecondaryIndexName": index.name} for index in table.schema.indexes),
        )
    ]


def _invocations(watched: Watched) -> list[cloudwatch.IMetric]:
    return [
        function.function.metric_invocations(period=minutes(MINUTES))
        for _, function in sorted(watched.functions.items())
    ]


def _requests(watched: Watched) -> list[cloudwatch.IMetric]:
    return [watched.api.metric_count(period=minutes(MINUTES), statistic="Sum")]


def _messages(watched: Watched) -> list[cloudwatch.IMetric]:
    return [
        queue.metric(name, period=minutes(MINUTES), statistic="Sum")
        for _, queue in sorted(watched.queues.items())
        for name in SQS_REQUESTS
    ]


def _logs(watched: Watched) -> list[cloudwatch.IMetric]:
    return [
        _metric("AWS/Logs", "IncomingBytes", {"LogGroupName": group.log_group_name})
        for group in watched.log_groups
    ]


def _metric(namespace: str, name: str, dimensions: dict[str, str]) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        period=minutes(MINUTES),
        statistic="Sum",
    )


def _decimal(number: float) -> str:
    """Without an exponent, which CloudWatch's expressions do not document."""
    return f"{number:.18f}".rstrip("0")
