"""Metrics of the canary from its log lines, and one alarm: it has not succeeded for a while."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs

from runtime.settings import CANARY_FAILED, CANARY_MILLISECONDS, CANARY_SUCCEEDED
from stacks.constructs.alarms import Alarms
from stacks.constructs.service_function import ServiceFunction
from stacks.runbooks import Runbook
from stacks.stage import StageConfig

RUNS_WITHOUT_SUCCESS: Final = 3
"""A single run may meet a deployment, or a processor that is busy."""


def watch_canary(function: ServiceFunction, *, stage: StageConfig, alarms: Alarms) -> None:
    """Metrics `CanarySucceeded`, `CanaryFailed` and `CanaryMilliseconds`, and the alarm.

    The alarm also triggers if the canary does not run at all.
    """
    minutes = stage.schedules.canary_minutes
    assert minutes is not None, "without a schedule there is no canary"  # noqa: S101 - a bug
    succeeded = _metric(function, alarms, "CanarySucceeded", CANARY_SUCCEEDED, "1")
    _metric(function, alarms, "CanaryFailed", CANARY_FAILED, "1")
    _metric(function, alarms, "CanaryMilliseconds", CANARY_SUCCEEDED, f"$.{CANARY_MILLISECONDS}")
    alarms.at_least(
        function,
        "Failing",
        metric=succeeded.metric(period=Duration.minutes(minutes), statistic="Sum"),
        threshold=1,
        periods=RUNS_WITHOUT_SUCCESS,
        description="The canary fails, or does not run: clients may not be able to pay.",
        runbook=Runbook.CANARY_FAILS,
        below=True,
    )


def _metric(
    function: ServiceFunction, alarms: Alarms, name: str, message: str, value: str
) -> logs.MetricFilter:
    return logs.MetricFilter(
        function,
        f"{name}Lines",
        log_group=function.log_group,
        filter_pattern=logs.FilterPattern.string_value("$.message", "=", message),
        metric_namespace=alarms.namespace,
        metric_name=name,
        metric_value=value,
        unit=cloudwatch.Unit.MILLISECONDS if value.startswith("$") else cloudwatch.Unit.COUNT,
    )
