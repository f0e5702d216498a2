"""Alarms on the whole API: server errors and latency."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigw
from constructs import Construct

from stacks.constructs.alarms import Alarms
from stacks.runbooks import Runbook

SERVER_ERRORS: Final = 10
"""Answers 500 to 599 within five minutes: more than requests that an overload turned away."""
SLOW_MILLISECONDS: Final = 5_000
"""Of the slowest hundredth of requests; a card processor may take 10 s."""
SLOW_PERIODS: Final = 3


def watch_api(scope: Construct, *, api: apigw.HttpApi, alarms: Alarms) -> None:
    """Trigger when the API answers with server errors, or slowly."""
    alarms.at_least(
        scope,
        "ServerErrors",
        metric=api.metric_server_error(period=Duration.minutes(5), statistic="Sum"),
        threshold=SERVER_ERRORS,
        periods=1,
        description="The API answers with server errors.",
        runbook=Runbook.API_ERRORS,
    )
    alarms.at_least(
        scope,
        "Latency",
        metric=api.metric_latency(period=Duration.minutes(5), statistic="p99"),
        threshold=SLOW_MILLISECONDS,
        periods=SLOW_PERIODS,
        description="One request in a hundred takes more than five seconds.",
        runbook=Runbook.API_SLOW,
    )
