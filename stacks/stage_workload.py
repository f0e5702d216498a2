"""Parts of a stage's settings: how much it does at once, how often, and from when on."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from runtime.audit.models import ROOT_MINUTES
from runtime.settings import (
    LARGE_TRANSACTION_MINOR,
    MAX_RESOLVER_WORKERS,
    MAX_VELOCITY_PAYMENTS,
    RESOLVER_WORKERS,
    RESOLVER_WORKERS_PER_MERCHANT,
    VELOCITY_PAYMENTS,
)
from stacks.stage_parts import StagePart

FIRST_PYTHON_WITH_SNAP_START: Final = 12
"""The minor version (Lambda Developer Guide, "Improving startup performance with SnapStart")."""


class LambdaRuntime(StagePart, frozen=True):
    """Processor and Python of the functions."""

    architecture: Literal["arm64", "x86_64"] = "arm64"
    """The processor that the functions run on. Costs: Lambda's x86_64 is a quarter more expensive
    per GB-second."""
    python_version: Annotated[str, Field(pattern=r"^3\.\d+$")] = "3.13"
    """The Python of Lambda's runtime; the asset is built for it."""


class Throttling(StagePart, frozen=True):
    """Requests that the API accepts, over all callers: steady rate, and bucket size.

    Public routes have their own token bucket each, so that they cannot use up the limit of others:
    `public_*` for health, documentation and unknown paths, `events_*` for processors' notifications
    (a processor sends again what was answered 429).
    """

    rate_per_second: Annotated[int, Field(ge=1)] = 1000
    """Requests per second over all callers; above it the gateway answers 429. Costs: nothing by
    itself; it limits what a flood of requests can cost."""
    burst: Annotated[int, Field(ge=1)] = 500
    """Requests above the rate that are accepted at once (size of the token bucket)."""
    public_rate_per_second: Annotated[int, Field(ge=1)] = 50
    """Requests per second for each route that needs no token."""
    public_burst: Annotated[int, Field(ge=1)] = 100
    """The bucket of each such route."""
    events_rate_per_second: Annotated[int, Field(ge=1)] = 100
    """Processors' notifications per second; processors send again what was answered 429."""
    events_burst: Annotated[int, Field(ge=1)] = 200
    """The bucket of the notifications' route."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        for name, rate in (
            ("public_rate_per_second", self.public_rate_per_second),
            ("events_rate_per_second", self.events_rate_per_second),
        ):
            if rate > self.rate_per_second:
                raise ValueError(
                    f"{name} ({rate}) must not exceed rate_per_second ({self.rate_per_second})"
                )
        return self


class Concurrency(StagePart, frozen=True):
    """Executions at once. None: only the account's own limit; a number is reserved from it.

    Reserve for process and authorizer where other functions, `query` among them, could fill the
    account: what is reserved is theirs, and no more than that. An account keeps 100 unreserved, so
    one with a limit of 10, as new accounts have, can reserve nothing (Lambda Developer Guide,
    "Configuring reserved concurrency").
    """

    authorizer: Annotated[int | None, Field(ge=1)] = None
    """Executions reserved for the authorizer, which are also its maximum."""
    process: Annotated[int | None, Field(ge=1)] = None
    """Executions reserved for `process` (POST, PATCH, DELETE), which are also its maximum."""
    query: Annotated[int | None, Field(ge=1)] = None
    """Executions reserved for `query` (GET), which are also its maximum."""
    reconcile: Annotated[int, Field(ge=2, le=1000)] = 20
    """Chunks of settlement files at once: 1,000 lines each."""
    deliver: Annotated[int, Field(ge=2, le=1000)] = 20
    """Batches of ten webhooks that are sent at once."""
    export: Annotated[int, Field(ge=2, le=1000)] = 5
    """Exports that are written at once. At least 2: the smallest maximum concurrency of an SQS
    event source."""


class Schedules(StagePart, frozen=True):
    """Minutes between two runs.

    Each run is an invocation that reads what is due, even if nothing is: shorter intervals cost
    more on an idle stage.
    """

    resolver_minutes: Annotated[int, Field(ge=1, le=60)] = 1
    """How often payments are finished whose request died or whose answer was lost."""
    holds_minutes: Annotated[int, Field(ge=1, le=60)] = 1
    """How often expired holds are released."""
    totals_minutes: Annotated[int, Field(ge=5, le=1440)] = 60
    """How often totals of closed days are compacted."""
    proof_minutes: Annotated[int, Field(ge=5, le=10_080)] = 1440
    """How often the ledger is verified. Costs: an incremental run reads what changed
    ([costs](costs.md#ledger-verification))."""
    full_proof_days: Annotated[int, Field(ge=1, le=366)] = 30
    """How long after a full verification the next run is full again; others are incremental.
    Costs: a full run reads everything ([costs](costs.md#ledger-verification))."""
    archive_minutes: Annotated[int, Field(ge=5, le=ROOT_MINUTES)] = ROOT_MINUTES
    """Signed roots over the archive of the audit log; its rows are archived as they come. A day at
    the most: a verification calls a segment that has waited twice as long a finding."""
    retries_minutes: Annotated[int, Field(ge=1, le=60)] = 1
    """How often webhooks are queued that are due."""
    poll_minutes: Annotated[int, Field(ge=5, le=1440)] = 1440
    """How often processors are polled for events without a notification."""
    missing_minutes: Annotated[int, Field(ge=5, le=1440)] = 1440
    """How often captures and refunds are looked for that no settlement file names."""
    rotation_minutes: Annotated[int, Field(ge=5, le=10_080)] = 1440
    """The sweep for old keys; a new one begins a week after the last."""
    canary_minutes: Annotated[int | None, Field(ge=5, le=240)] = None
    """How often the canary uses the API as a client does ([canary](operations.md#the-canary)). Not
    set: there is none. Costs: less than $1 a month for its runs, and metrics ([without
    payments](costs.md#without-payments))."""


class Resolver(StagePart, frozen=True):
    """How many payments one run of the resolver asks about at once, and how many of a merchant."""

    workers: Annotated[int, Field(ge=2, le=MAX_RESOLVER_WORKERS)] = RESOLVER_WORKERS
    """Payments at once, each on a thread of the function."""
    workers_per_merchant: Annotated[int, Field(ge=1)] = RESOLVER_WORKERS_PER_MERCHANT
    """Payments of one merchant at once; less than `workers`, so that a slow processor of one
    merchant does not delay the others."""

    @model_validator(mode="after")
    def _leaves_workers_for_others(self) -> Self:
        if self.workers_per_merchant >= self.workers:
            raise ValueError(
                f"workers_per_merchant ({self.workers_per_merchant}) must be less than workers "
                f"({self.workers}): one merchant's slow processor would keep all others waiting"
            )
        return self


class Webhooks(StagePart, frozen=True):
    """How long a webhook is tried, and how long after each attempt the next one comes."""

    deadline_seconds: Annotated[int, Field(ge=60, le=14 * 86_400)] = 3 * 86_400
    """How long after its creation a webhook is still tried; then it is `expired`."""
    retry_delays_seconds: Annotated[
        tuple[Annotated[int, Field(ge=1, le=7 * 86_400)], ...], Field(min_length=1, max_length=32)
    ] = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400)
    """How long after each failed attempt the next one comes. The last one is repeated."""


class Lockout(StagePart, frozen=True):
    """So many failed payments or transfers of a customer in a row lock it for so long."""

    after_failures: Annotated[int, Field(ge=2, le=100)] = 3
    """Consecutive failures that lock a customer or account."""
    seconds: Annotated[int, Field(ge=1, le=31 * 86_400)] = 1_800
    """How long it is locked."""


class AlertThresholds(StagePart, frozen=True):
    """From which amount, and from how many payments of a customer within a minute, on."""

    large_transaction_minor: Annotated[int, Field(ge=1)] = LARGE_TRANSACTION_MINOR
    """Amount in minor units of the payment's currency, from which on a payment raises an alert."""
    velocity_payments: Annotated[int, Field(ge=2, le=MAX_VELOCITY_PAYMENTS)] = VELOCITY_PAYMENTS
    """Payments of a customer within 60 seconds that raise an alert."""


class ProcessorEvents(StagePart, frozen=True):
    """How many disputes of one payment are booked, and how many days back the poll asks."""

    max_disputes: Annotated[int, Field(ge=10, le=1_000)] = 100
    """Disputes of one payment that are booked; further ones are kept as unapplied events."""
    poll_days: Annotated[int, Field(ge=1, le=30)] = 3
    """How many days back a poll asks processors for events."""
