"""Metric alarms: named, with a runbook, and with an action by severity."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from runtime.alerts.models import ALERT_RAISED, SERIOUS
from runtime.core.change_context import DECRYPTION_FAILED
from runtime.settings import ACCESS_REFUSED
from stacks.own_metrics import OwnMetric, namespace_of, own_metric
from stacks.runbooks import Runbook, Severity

MANY_REFUSALS: Final = 100
"""Refused tokens in `REFUSALS_MINUTES`: above what clients with an expired token make."""
REFUSALS_MINUTES: Final = 5

OLDEST_ITERATOR_SECONDS: Final = 60
OLD_PERIODS: Final = 3
"""Consecutive minutes: a single slow batch is not a lag."""

OLDEST_MESSAGE_SECONDS: Final = 3_600
"""Longer than the longest delay of a message (15 minutes) and visibility timeout (half an hour)."""
_AT_LEAST: Final = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
_BELOW: Final = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
_BREACHING: Final = cloudwatch.TreatMissingData.BREACHING
_NOT_BREACHING: Final = cloudwatch.TreatMissingData.NOT_BREACHING


@dataclass(frozen=True)
class Alarms:
    """Makes the alarms of a stage.

    Their names are `payments-<stage>-` and their place among the constructs; their descriptions end
    with the address of the runbook. `topics` has the severities that notify anyone. `made` has the
    severity of each alarm made so far, by its name.
    """

    stage_name: str
    runbooks: str
    topics: Mapping[Severity, sns.ITopic]
    made: dict[str, Severity] = field(default_factory=dict)

    def error(
        self, scope: Construct, *, function: lambda_.IFunction, severity: Severity | None = None
    ) -> None:
        """Triggers when the function crashed or timed out, not when it answered with an error."""
        metric = function.metric_errors(period=Duration.minutes(5), statistic="Sum")
        self.first_one(
            scope,
            "Errors",
            metric=metric,
            description="The function crashed or timed out.",
            runbook=Runbook.FUNCTION_ERRORS,
            severity=severity,
        )

    def throttled(self, scope: Construct, *, function: lambda_.IFunction) -> None:
        """Triggers when Lambda turned away an invocation: no environment was free."""
        self.first_one(
            scope,
            "Throttles",
            metric=function.metric_throttles(period=Duration.minutes(5), statistic="Sum"),
            description="Lambda turned away invocations of the function.",
            runbook=Runbook.FUNCTION_THROTTLED,
        )

    def waiting_message(
        self, scope: Construct, *, queue: sqs.IQueue, description: str, runbook: Runbook
    ) -> None:
        """Triggers while the queue holds a message that waits for a person."""
        self.first_one(
            scope,
            "Waiting",
            metric=queue.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(1), statistic="Maximum"
            ),
            description=description,
            runbook=runbook,
        )

    def old_message(self, scope: Construct, *, queue: sqs.IQueue) -> None:
        """Triggers when a message waits for its function for an hour."""
        self.at_least(
            scope,
            "Age",
            metric=queue.metric_approximate_age_of_oldest_message(
                period=Duration.minutes(5), statistic="Maximum"
            ),
            threshold=OLDEST_MESSAGE_SECONDS,
            periods=1,
            description="A message has waited for an hour.",
            runbook=Runbook.QUEUE_WAITS,
        )

    def undelivered(self, scope: Construct, *, rule: events.IRule) -> None:
        """Trigger when EventBridge could not invoke a rule's target, or could not even keep that.

        The second metric counts events that are lost: the dead-letter queue did not take them.
        (EventBridge User Guide, "Monitoring Amazon EventBridge".)
        """
        for metric_name, description, severity in (
            ("FailedInvocations", "EventBridge could not invoke the target of a rule.", None),
            (
                "InvocationsFailedToBeSentToDlq",
                "EventBridge lost an event of a rule.",
                Severity.PAGE,
            ),
        ):
            metric = cloudwatch.Metric(
                namespace="AWS/Events",
                metric_name=metric_name,
                dimensions_map={"RuleName": rule.rule_name},
                period=Duration.minutes(5),
                statistic="Sum",
            )
            self.first_one(
                scope,
                metric_name,
                metric=metric,
                description=description,
                runbook=Runbook.UNDELIVERED_EVENT,
                severity=severity,
            )

    def iterator_age(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: lambda_.IFunction,
        oldest_seconds: int = OLDEST_ITERATOR_SECONDS,
    ) -> None:
        """Triggers when projections lag behind the change streams."""
        self.at_least(
            scope,
            construct_id,
            metric=function.metric("IteratorAge", period=Duration.minutes(1), statistic="Maximum"),
            threshold=oldest_seconds * 1000,
            periods=OLD_PERIODS,
            description="Projections lag behind the change streams.",
            runbook=Runbook.STREAMS_LAG,
        )

    def log_line(  # noqa: PLR0913 - what an alarm on a log line is made of
        self,
        scope: Construct,
        construct_id: str,
        *,
        log_group: logs.ILogGroup,
        messages: Sequence[str],
        metric: OwnMetric,
        description: str,
        runbook: Runbook,
    ) -> None:
        """Triggers on a log line of the function whose message is one of `messages`."""
        self._count_lines(scope, construct_id, log_group, messages, metric)
        self.first_one(
            scope,
            construct_id,
            metric=own_metric(self.stage_name, metric),
            description=description,
            runbook=runbook,
        )

    def unreadable_fields(self, scope: Construct) -> None:
        """Triggers when a function could not decrypt a field: moved or changed, or its key gone.

        One alarm for all functions whose lines `count_unreadable_fields` counts.
        """
        self.first_one(
            scope,
            "UnreadableFields",
            metric=own_metric(self.stage_name, OwnMetric.UNREADABLE_FIELDS),
            description="An encrypted field was moved or changed, or its key is gone; see the log.",
            runbook=Runbook.DECRYPTION_FAILURE,
        )

    def refusals(self, scope: Construct, construct_id: str, *, log_group: logs.ILogGroup) -> None:
        """Counts refused tokens by reason, and triggers when there are many in total."""
        refused = logs.FilterPattern.string_value("$.message", "=", ACCESS_REFUSED)
        log_group.add_metric_filter(
            f"{construct_id}ByReason",
            filter_pattern=refused,
            metric_namespace=self.namespace,
            metric_name=OwnMetric.TOKENS_REFUSED,
            metric_value="1",
            dimensions={"Reason": "$.reason"},
        )
        # CloudWatch adds nothing up over a dimension, and an alarm may not search: its own sum.
        in_all = log_group.add_metric_filter(
            f"{construct_id}InAll",
            filter_pattern=refused,
            metric_namespace=self.namespace,
            metric_name=OwnMetric.TOKENS_REFUSED_IN_ALL,
            metric_value="1",
        )
        self.at_least(
            scope,
            construct_id,
            metric=in_all.metric(period=Duration.minutes(REFUSALS_MINUTES), statistic="Sum"),
            threshold=MANY_REFUSALS,
            periods=1,
            description="Tokens are refused: an attack, a misconfigured client, or no keys.",
            runbook=Runbook.TOKENS_REJECTED,
        )

    def alerts(self, scope: Construct, construct_id: str, *, log_group: logs.ILogGroup) -> None:
        """Counts announced alerts by type, and triggers for serious ones."""
        raised = logs.FilterPattern.string_value("$.message", "=", ALERT_RAISED)
        log_group.add_metric_filter(
            f"{construct_id}ByType",
            filter_pattern=raised,
            metric_namespace=self.namespace,
            metric_name=OwnMetric.ALERTS,
            metric_value="1",
            dimensions={"Type": "$.alert_type"},
        )
        # An alarm watches one metric, and knows no "any of these dimensions".
        types = (logs.FilterPattern.string_value("$.alert_type", "=", each) for each in SERIOUS)
        serious = log_group.add_metric_filter(
            f"{construct_id}Serious",
            filter_pattern=logs.FilterPattern.all(raised, logs.FilterPattern.any(*types)),
            metric_namespace=self.namespace,
            metric_name=OwnMetric.SERIOUS_ALERTS,
            metric_value="1",
        )
        self.first_one(
            scope,
            construct_id,
            metric=serious.metric(period=Duration.minutes(1), statistic="Sum"),
            description="A serious alert was raised; see GET /v1/alerts.",
            runbook=Runbook.SERIOUS_ALERT,
        )

    def first_one(
        self,
        scope: Construct,
        construct_id: str,
        *,
        metric: cloudwatch.IMetric,
        description: str,
        runbook: Runbook,
        severity: Severity | None = None,
    ) -> None:
        """Triggers when `metric` counts at least one in a period."""
        self.at_least(
            scope,
            construct_id,
            metric=metric,
            threshold=1,
            periods=1,
            description=description,
            runbook=runbook,
            severity=severity,
        )

    def at_least(  # noqa: PLR0913 - what an alarm is made of
        self,
        scope: Construct,
        construct_id: str,
        *,
        metric: cloudwatch.IMetric,
        threshold: float,
        periods: int,
        description: str,
        runbook: Runbook,
        severity: Severity | None = None,
        version: str | None = None,
        below: bool = False,
    ) -> cloudwatch.Alarm:
        """Triggers when `metric` is at least `threshold` in each of `periods` periods.

        `below`: when it is less, or missing. With the `version` of a function, each version has
        an alarm of its own, which ends the version's deployment and notifies no one.
        """
        name = self._name(scope, construct_id)
        calls = severity or runbook.severity
        if version is None:
            self.made[name] = calls
        alarm = cloudwatch.Alarm(
            scope,
            construct_id,
            alarm_name=name if version is None else f"{name}-{version}",
            alarm_description=f"{description} Runbook: {runbook.link(self.runbooks)}",
            comparison_operator=_BELOW if below else _AT_LEAST,
            evaluation_periods=periods,
            metric=metric,
            threshold=threshold,
            treat_missing_data=_BREACHING if below else _NOT_BREACHING,
        )
        topic = self.topics.get(calls)
        if topic is not None and version is None:
            notify = actions.SnsAction(topic)
            alarm.add_alarm_action(notify)
            alarm.add_ok_action(notify)
        return alarm

    def count_unreadable_fields(
        self, scope: Construct, construct_id: str, *, log_group: logs.ILogGroup
    ) -> None:
        """Count a function's log lines about fields that it could not decrypt."""
        metric = OwnMetric.UNREADABLE_FIELDS
        self._count_lines(scope, construct_id, log_group, DECRYPTION_FAILED, metric)

    def _count_lines(
        self,
        scope: Construct,
        construct_id: str,
        log_group: logs.ILogGroup,
        messages: Sequence[str],
        metric: OwnMetric,
    ) -> None:
        logs.MetricFilter(
            scope,
            f"{construct_id}Lines",
            log_group=log_group,
            filter_pattern=logs.FilterPattern.any(
                *(logs.FilterPattern.string_value("$.message", "=", each) for each in messages)
            ),
            metric_namespace=self.namespace,
            metric_name=metric,
            metric_value="1",
        )

    @property
    def namespace(self) -> str:
        """Of the stage's own metrics."""
        return namespace_of(self.stage_name)

    def _name(self, scope: Construct, construct_id: str) -> str:
        """`payments-prod-process-errors`, from the place of the alarm in its stack."""
        place = [*scope.node.path.split("/")[1:], construct_id]
        return "-".join([f"payments-{self.stage_name}", *map(_kebab, place)])


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
