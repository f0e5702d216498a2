"""Requests: payments and their outcomes, answers, and how long clients wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch

from runtime.api.endpoints import ENDPOINTS
from runtime.http.endpoint import Endpoint, Function
from stacks.constructs.durations import minutes
from stacks.dashboard.panels import Panel, Section
from stacks.dashboard.watched import Watched, calculated, total
from stacks.own_metrics import OwnMetric
from stacks.runbooks import Guide, Runbook

GATEWAY: Final = "AWS/ApiGateway"
DEFAULT_STAGE: Final = "$default"
PERCENTILES: Final = ("p50", "p95", "p99")
MINUTES: Final = 5
"""Period of rates and percentiles: of a minute there may be too few requests to say anything."""
_math = partial(calculated, minutes=MINUTES)


@dataclass(frozen=True)
class RouteGroup:
    """Routes that clients use for one thing: their tags, and the function behind them if one."""

    title: str
    tags: frozenset[str]
    function: Function | None = None

    def includes(self, endpoint: Endpoint) -> bool:
        """Whether the route belongs to the group."""
        return endpoint.tag in self.tags and self.function in (None, endpoint.function)


_PAYMENTS: Final = frozenset({"payments"})
_LEDGER: Final = frozenset({"accounts", "transfers"})
ROUTE_GROUPS: Final = (
    RouteGroup("Charge, capture, cancel, refund", _PAYMENTS, "process"),
    RouteGroup("Read payments", _PAYMENTS, "query"),
    RouteGroup("Change accounts, transfer", _LEDGER, "process"),
    RouteGroup("Read accounts and transfers", _LEDGER, "query"),
    RouteGroup("Customers, merchants, API keys", frozenset({"customers", "merchants", "api keys"})),
    RouteGroup("Settlements and exports", frozenset({"settlements", "exports"})),
    RouteGroup("Webhooks and processor events", frozenset({"webhooks", "processor events"})),
    RouteGroup(
        "Audit, alerts, system",
        frozenset(
            {"alerts", "audit", "idempotency keys", "operations", "proof", "sandbox", "system"}
        ),
    ),
)
"""Each route is in one of them."""


def sections(watched: Watched) -> Sequence[Section]:
    """Payments, answers, latency, and the canary where the stage has one."""
    return (
        Section("Payments", (*_payments(watched),)),
        Section("Answers of the API", (*_answers(watched),)),
        Section("Latency by what clients do", (*_latencies(watched),)),
        *([Section("Canary", _canary(watched))] if "canary" in watched.functions else []),
    )


def outcomes(watched: Watched, minutes: int) -> dict[str, cloudwatch.Metric]:
    """New payments by outcome: the ids that expressions use."""
    return {
        "succeeded": watched.own(OwnMetric.PAYMENTS_SUCCEEDED, "succeeded", minutes=minutes),
        "declined": watched.own(OwnMetric.PAYMENTS_DECLINED, "declined", minutes=minutes),
        "unknown": watched.own(OwnMetric.PAYMENTS_UNKNOWN, "unknown", minutes=minutes),
    }


def _payments(watched: Watched) -> Sequence[Panel]:
    counts = outcomes(watched, MINUTES)
    decided = "(FILL(succeeded, 0) + FILL(declined, 0))"
    of_both = {name: counts[name] for name in ("succeeded", "declined")}
    return (
        Panel(
            "New payments",
            "per second",
            "Should follow the hour of the day; a drop to nothing is an outage of clients or ours.",
            Runbook.API_ERRORS,
            [
                _math(f"{name} / PERIOD({name})", {name: metric}, name)
                for name, metric in counts.items()
            ],
        ),
        Panel(
            "Outcomes of decided payments",
            "percent",
            "Declines of 5 to 15 percent are usual; a jump is a processor's, or a card test's.",
            Runbook.SERIOUS_ALERT,
            [
                _math(f"100 * FILL(succeeded, 0) / {decided}", of_both, "success rate"),
                _math(f"100 * FILL(declined, 0) / {decided}", of_both, "decline rate"),
            ],
        ),
        Panel(
            "New payments without an answer",
            "payments",
            "Now and then one is normal; many mean that a processor does not answer in time.",
            Runbook.PROCESSOR_SILENT,
            [counts["unknown"]],
        ),
    )


def _canary(watched: Watched) -> Sequence[Panel]:
    """In periods of an hour: a run may be every few hours, and quarters of an hour say no more."""
    return (
        Panel(
            "Runs of the canary",
            "runs",
            "Each should succeed; one that fails alone may have met a deployment.",
            Runbook.CANARY_FAILS,
            [
                watched.own(OwnMetric.CANARY_SUCCEEDED, "succeeded", minutes=60),
                watched.own(OwnMetric.CANARY_FAILED, "failed", minutes=60),
            ],
        ),
        Panel(
            "Duration of the canary's request",
            "milliseconds",
            "Should be steady: it is one payment, or with live payments one read of an account.",
            Runbook.API_SLOW,
            [
                watched.own(
                    OwnMetric.CANARY_MILLISECONDS, "slowest", statistic="Maximum", minutes=60
                )
            ],
        ),
    )


def _answers(watched: Watched) -> Sequence[Panel]:
    api, period = watched.api, minutes(MINUTES)
    conflicts = [
        _of_table("TransactionConflict", each.table.table_name) for each in watched.tables.values()
    ]
    return (
        Panel(
            "Requests and errors",
            "requests",
            "5xx should be zero; 4xx are the clients' and should be a small, steady part.",
            Runbook.API_ERRORS,
            [
                api.metric_count(period=period, label="all"),
                api.metric_client_error(period=period, label="4xx"),
                api.metric_server_error(period=period, label="5xx"),
            ],
        ),
        Panel(
            "Conflicts and retries",
            "events",
            "Conflicts are repeated and harmless; if they grow faster than requests, a key is hot.",
            Runbook.TABLE_THROTTLED,
            [
                watched.own(OwnMetric.CONFLICTS, "answers 409", minutes=MINUTES),
                watched.own(OwnMetric.DATABASE_RETRIES, "database retries", minutes=MINUTES),
                total(conflicts, "transaction conflicts", prefix="conflict", minutes=MINUTES),
            ],
        ),
        Panel(
            "Turned away",
            "requests",
            "429 for a merchant's own limits, and refused tokens: one misconfigured client, or "
            "an attack.",
            Guide.MERCHANT_LIMITED,
            [
                watched.own(OwnMetric.RATE_LIMITED, "answers 429", minutes=MINUTES),
                watched.own(OwnMetric.TOKENS_REFUSED_IN_ALL, "tokens refused", minutes=MINUTES),
            ],
        ),
    )


def _latencies(watched: Watched) -> Sequence[Panel]:
    period = minutes(MINUTES)
    whole = Panel(
        "All requests",
        "milliseconds",
        "From the request's arrival to the answer, the processor's time included.",
        Runbook.API_SLOW,
        [
            watched.api.metric_latency(period=period, statistic=each, label=each)
            for each in PERCENTILES
        ],
    )
    return (whole, *(_latency(group, watched) for group in ROUTE_GROUPS))


def _latency(group: RouteGroup, watched: Watched) -> Panel:
    routes = [each for each in ENDPOINTS if group.includes(each)]
    api_id = watched.api.api_id
    return Panel(
        group.title,
        "milliseconds",
        "Each line shows the slowest route of the group: half of its requests, or all but 5 or 1 "
        "in 100, were faster.",
        Runbook.API_SLOW,
        [
            total(
                [_route_latency(route, api_id, percentile) for route in routes],
                percentile,
                prefix=f"{percentile}x",
                of="MAX",
                minutes=MINUTES,
            )
            for percentile in PERCENTILES
        ],
    )


def _route_latency(route: Endpoint, api_id: str, percentile: str) -> cloudwatch.Metric:
    # The guide ("Working with metrics for HTTP APIs") calls the last two dimensions together Route;
    # metrics that were read from HTTP APIs have Method and Resource, as REST APIs do
    # (prometheus-community/yet-another-cloudwatch-exporter, issue 1031).
    return cloudwatch.Metric(
        namespace=GATEWAY,
        metric_name="Latency",
        dimensions_map={
            "ApiId": api_id,
            "Method": route.method,
            "Resource": route.path,
            "Stage": DEFAULT_STAGE,
        },
        period=minutes(MINUTES),
        statistic=percentile,
    )


def _of_table(metric_name: str, table_name: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/DynamoDB",
        metric_name=metric_name,
        dimensions_map={"TableName": table_name},
        period=minutes(MINUTES),
        statistic="Sum",
    )
