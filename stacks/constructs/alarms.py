"""Metric alarms. Who is notified is configured where the alarms are collected, not here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from runtime.alerts.models import ALERT_RAISED, SERIOUS
from runtime.core.change_context import DECRYPTION_FAILED
from runtime.settings import ACCESS_REFUSED

METRICS_NAMESPACE: Final = "payments"

MANY_REFUSALS: Final = 100
"""Refused tokens in `REFUSALS_MINUTES`: above what clients with an expired token make."""
REFUSALS_MINUTES: Final = 5

OLDEST_ITERATOR_SECONDS = 60
OLD_PERIODS = 3
"""Consecutive minutes: a single slow batch is not a lag."""


def error_alarm(
    scope: Construct, construct_id: str, *, function: lambda_.IFunction
) -> cloudwatch.Alarm:
    """Triggers when the function crashed or timed out. An error that it answered does not count."""
    return first_one(
        scope,
        construct_id,
        metric=function.metric_errors(period=Duration.minutes(5), statistic="Sum"),
        description="The function crashed or timed out.",
    )


def dead_letter_alarm(
    scope: Construct, construct_id: str, *, queue: sqs.IQueue
) -> cloudwatch.Alarm:
    """Triggers while the dead-letter queue holds a message that needs a person."""
    return first_one(
        scope,
        construct_id,
        metric=queue.metric_approximate_number_of_messages_visible(
            period=Duration.minutes(1), statistic="Maximum"
        ),
        description="A message failed repeatedly and is in the dead-letter queue.",
    )


def undelivered_alarms(scope: Construct, *, rule: events.IRule) -> None:
    """Trigger when EventBridge could not invoke the rule's target, or could not even keep that.

    The second metric counts events that are lost: the dead-letter queue did not take them.
    (EventBridge User Guide, "Monitoring Amazon EventBridge".)
    """
    for metric_name, description in (
        ("FailedInvocations", "EventBridge could not invoke the target of a rule."),
        ("InvocationsFailedToBeSentToDlq", "EventBridge lost an event of a rule."),
    ):
        metric = cloudwatch.Metric(
            namespace="AWS/Events",
            metric_name=metric_name,
            dimensions_map={"RuleName": rule.rule_name},
            period=Duration.minutes(5),
            statistic="Sum",
        )
        first_one(scope, metric_name, metric=metric, description=description)


def iterator_age_alarm(
    scope: Construct,
    construct_id: str,
    *,
    function: lambda_.IFunction,
    oldest_seconds: int = OLDEST_ITERATOR_SECONDS,
) -> cloudwatch.Alarm:
    """Triggers when projections lag behind the change streams."""
    return cloudwatch.Alarm(
        scope,
        construct_id,
        alarm_description="Projections lag behind the change streams.",
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        evaluation_periods=OLD_PERIODS,
        metric=function.metric("IteratorAge", period=Duration.minutes(1), statistic="Maximum"),
        threshold=oldest_seconds * 1000,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )


def log_alarm(
    scope: Construct,
    construct_id: str,
    *,
    log_group: logs.ILogGroup,
    messages: Sequence[str],
    metric_name: str,
    description: str,
) -> cloudwatch.Alarm:
    """Triggers on a log line of the function whose message is one of `messages`."""
    found = log_group.add_metric_filter(
        f"{construct_id}Lines",
        filter_pattern=logs.FilterPattern.any(
            *(logs.FilterPattern.string_value("$.message", "=", each) for each in messages)
        ),
        metric_namespace=METRICS_NAMESPACE,
        metric_name=metric_name,
        metric_value="1",
    )
    metric = found.metric(period=Duration.minutes(1), statistic="Sum")
    return first_one(scope, construct_id, metric=metric, description=description)


def decryption_failure_alarm(
    scope: Construct, construct_id: str, *, log_group: logs.ILogGroup
) -> cloudwatch.Alarm:
    """Triggers when a field could not be decrypted: it was moved or changed, or its key is gone."""
    return log_alarm(
        scope,
        construct_id,
        log_group=log_group,
        messages=DECRYPTION_FAILED,
        metric_name="FieldsThatDoNotOpen",
        description="An encrypted field was moved or changed, or its key is gone; see the log.",
    )


def refusals_alarm(
    scope: Construct, construct_id: str, *, log_group: logs.ILogGroup
) -> cloudwatch.Alarm:
    """Counts refused tokens by reason, and triggers when there are many in total."""
    refused = logs.FilterPattern.string_value("$.message", "=", ACCESS_REFUSED)
    log_group.add_metric_filter(
        f"{construct_id}ByReason",
        filter_pattern=refused,
        metric_namespace=METRICS_NAMESPACE,
        metric_name="TokensRefused",
        metric_value="1",
        dimensions={"Reason": "$.reason"},
    )
    # CloudWatch adds nothing up over a dimension, and an alarm may not search: a sum of its own.
    in_all = log_group.add_metric_filter(
        f"{construct_id}InAll",
        filter_pattern=refused,
        metric_namespace=METRICS_NAMESPACE,
        metric_name="TokensRefusedInAll",
        metric_value="1",
    )
    return cloudwatch.Alarm(
        scope,
        construct_id,
        alarm_description="Tokens are refused: an attack, a misconfigured client, or no keys.",
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        evaluation_periods=1,
        metric=in_all.metric(period=Duration.minutes(REFUSALS_MINUTES), statistic="Sum"),
        threshold=MANY_REFUSALS,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )


def alerts_alarm(
    scope: Construct, construct_id: str, *, log_group: logs.ILogGroup
) -> cloudwatch.Alarm:
    """Counts announced alerts by type, and triggers for serious ones."""
    raised = logs.FilterPattern.string_value("$.message", "=", ALERT_RAISED)
    log_group.add_metric_filter(
        f"{construct_id}ByType",
        filter_pattern=raised,
        metric_namespace=METRICS_NAMESPACE,
        metric_name="Alerts",
        metric_value="1",
        dimensions={"Type": "$.alert_type"},
    )
    # An alarm watches one metric, and knows no "any of these dimensions".
    types = (logs.FilterPattern.string_value("$.alert_type", "=", each) for each in SERIOUS)
    serious = log_group.add_metric_filter(
        f"{construct_id}Serious",
        filter_pattern=logs.FilterPattern.all(raised, logs.FilterPattern.any(*types)),
        metric_namespace=METRICS_NAMESPACE,
        metric_name="SeriousAlerts",
        metric_value="1",
    )
    return first_one(
        scope,
        construct_id,
        metric=serious.metric(period=Duration.minutes(1), statistic="Sum"),
        description="A serious alert was raised; see GET /v1/alerts.",
    )


def first_one(
    scope: Construct, construct_id: str, *, metric: cloudwatch.Metric, description: str
) -> cloudwatch.Alarm:
    """Triggers when `metric` counts at least one in a period."""
    return cloudwatch.Alarm(
        scope,
        construct_id,
        alarm_description=description,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        evaluation_periods=1,
        metric=metric,
        threshold=1,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
