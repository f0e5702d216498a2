"""Integrity of the books, and the limits of AWS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_

from stacks.constructs.durations import minutes
from stacks.constructs.table_alarms import KINDS, throttle_metrics
from stacks.dashboard.panels import Panel, Section
from stacks.dashboard.watched import Watched, total
from stacks.own_metrics import OwnMetric
from stacks.runbooks import Runbook

MINUTES: Final = 5
BUSY_FUNCTIONS: Final = ("process", "query", "authorizer", "project", "deliver")
"""Whose executions at once grow with the load."""


def sections(watched: Watched) -> Sequence[Section]:
    """Tampering and verification, then capacity."""
    return (
        Section("Integrity", _integrity(watched)),
        Section("Capacity", _capacity(watched)),
    )


def _integrity(watched: Watched) -> Sequence[Panel]:
    def line(metric: OwnMetric, label: str) -> cloudwatch.Metric:
        return watched.own(metric, label, minutes=60)

    return (
        Panel(
            "Tampering",
            "findings",
            "Should be zero at all times: rows changed past the platform, or audit rows forged.",
            Runbook.OUT_OF_BAND,
            [
                line(OwnMetric.CHANGED_OUT_OF_BAND, "changed out of band, or parked"),
                line(OwnMetric.AUDIT_TAMPERED, "audit rows"),
                line(OwnMetric.UNREADABLE_FIELDS, "fields that cannot be decrypted"),
            ],
        ),
        Panel(
            "Ledger verifications that failed",
            "runs",
            "Should be zero: balances, entries, payments or settlements do not agree.",
            Runbook.LEDGER_VERIFICATION,
            [line(OwnMetric.LEDGER_VERIFICATION_FAILED, "failed")],
        ),
        Panel(
            "Serious alerts, and work given up",
            "events",
            "Should be zero; the alert's own page says what to do.",
            Runbook.SERIOUS_ALERT,
            [
                line(OwnMetric.SERIOUS_ALERTS, "serious alerts"),
                line(OwnMetric.EXPORTS_GIVEN_UP, "exports"),
                line(OwnMetric.TOTALS_NOT_COMPACTED, "totals not compacted"),
            ],
        ),
    )


def _capacity(watched: Watched) -> Sequence[Panel]:
    period = minutes(MINUTES)
    functions = sorted(watched.functions)
    return (
        Panel(
            "Throttled by DynamoDB",
            "requests",
            "Some during a sudden peak are repeated and harmless; lasting ones need more capacity.",
            Runbook.TABLE_THROTTLED,
            [
                total(
                    [
                        metric
                        for table in watched.tables.values()
                        for metric in throttle_metrics(table, [kind])
                    ],
                    f"{kind.lower()}s",
                    prefix=kind.lower(),
                    minutes=MINUTES,
                )
                for kind in KINDS
            ],
        ),
        Panel(
            "Errors and throttles of functions",
            "invocations",
            "Should be zero: crashes, timeouts, and invocations that found no free environment.",
            Runbook.FUNCTION_ERRORS,
            [
                total(
                    [watched.functions[name].function.metric(what) for name in functions],
                    what.lower(),
                    prefix=what.lower(),
                    minutes=MINUTES,
                )
                for what in ("Errors", "Throttles")
            ],
        ),
        Panel(
            "Executions at once",
            "executions",
            "The account's limit is 1,000 unless it was raised, and 10 in a new account.",
            Runbook.FUNCTION_THROTTLED,
            [
                lambda_.Function.metric_all_concurrent_executions(
                    period=period, statistic="Maximum", label="account"
                ),
                *(
                    watched.functions[name].function.metric(
                        "ConcurrentExecutions", period=period, statistic="Maximum", label=name
                    )
                    for name in BUSY_FUNCTIONS
                    if name in watched.functions
                ),
            ],
        ),
    )
