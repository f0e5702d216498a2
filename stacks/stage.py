"""What differs between the stages: read from cdk.json, and judged before anything is built.

`StageConfig.named("prod", stages)` is frozen and complete. Every rule about which values may go
together stands here, so that a wrong combination is refused at synthesis, not found in production.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from runtime.audit.models import ROOT_MINUTES
from runtime.core.fields import ProcessorMode
from runtime.settings import (
    LARGE_TRANSACTION_MINOR,
    MAX_RESOLVER_WORKERS,
    MAX_VELOCITY_PAYMENTS,
    RESOLVER_WORKERS,
    RESOLVER_WORKERS_PER_MERCHANT,
    STRIPE_API_BASE,
    VELOCITY_PAYMENTS,
    StripeApiBase,
)
from stacks.stage_parts import (
    LOCAL,
    PLACEHOLDER_SUFFIX,
    AlarmConfig,
    AuthConfig,
    DataConfig,
    RoleName,
    RolePattern,
    StagePart,
    Streams,
)

PROD: Final = "prod"

MAX_API_INTEGRATION_SECONDS: Final = 30
"""An HTTP API gives an integration this long (API Gateway quota, not adjustable)."""
MAX_STAGE_NAME: Final = 12
"""Policies know our roles by how their names begin. CloudFormation cuts the names of roles to 64
characters: payments-<stage>-webhooks-DeliverRole<hash>-<random> must not be cut."""
MIN_SAFE_LEASE_SECONDS: Final = 30
"""Below this a lease could end while a slow processor call of its owner still runs."""

MIN_SAFE_CUT_SECONDS: Final = 330
"""Longer than any function that writes the ledger may run (reconcile: 300 s), clocks' errors
included: what a proof takes for committed must be."""

LogRetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827
]
"""The retention periods that CloudWatch Logs accepts, up to five years."""


class StageError(ValueError):
    """The stage does not exist, or its settings are wrong or must not be used there."""


FIRST_PYTHON_WITH_SNAP_START: Final = 12
"""The minor version (Lambda Developer Guide, "Improving startup performance with SnapStart")."""


class LambdaRuntime(StagePart, frozen=True):
    """Processor and Python of the functions."""

    architecture: Literal["arm64", "x86_64"] = "arm64"
    python_version: Annotated[str, Field(pattern=r"^3\.\d+$")] = "3.13"


class Throttling(StagePart, frozen=True):
    """Requests that the API accepts, over all callers: steady rate, and bucket size.

    Public routes have their own token bucket each, so that they cannot use up the limit of others:
    `public_*` for health, documentation and unknown paths, `events_*` for processors' notifications
    (a processor sends again what was answered 429).
    """

    rate_per_second: Annotated[int, Field(ge=1)] = 1000
    burst: Annotated[int, Field(ge=1)] = 500
    public_rate_per_second: Annotated[int, Field(ge=1)] = 50
    public_burst: Annotated[int, Field(ge=1)] = 100
    events_rate_per_second: Annotated[int, Field(ge=1)] = 100
    events_burst: Annotated[int, Field(ge=1)] = 200

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
    one with a limit of 10 can reserve nothing (Lambda Developer Guide, "Configuring reserved
    concurrency").
    """

    authorizer: Annotated[int | None, Field(ge=1)] = None
    process: Annotated[int | None, Field(ge=1)] = None
    query: Annotated[int | None, Field(ge=1)] = None
    reconcile: Annotated[int, Field(ge=2, le=1000)] = 20
    """Chunks of settlement files at once: 1,000 lines each."""
    deliver: Annotated[int, Field(ge=2, le=1000)] = 20
    export: Annotated[int, Field(ge=2, le=1000)] = 5
    """At least 2: the smallest maximum concurrency of an SQS event source."""


class Schedules(StagePart, frozen=True):
    """Minutes between two runs."""

    resolver_minutes: Annotated[int, Field(ge=1, le=60)] = 1
    holds_minutes: Annotated[int, Field(ge=1, le=60)] = 1
    totals_minutes: Annotated[int, Field(ge=5, le=1440)] = 60
    proof_minutes: Annotated[int, Field(ge=5, le=10_080)] = 1440
    full_proof_days: Annotated[int, Field(ge=1, le=366)] = 30
    """How long after a full verification the next run is full again; others are incremental."""
    archive_minutes: Annotated[int, Field(ge=5, le=ROOT_MINUTES)] = ROOT_MINUTES
    """Signed roots over the archive of the audit log; its rows are archived as they come. A day at
    the most: a verification calls a segment that has waited twice as long a finding."""
    retries_minutes: Annotated[int, Field(ge=1, le=60)] = 1
    poll_minutes: Annotated[int, Field(ge=5, le=1440)] = 1440
    """How often processors are polled for events without a notification."""
    missing_minutes: Annotated[int, Field(ge=5, le=1440)] = 1440
    """How often captures and refunds are looked for that no settlement file names."""
    rotation_minutes: Annotated[int, Field(ge=5, le=10_080)] = 1440
    """The sweep for old keys; a new one begins a week after the last."""


class Resolver(StagePart, frozen=True):
    """How many payments one run of the resolver asks about at once, and how many of a merchant."""

    workers: Annotated[int, Field(ge=2, le=MAX_RESOLVER_WORKERS)] = RESOLVER_WORKERS
    workers_per_merchant: Annotated[int, Field(ge=1)] = RESOLVER_WORKERS_PER_MERCHANT

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
    retry_delays_seconds: Annotated[
        tuple[Annotated[int, Field(ge=1, le=7 * 86_400)], ...], Field(min_length=1, max_length=32)
    ] = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400)
    """The last one is repeated."""


class Lockout(StagePart, frozen=True):
    """So many failed payments or transfers of a customer in a row lock it for so long."""

    after_failures: Annotated[int, Field(ge=2, le=100)] = 3
    seconds: Annotated[int, Field(ge=1, le=31 * 86_400)] = 1_800


class AlertThresholds(StagePart, frozen=True):
    """From which amount, and from how many payments of a customer within a minute, on."""

    large_transaction_minor: Annotated[int, Field(ge=1)] = LARGE_TRANSACTION_MINOR
    velocity_payments: Annotated[int, Field(ge=2, le=MAX_VELOCITY_PAYMENTS)] = VELOCITY_PAYMENTS


class ProcessorEvents(StagePart, frozen=True):
    """How many disputes of one payment are booked, and how many days back the poll asks."""

    max_disputes: Annotated[int, Field(ge=10, le=1_000)] = 100
    poll_days: Annotated[int, Field(ge=1, le=30)] = 3


class StageConfig(StagePart, frozen=True):
    """One stage: everything that the stacks ask about it."""

    name: Annotated[str, Field(pattern=rf"^[a-z][a-z0-9]{{1,{MAX_STAGE_NAME - 1}}}$")]
    auth: AuthConfig
    data: DataConfig
    processors: ProcessorMode
    """Whether people's money is moved: in `live` neither the sandbox nor test keys are used, in
    `test` no live keys. What was stored in one mode means nothing in the other: a stage keeps
    its mode."""
    log_retention_days: LogRetentionDays
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    dynamodb_client: Literal["lean", "botocore"] | None = None
    """What calls DynamoDB (decision 0075). None: the runtime's default."""
    snap_start: bool = False
    """Whether the API's functions start from snapshots (SnapStart, decision 0077), at a price
    (docs/costs.md)."""
    intent_lease_seconds: Annotated[int, Field(ge=5, le=900)] = 60
    process_timeout_seconds: Annotated[int, Field(ge=5, lt=MAX_API_INTEGRATION_SECONDS)] = 29
    processor_timeout_seconds: Annotated[int, Field(ge=1, le=30)] = 10
    lambda_runtime: LambdaRuntime | Literal["this-machine"] = LambdaRuntime()
    throttling: Throttling = Throttling()
    concurrency: Concurrency = Concurrency()
    streams: Streams = Streams()
    schedules: Schedules = Schedules()
    resolver: Resolver = Resolver()
    lock_out: Lockout = Lockout()
    alerts: AlertThresholds = AlertThresholds()
    alarms: AlarmConfig = AlarmConfig()
    processor_events: ProcessorEvents = ProcessorEvents()
    webhooks: Webhooks = Webhooks()
    proof_cut_seconds: Annotated[int, Field(ge=1, le=86_400)] = 360
    proof_patience_seconds: Annotated[int, Field(ge=1, le=600)] = 60
    archive_window_seconds: Annotated[int, Field(ge=0, le=60)] = 30
    """How long audit rows wait for others before they are archived together."""
    break_glass_role: RoleName | None = None
    """Name, with its path if it has one, of the role with which people may open personal fields and
    payment methods in an emergency. None: only the functions may. Its own policy has to allow
    kms:Decrypt as well."""
    deploying_roles: Annotated[tuple[RolePattern, ...], Field(min_length=1)] = (
        "cdk-*-cfn-exec-role-*",
    )
    """The roles with which CloudFormation deploys. Only they may change the audit log's table. The
    default is the name that `cdk bootstrap` gives."""
    allow_local_webhooks: bool = False
    stripe_api_base: StripeApiBase = STRIPE_API_BASE
    cors_origins: tuple[Annotated[str, Field(pattern=r"^https?://[^\s/*]+$")], ...] = ()

    @staticmethod
    def named(name: str, stages: Mapping[str, Any]) -> StageConfig:
        """The stage called `name` of the context `stages`.

        Raises:
            StageError: no such stage (the message lists those there are), or it is set up wrongly.
        """
        if name not in stages:
            raise StageError(f"unknown stage {name!r}: cdk.json knows {', '.join(sorted(stages))}")
        try:
            return StageConfig(name=name, **stages[name])
        except ValidationError as error:
            raise StageError(f"stage {name}: {_sentences(error)}") from error

    @model_validator(mode="after")
    def _times_nest(self) -> Self:
        """Processor call < request < lease, so that work still in progress is never taken over."""
        if self.process_timeout_seconds >= self.intent_lease_seconds:
            raise ValueError(
                f"process_timeout_seconds ({self.process_timeout_seconds}) must be less than "
                f"intent_lease_seconds ({self.intent_lease_seconds})"
            )
        if self.processor_timeout_seconds >= self.process_timeout_seconds:
            raise ValueError(
                f"processor_timeout_seconds ({self.processor_timeout_seconds}) must be less than "
                f"process_timeout_seconds ({self.process_timeout_seconds})"
            )
        return self

    @model_validator(mode="after")
    def _snapshots_need_a_newer_python(self) -> Self:
        runtime = self.lambda_runtime
        if self.snap_start and (
            runtime == "this-machine"
            or int(runtime.python_version.removeprefix("3.")) < FIRST_PYTHON_WITH_SNAP_START
        ):
            raise ValueError(
                f"snap_start needs a lambda_runtime of Python 3.{FIRST_PYTHON_WITH_SNAP_START} or "
                f"newer, not {runtime}"
            )
        return self

    @model_validator(mode="after")
    def _nothing_local_elsewhere(self) -> Self:
        local_only = {
            "auth of a local stack": self.auth.is_local,
            f"intent_lease_seconds under {MIN_SAFE_LEASE_SECONDS}": (
                self.intent_lease_seconds < MIN_SAFE_LEASE_SECONDS
            ),
            f"proof_cut_seconds under {MIN_SAFE_CUT_SECONDS}": (
                self.proof_cut_seconds < MIN_SAFE_CUT_SECONDS
            ),
            'lambda_runtime "this-machine"': self.lambda_runtime == "this-machine",
            "allow_local_webhooks": self.allow_local_webhooks,
            "stripe_api_base other than Stripe's own": self.stripe_api_base != STRIPE_API_BASE,
            "cors_origins over plain http": any(o.startswith("http:") for o in self.cors_origins),
        }
        used = [setting for setting, is_used in local_only.items() if is_used]
        if used and self.name != LOCAL:
            raise ValueError(f"only the stage {LOCAL} may use: {'; '.join(used)}")
        return self

    @model_validator(mode="after")
    def _local_judges_its_own_tokens(self) -> Self:
        if self.name == LOCAL and self.auth.mode == "jwt":
            raise ValueError('auth.mode "jwt" needs an issuer that API Gateway can ask')
        return self

    @model_validator(mode="after")
    def _prod_keeps_its_data(self) -> Self:
        if self.name == PROD and not (self.data.retain and self.data.deletion_protection):
            raise ValueError("prod must set data.retain and data.deletion_protection")
        return self

    @model_validator(mode="after")
    def _prod_calls_someone(self) -> Self:
        if self.name == PROD and not (self.alarms.page.notifies and self.alarms.ticket.notifies):
            raise ValueError(
                "prod must set alarms.page and alarms.ticket: email, https or topic_arn"
            )
        return self

    @model_validator(mode="after")
    def _money_is_real_where_it_is_kept(self) -> Self:
        if self.name == PROD and self.processors != "live":
            raise ValueError('prod must set processors "live": its payments are people\'s')
        if self.name == LOCAL and self.processors != "test":
            raise ValueError(
                'local must set processors "test": live keys do not belong on a developer machine'
            )
        if self.processors == "live" and not (self.data.retain and self.data.deletion_protection):
            raise ValueError(
                'a stage with processors "live" must set data.retain and data.deletion_protection'
            )
        return self

    def refuse_deploying_placeholders(self) -> None:
        """Call before a deployment. Synthesis, for review and tests, accepts the placeholders.

        Raises:
            StageError: `auth` has not been filled in, so every request would be refused; or the
                addresses of alarms have not, so alarms would reach no one.
        """
        if self.auth.is_placeholder:
            raise StageError(
                f"stage {self.name}: auth still names {self.auth.issuer}; set "
                f"stages.{self.name}.auth in cdk.json to your token issuer (issuer, audience, "
                "and jwks_url, jwks_secret_name or hs256_secret_name, unless mode is jwt), "
                "then deploy again"
            )
        for severity, target in (("page", self.alarms.page), ("ticket", self.alarms.ticket)):
            if target.is_placeholder:
                raise StageError(
                    f"stage {self.name}: alarms.{severity} still names an address under "
                    f"{PLACEHOLDER_SUFFIX}; set stages.{self.name}.alarms.{severity} in cdk.json "
                    "to email or https addresses that are read, or to topic_arn, then deploy again"
                )


def _sentences(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'settings'}: "
        f"{problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False)
    )
