"""Metrics of our own: their names, and the log lines that CloudWatch makes them from.

Metric filters read lines that are written anyway, so a metric costs no request any time. AWS
charges for each metric by the month, so dimensions have few values: never a merchant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from runtime.core.log_messages import (
    ANSWER_LOST,
    CHARGE,
    PAYMENTS_RESOLVED,
    REFUSED,
    SERVED,
    UNSETTLED_SEARCHED,
    WEBHOOK_TURN,
    WEBHOOKS_QUEUED,
)
from runtime.settings import CANARY_FAILED, CANARY_MILLISECONDS, CANARY_SUCCEEDED

Value = str | int | bool


class OwnMetric(StrEnum):
    """Names within the namespace of the stage."""

    PAYMENTS_SUCCEEDED = "PaymentsSucceeded"
    """Answers 201 to a new payment, repeated answers left out; likewise the next one."""
    PAYMENTS_DECLINED = "PaymentsDeclined"
    PAYMENTS_UNKNOWN = "PaymentsUnknown"
    """New payments whose processor did not answer. Those that wait for a customer do not count."""
    CONFLICTS = "Conflicts"
    """Answers 409."""
    RATE_LIMITED = "RateLimited"
    """Answers 429 of the platform itself: a merchant's own limits."""
    DATABASE_RETRIES = "DatabaseRetries"
    """Repeated calls to DynamoDB, per answered request."""
    OLDEST_OPEN_SECONDS = "OldestOpenSeconds"
    """Age of the oldest payment or operation that a run of the resolver left open."""
    STILL_OPEN = "StillOpen"
    """Payments and operations about which a run of the resolver asked in vain."""
    WEBHOOK_AGE_SECONDS = "WebhookAgeSeconds"
    """From the event to its delivery."""
    WEBHOOKS_TO_RETRY = "WebhooksToRetry"
    WEBHOOKS_GIVEN_UP = "WebhooksGivenUp"
    WEBHOOKS_DUE = "WebhooksDue"
    """Deliveries that were due for a retry."""
    OPEN_EXCEPTIONS = "OpenExceptions"
    OLDEST_EXCEPTION_DAYS = "OldestExceptionDays"
    ALERTS = "Alerts"
    """By their type."""
    SERIOUS_ALERTS = "SeriousAlerts"
    TOKENS_REFUSED = "TokensRefused"
    """By the reason."""
    TOKENS_REFUSED_IN_ALL = "TokensRefusedInAll"
    UNREADABLE_FIELDS = "UnreadableFields"
    CHANGED_OUT_OF_BAND = "ChangedPastTheLedger"
    AUDIT_TAMPERED = "AuditTampered"
    LEDGER_VERIFICATION_FAILED = "LedgerVerificationFailed"
    UNKNOWN_TOO_OLD = "UnknownTooOld"
    POLL_UNFINISHED = "PollUnfinished"
    MISSING_UNFINISHED = "MissingUnfinished"
    TOTALS_NOT_COMPACTED = "TotalsNotCompacted"
    EXPORTS_GIVEN_UP = "ExportsGivenUp"
    CANARY_SUCCEEDED = "CanarySucceeded"
    """Runs of the canary, where the stage has one; likewise the next two."""
    CANARY_FAILED = "CanaryFailed"
    CANARY_MILLISECONDS = "CanaryMilliseconds"
    """How long the payment took, or with live payments the read of an account."""


@dataclass(frozen=True)
class LineMetric:
    """What a line of a function must say to count, and by how much it counts.

    `fields`: their values, one of several in a tuple. `value`: a number, or a field (`$.age`).
    """

    metric: OwnMetric
    service: str
    fields: Mapping[str, Value | tuple[Value, ...]]
    value: str = "1"


def _payments(metric: OwnMetric, status: int) -> LineMetric:
    fields: dict[str, Value | tuple[Value, ...]] = {
        "message": SERVED,
        "operation": "createPayment",
        "status": status,
        "replayed": False,
    }
    return LineMetric(metric, "process", fields)


LINE_METRICS: Final = (
    _payments(OwnMetric.PAYMENTS_SUCCEEDED, 201),
    _payments(OwnMetric.PAYMENTS_DECLINED, 402),
    LineMetric(OwnMetric.PAYMENTS_UNKNOWN, "process", {"message": ANSWER_LOST, "type": CHARGE}),
    LineMetric(OwnMetric.CONFLICTS, "process", {"message": REFUSED, "status": 409}),
    LineMetric(OwnMetric.RATE_LIMITED, "process", {"message": REFUSED, "status": 429}),
    *(
        LineMetric(OwnMetric.DATABASE_RETRIES, service, {"message": SERVED}, "$.database.retries")
        for service in ("process", "query")
    ),
    LineMetric(
        OwnMetric.OLDEST_OPEN_SECONDS,
        "resolver",
        {"message": PAYMENTS_RESOLVED},
        "$.oldest_open_seconds",
    ),
    LineMetric(OwnMetric.STILL_OPEN, "resolver", {"message": PAYMENTS_RESOLVED}, "$.waiting"),
    LineMetric(
        OwnMetric.WEBHOOK_AGE_SECONDS,
        "deliver",
        {"message": WEBHOOK_TURN, "outcome": "delivered"},
        "$.age_seconds",
    ),
    LineMetric(
        OwnMetric.WEBHOOKS_TO_RETRY, "deliver", {"message": WEBHOOK_TURN, "outcome": "to_retry"}
    ),
    LineMetric(
        OwnMetric.WEBHOOKS_GIVEN_UP,
        "deliver",
        {"message": WEBHOOK_TURN, "outcome": ("failed", "expired")},
    ),
    LineMetric(OwnMetric.WEBHOOKS_DUE, "retries", {"message": WEBHOOKS_QUEUED}, "$.due"),
    LineMetric(
        OwnMetric.OPEN_EXCEPTIONS,
        "missing",
        {"message": UNSETTLED_SEARCHED},
        "$.open_exceptions",
    ),
    LineMetric(
        OwnMetric.OLDEST_EXCEPTION_DAYS,
        "missing",
        {"message": UNSETTLED_SEARCHED},
        "$.oldest_exception_days",
    ),
    LineMetric(OwnMetric.CANARY_SUCCEEDED, "canary", {"message": CANARY_SUCCEEDED}),
    LineMetric(OwnMetric.CANARY_FAILED, "canary", {"message": CANARY_FAILED}),
    LineMetric(
        OwnMetric.CANARY_MILLISECONDS,
        "canary",
        {"message": CANARY_SUCCEEDED},
        f"$.{CANARY_MILLISECONDS}",
    ),
)
"""Those that the dashboard shows; `Alarms` makes the others, and watches them."""


def namespace_of(stage_name: str) -> str:
    """Of the stage's own metrics. Each stage has its own: an account may have several stages."""
    return f"payments/{stage_name}"


def own_metric(
    stage_name: str, metric: OwnMetric, *, statistic: str = "Sum", minutes: int = 1
) -> cloudwatch.Metric:
    """The metric over all of its dimensions' values, if it has any."""
    return cloudwatch.Metric(
        namespace=namespace_of(stage_name),
        metric_name=metric,
        period=Duration.minutes(minutes),
        statistic=statistic,
    )


def count_lines(
    scope: Construct, construct_id: str, *, service: str, log_group: logs.ILogGroup, stage: str
) -> None:
    """Make the metrics of a function's log lines."""
    for each in LINE_METRICS:
        if each.service == service:
            logs.MetricFilter(
                scope,
                f"{construct_id}{each.metric}",
                log_group=log_group,
                filter_pattern=logs.FilterPattern.all(
                    *(_says(f"$.{name}", value) for name, value in each.fields.items())
                ),
                metric_namespace=namespace_of(stage),
                metric_name=each.metric,
                metric_value=each.value,
            )


def _says(field: str, value: Value | tuple[Value, ...]) -> logs.JsonPattern:
    match value:
        case tuple():
            return logs.FilterPattern.any(*(_says(field, each) for each in value))
        case bool():
            return logs.FilterPattern.boolean_value(field, value)
        case int():
            return logs.FilterPattern.number_value(field, "=", value)
        case str():
            return logs.FilterPattern.string_value(field, "=", value)
