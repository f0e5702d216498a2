"""The metrics that dashboards and alarms name, and whether AWS publishes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.infrastructure.synthesized import Json, Synthesized

API_GATEWAY = "https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html"
DYNAMODB = (
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html"
)
EVENTS = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html"
LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"
LOGS = (
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/"
    "CloudWatch-Logs-Monitoring-CloudWatch-Metrics.html"
)
SQS = (
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/"
    "sqs-available-cloudwatch-metrics.html"
)

Dimensions = frozenset[str]
_TABLE, _INDEX = frozenset({"TableName"}), frozenset({"TableName", "GlobalSecondaryIndexName"})
_FUNCTION = frozenset({"FunctionName"})
_VERSION = frozenset({"FunctionName", "Resource", "ExecutedVersion"})
_API = frozenset({"ApiId"})
_ROUTE = frozenset({"ApiId", "Method", "Resource", "Stage"})
_QUEUE = frozenset({"QueueName"})
_GROUP = frozenset({"LogGroupName"})

OF_AWS: Mapping[str, tuple[str, Mapping[str, tuple[Dimensions, ...]]]] = {
    "AWS/ApiGateway": (
        API_GATEWAY,
        {
            "Count": (_API,),
            "4xx": (_API,),
            "5xx": (_API,),
            "Latency": (_API, _ROUTE),
        },
    ),
    "AWS/DynamoDB": (
        DYNAMODB,
        {
            "ConsumedReadCapacityUnits": (_TABLE, _INDEX),
            "ConsumedWriteCapacityUnits": (_TABLE, _INDEX),
            "ReadThrottleEvents": (_TABLE, _INDEX),
            "WriteThrottleEvents": (_TABLE, _INDEX),
            "TransactionConflict": (_TABLE,),
        },
    ),
    "AWS/Events": (
        EVENTS,
        {
            "FailedInvocations": (frozenset({"RuleName"}),),
            "InvocationsFailedToBeSentToDlq": (frozenset({"RuleName"}),),
        },
    ),
    "AWS/Lambda": (
        LAMBDA,
        {
            "ConcurrentExecutions": (frozenset(), _FUNCTION),
            "Duration": (_FUNCTION, _VERSION),
            "Errors": (_FUNCTION, _VERSION),
            "Invocations": (_FUNCTION,),
            "IteratorAge": (_FUNCTION,),
            "OnFailureDestinationDeliveredEventCount": (frozenset({"EventSourceMappingUUID"}),),
            "Throttles": (_FUNCTION,),
        },
    ),
    "AWS/Logs": (LOGS, {"IncomingBytes": (_GROUP,), "IncomingLogEvents": (_GROUP,)}),
    "AWS/SQS": (
        SQS,
        {
            "ApproximateAgeOfOldestMessage": (_QUEUE,),
            "ApproximateNumberOfMessagesVisible": (_QUEUE,),
            "NumberOfEmptyReceives": (_QUEUE,),
            "NumberOfMessagesDeleted": (_QUEUE,),
            "NumberOfMessagesReceived": (_QUEUE,),
            "NumberOfMessagesSent": (_QUEUE,),
        },
    ),
}
"""AWS's own metrics by namespace: the page that documents them, and the sets of dimensions for
which AWS publishes each."""

_RESOURCES: Mapping[str, tuple[str, str]] = {
    "ApiId": ("AWS::ApiGatewayV2::Api", ""),
    "EventSourceMappingUUID": ("AWS::Lambda::EventSourceMapping", ""),
    "ExecutedVersion": ("AWS::Lambda::Version", ".Version"),
    "FunctionName": ("AWS::Lambda::Function", ""),
    "LogGroupName": ("AWS::Logs::LogGroup", ""),
    "QueueName": ("AWS::SQS::Queue", ".QueueName"),
    "RuleName": ("AWS::Events::Rule", ""),
    "TableName": ("AWS::DynamoDB::Table", ""),
}
"""Types of the resources that dimensions name, and the attribute that does."""


@dataclass(frozen=True)
class Named:
    """A metric that a dashboard or an alarm names. `by` says which."""

    by: str
    namespace: str
    name: str
    dimensions: Mapping[str, str]


def dashboard(stage: Synthesized) -> Json:
    """The dashboard, with references as flat strings."""
    (found,) = stage.all("AWS::CloudWatch::Dashboard")
    body: Json = json.loads(stage.flat(found.properties["DashboardBody"]))
    return body


def of_widget(widget: Json) -> Iterator[Named]:
    """The metrics of a graph, without its expressions."""
    for entry in widget["properties"].get("metrics", ()):
        names = [part for part in entry if isinstance(part, str)]
        if names:
            namespace, name, *rest = names
            dimensions = dict(zip(rest[::2], rest[1::2], strict=True))
            yield Named(widget["properties"]["title"], namespace, name, dimensions)


def of_alarms(stage: Synthesized) -> Iterator[Named]:
    """The metrics of all alarms."""
    for alarm in stage.all("AWS::CloudWatch::Alarm"):
        properties = alarm.properties
        metrics = [properties] if "MetricName" in properties else []
        for each in properties.get("Metrics", ()):
            metrics += [each["MetricStat"]["Metric"]] if "MetricStat" in each else []
        for metric in metrics:
            dimensions = {
                each["Name"]: stage.flat(each["Value"]) for each in metric.get("Dimensions", ())
            }
            yield Named(alarm.logical_id, metric["Namespace"], metric["MetricName"], dimensions)


def fault_of(metric: Named, stage: Synthesized) -> str | None:
    """Why AWS publishes no such metric for a resource of the templates; None if it does."""
    _, metrics = OF_AWS.get(metric.namespace, ("", {}))
    if frozenset(metric.dimensions) not in metrics.get(metric.name, ()):
        return f"no such metric, or not for these dimensions: {metric}"
    for name, value in metric.dimensions.items():
        if not _is_there(name, value, metric, stage):
            return f"{name} is {value}, which no template has: {metric}"
    return None


def _is_there(name: str, value: str, metric: Named, stage: Synthesized) -> bool:
    of: Mapping[str, Any] = metric.dimensions
    if name == "GlobalSecondaryIndexName":
        (table,) = (
            each
            for each in stage.all("AWS::DynamoDB::Table")
            if of["TableName"] == f"${{{each.logical_id}}}"
        )
        indexes = table.properties["GlobalSecondaryIndexes"]
        return value in [each["IndexName"] for each in indexes]
    if name == "Resource" and "FunctionName" in of:
        return value == f"{of['FunctionName']}:live"
    if name in ("Method", "Resource"):
        routes = {each.properties["RouteKey"] for each in stage.all("AWS::ApiGatewayV2::Route")}
        return f"{of['Method']} {of['Resource']}" in routes
    if name == "Stage":
        stages = stage.all("AWS::ApiGatewayV2::Stage")
        return value in [each.properties["StageName"] for each in stages]
    resource_type, attribute = _RESOURCES[name]
    return value in {f"${{{each.logical_id}{attribute}}}" for each in stage.all(resource_type)}
