"""Work behind the requests: unknown outcomes, webhooks, streams, queues, settlements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sqs as sqs

from stacks.dashboard.panels import Panel, Section
from stacks.dashboard.watched import Watched
from stacks.own_metrics import OwnMetric
from stacks.runbooks import Guide, Runbook

ASKED_MINUTES: Final = 15
"""Within so many minutes the resolver asks about everything that is open."""
DAY_MINUTES: Final = 1_440
STREAM_READERS: Final = ("project", "archive")


def sections(watched: Watched) -> Sequence[Section]:
    """What is finished, delivered and derived after the answer."""
    return (
        Section("Unknown outcomes", _unknown(watched)),
        Section("Webhooks", _webhooks(watched)),
        Section("Change streams and queues", _streams_and_queues(watched)),
        Section("Settlements", _settlements(watched)),
    )


def _unknown(watched: Watched) -> Sequence[Panel]:
    return (
        Panel(
            "Age of the oldest open outcome",
            "seconds",
            "Minutes are normal while a processor is slow; an alert is raised long before a day.",
            Guide.UNKNOWN_PAYMENT,
            [
                watched.own(
                    OwnMetric.OLDEST_OPEN_SECONDS,
                    "oldest payment or operation",
                    statistic="Maximum",
                    minutes=ASKED_MINUTES,
                )
            ],
        ),
        Panel(
            "Still open",
            "payments and operations",
            "Asked about in vain by one run of the resolver; should return to zero by itself.",
            Guide.UNKNOWN_PAYMENT,
            [watched.own(OwnMetric.STILL_OPEN, "in one run", statistic="Maximum", minutes=5)],
        ),
        Panel(
            "Unknown for too long",
            "reports",
            "Should be zero: a processor does not report an outcome, or refuses to void.",
            Runbook.PROCESSOR_SILENT,
            [watched.own(OwnMetric.UNKNOWN_TOO_OLD, "payments and voids", minutes=5)],
        ),
    )


def _webhooks(watched: Watched) -> Sequence[Panel]:
    return (
        Panel(
            "From event to delivery",
            "seconds",
            "Half are delivered in seconds; p99 follows slow endpoints, and events sent again by "
            "hand.",
            Guide.NO_WEBHOOKS,
            [
                watched.own(OwnMetric.WEBHOOK_AGE_SECONDS, each, statistic=each, minutes=5)
                for each in ("p50", "p95", "p99")
            ],
        ),
        Panel(
            "Deliveries and failed attempts",
            "attempts",
            "Failures of some endpoints are normal; if all fail, look at our own network first.",
            Guide.NO_WEBHOOKS,
            [
                watched.own(
                    OwnMetric.WEBHOOK_AGE_SECONDS, "delivered", statistic="SampleCount", minutes=5
                ),
                watched.own(OwnMetric.WEBHOOKS_TO_RETRY, "to be retried", minutes=5),
                watched.own(OwnMetric.WEBHOOKS_GIVEN_UP, "given up", minutes=5),
            ],
        ),
        Panel(
            "Due for a retry",
            "deliveries",
            "Found by each run of the schedule; growth over hours means that retries do not keep "
            "up.",
            Guide.BACKLOGS,
            [watched.own(OwnMetric.WEBHOOKS_DUE, "due", statistic="Maximum", minutes=5)],
        ),
    )


def _streams_and_queues(watched: Watched) -> Sequence[Panel]:
    return (
        Panel(
            "Age of change streams",
            "seconds",
            "Below a few seconds; what is derived (entries, webhooks, totals, audit rows) is as "
            "late as this.",
            Runbook.STREAMS_LAG,
            [_iterator_age(name, watched) for name in STREAM_READERS],
        ),
        Panel(
            "Messages in dead-letter queues",
            "messages",
            "Should be zero: each message is work that failed repeatedly and needs a person.",
            Runbook.DEAD_LETTER,
            _depths(watched.dead_letters),
        ),
        Panel(
            "Oldest message of each queue",
            "seconds",
            "Seconds, or minutes while files are processed; an hour triggers the alarm.",
            Runbook.QUEUE_WAITS,
            [
                queue.metric_approximate_age_of_oldest_message(
                    period=Duration.minutes(5), statistic="Maximum", label=name
                )
                for name, queue in sorted(watched.queues.items())
            ],
        ),
    )


def _iterator_age(name: str, watched: Watched) -> cloudwatch.MathExpression:
    function = watched.functions[name].function
    age = function.metric("IteratorAge", period=Duration.minutes(1), statistic="Maximum")
    return cloudwatch.MathExpression(
        expression=f"{name} / 1000",
        using_metrics={name: age},
        label=name,
        period=Duration.minutes(1),
    )


def _depths(queues: Mapping[str, sqs.IQueue]) -> list[cloudwatch.IMetric]:
    return [
        queue.metric_approximate_number_of_messages_visible(
            period=Duration.minutes(5), statistic="Maximum", label=name
        )
        for name, queue in sorted(queues.items())
    ]


def _settlements(watched: Watched) -> Sequence[Panel]:
    return (
        Panel(
            "Open exceptions",
            "exceptions",
            "Counted by the daily sweep over all merchants; finance resolves them.",
            Guide.EXCEPTIONS,
            [
                watched.own(
                    OwnMetric.OPEN_EXCEPTIONS, "open", statistic="Maximum", minutes=DAY_MINUTES
                )
            ],
        ),
        Panel(
            "Age of the oldest exception",
            "days",
            "Since the date of its settlement; should not exceed what finance has agreed.",
            Guide.EXCEPTIONS,
            [
                watched.own(
                    OwnMetric.OLDEST_EXCEPTION_DAYS,
                    "oldest",
                    statistic="Maximum",
                    minutes=DAY_MINUTES,
                )
            ],
        ),
        Panel(
            "Sweeps that do not finish",
            "runs",
            "Should be zero: runs of the poll and of the sweep that did not reach all merchants.",
            Runbook.MISSING_UNFINISHED,
            [
                watched.own(OwnMetric.MISSING_UNFINISHED, "sweep", minutes=60),
                watched.own(OwnMetric.POLL_UNFINISHED, "poll", minutes=60),
            ],
        ),
    )
