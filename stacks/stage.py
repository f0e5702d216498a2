"""What differs between the stages: read from cdk.json, and judged before anything is built.

`StageConfig.named("prod", stages)` is frozen and complete. Every rule about which values may go
together stands here, so that a wrong combination is refused at synthesis, not found in production.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from runtime.core.fields import ProcessorMode
from runtime.http.responses import STORED_TYPES
from runtime.settings import STRIPE_API_BASE, ArchiveSettings, ProjectSettings, StripeApiBase
from runtime.settings.table_uses import consumed_streams
from stacks.stage_account import BudgetConfig, DomainConfig
from stacks.stage_console import ConsoleConfig
from stacks.stage_parts import (
    LOCAL,
    PLACEHOLDER_SUFFIX,
    AlarmConfig,
    AuthConfig,
    DataConfig,
    Deployments,
    RoleName,
    RolePattern,
    StagePart,
    Streams,
)
from stacks.stage_protection import BackupConfig, TrailConfig
from stacks.stage_workload import (
    FIRST_PYTHON_WITH_SNAP_START,
    AlertThresholds,
    Concurrency,
    LambdaRuntime,
    Lockout,
    ProcessorEvents,
    Resolver,
    Schedules,
    Throttling,
    Webhooks,
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


class StageConfig(StagePart, frozen=True):
    """One stage: everything that the stacks ask about it."""

    name: Annotated[str, Field(pattern=rf"^[a-z][a-z0-9]{{1,{MAX_STAGE_NAME - 1}}}$")]
    """Its key in `stages` of cdk.json; part of the names of stacks, alarms and keys."""
    auth: AuthConfig
    data: DataConfig
    processors: ProcessorMode
    """Whether people's money is moved: in `live` neither the sandbox nor test keys are used, in
    `test` no live keys. What was stored in one mode means nothing in the other: a stage keeps
    its mode."""
    log_retention_days: LogRetentionDays
    """How long CloudWatch keeps logs. Costs: storage of logs."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lines below this level are not written. Costs: DEBUG writes more lines, which CloudWatch
    charges for by the gigabyte."""
    dashboard: bool = True
    """Whether the stage has the stack `observability` with a dashboard
    ([operations](operations.md#dashboard)); needs `log_level` INFO or DEBUG, because its metrics
    are made from lines of that level. Costs: $3 a month."""
    dynamodb_client: Literal["lean", "botocore"] | None = None
    """What calls DynamoDB, and KMS for data keys
    ([decision 0075](decisions/0075-a-lean-dynamodb-client.md)). None: the runtime's default,
    `lean`. Costs: botocore needs more CPU time ([costs](costs.md))."""
    snap_start: bool = False
    """Whether the API's functions start from snapshots of the initialized function
    ([decision 0077](decisions/0077-a-cold-start-loads-what-its-first-request-uses.md)). A version
    that was not invoked for 14 days has to be initialized again: its first request fails with
    `SnapStartNotReadyException`. Costs: the cache and the restoring of snapshots
    ([costs](costs.md#snapstart))."""
    intent_lease_seconds: Annotated[int, Field(ge=5, le=900)] = 60
    """How long a request owns the payment that it has begun; then the resolver takes it over.
    Longer than `process_timeout_seconds`; at least 30 outside of the stage local."""
    process_timeout_seconds: Annotated[int, Field(ge=5, lt=MAX_API_INTEGRATION_SECONDS)] = 29
    """How long a POST, PATCH or DELETE may take, the processor included."""
    processor_timeout_seconds: Annotated[int, Field(ge=1, le=30)] = 10
    """How long a call of a processor may take; less than `process_timeout_seconds`."""
    lambda_runtime: LambdaRuntime | Literal["this-machine"] = LambdaRuntime()
    """Processor and Python of the functions; `this-machine` only in the stage local."""
    throttling: Throttling = Throttling()
    concurrency: Concurrency = Concurrency()
    streams: Streams = Streams()
    deployments: Deployments = Deployments()
    schedules: Schedules = Schedules()
    resolver: Resolver = Resolver()
    lock_out: Lockout = Lockout()
    alerts: AlertThresholds = AlertThresholds()
    alarms: AlarmConfig = AlarmConfig()
    backup: BackupConfig | None = None
    trail: TrailConfig | None = None
    processor_events: ProcessorEvents = ProcessorEvents()
    webhooks: Webhooks = Webhooks()
    proof_cut_seconds: Annotated[int, Field(ge=1, le=86_400)] = 360
    """What is younger is left to the next verification of the ledger, because it may still be in
    progress; at least 330 outside of the stage local."""
    proof_patience_seconds: Annotated[int, Field(ge=1, le=600)] = 60
    """How long a verification waits for the change streams before it calls a missing row wrong."""
    archive_window_seconds: Annotated[int, Field(ge=0, le=60)] = 30
    """How long audit rows wait for others before they are archived together. Costs: a shorter
    time writes more and smaller objects, each of which is a put request to S3."""
    break_glass_role: RoleName | None = None
    """Name, with its path if it has one, of the role with which people may open personal fields and
    payment methods in an emergency
    ([decision 0102](decisions/0102-keys-and-who-may-use-them.md)). None: only the functions may.
    Its own policy has to allow kms:Decrypt as well."""
    deploying_roles: Annotated[tuple[RolePattern, ...], Field(min_length=1)] = (
        "cdk-*-cfn-exec-role-*",
    )
    """The roles with which CloudFormation deploys, with their paths. Only they may change the audit
    log's table. The default is the name that `cdk bootstrap` gives: set it if you bootstrapped with
    another role's name, or deploy without the bootstrap's roles."""
    allow_local_webhooks: bool = False
    """Whether webhooks may go to addresses of this machine; only in the stage local."""
    api_address: Annotated[str | None, Field(pattern=r"^http://\{host\}[^\s?#]*$")] = None
    """Where the gateway of the stage local serves the API: its own domain is not reachable there.
    Other stages have the gateway's domain, or `domain`."""
    error_types: Annotated[str | None, Field(pattern=r"^https://[^\s{}]+[/#=]$")] = None
    """What `type` of an error begins with; its code follows. It should lead to what you say about
    the code ([decision 0146](decisions/0146-the-type-of-a-problem-is-a-link.md)). None: the page
    `/v1/docs/errors` of the API."""
    stripe_api_base: StripeApiBase = STRIPE_API_BASE
    """Where Stripe's API is; only the stage local may have another than Stripe's own."""
    domain: DomainConfig | None = None
    console: ConsoleConfig | None = None
    budget: BudgetConfig | None = None
    cors_origins: tuple[Annotated[str, Field(pattern=r"^https?://[^\s/*]+$")], ...] = ()
    """Origins whose pages may call the API from a browser; `http:` only in the stage local."""

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

    @property
    def stream_windows(self) -> dict[str, int]:
        """Seconds for which a batch waits to fill, by the tables whose streams are consumed."""
        archived = consumed_streams(ArchiveSettings.TABLE_USES)
        windows = dict.fromkeys(archived, self.archive_window_seconds)
        for name in consumed_streams(ProjectSettings.TABLE_USES):
            windows[name] = self.streams.window_seconds.get(name, 0)
        return windows

    @property
    def error_types_sent(self) -> str | None:
        """The functions' setting `error_types`. None: their default."""
        if self.error_types is None and self.api_address is not None:
            return f"{self.api_address}{STORED_TYPES}"
        return self.error_types

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
            "api_address": self.api_address is not None,
            "stripe_api_base other than Stripe's own": self.stripe_api_base != STRIPE_API_BASE,
            'console.sign_in.method "token"': (
                self.console is not None and self.console.sign_in.method == "token"
            ),
            "cors_origins over plain http": any(o.startswith("http:") for o in self.cors_origins),
        }
        used = [setting for setting, is_used in local_only.items() if is_used]
        if used and self.name != LOCAL:
            raise ValueError(f"only the stage {LOCAL} may use: {'; '.join(used)}")
        return self

    @model_validator(mode="after")
    def _a_budget_notifies_someone(self) -> Self:
        if self.budget and not (self.budget.email or self.alarms.ticket.notifies):
            raise ValueError("budget needs email, or alarms.ticket to be set")
        return self

    @model_validator(mode="after")
    def _local_has_no_account(self) -> Self:
        if self.name == LOCAL and (self.domain or self.budget):
            raise ValueError(
                "local must set neither domain nor budget: the embedded AWS has neither"
            )
        return self

    @model_validator(mode="after")
    def _the_consoles_tokens_are_accepted(self) -> Self:
        if self.console is not None:
            if self.name == LOCAL and self.console.serve == "cloudfront":
                raise ValueError(
                    'local must set console.serve "api": the embedded AWS has no CloudFront'
                )
            self.console.sign_in.require_tokens_that_are_accepted(self.auth)
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
    def _a_dashboard_needs_log_lines(self) -> Self:
        if self.dashboard and self.log_level not in ("DEBUG", "INFO"):
            raise ValueError(
                f"dashboard needs log_level INFO or DEBUG, not {self.log_level}: its metrics are "
                "made from log lines; set dashboard to false, or log_level to INFO"
            )
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
            StageError: `auth` has not been filled in, so every request would be refused; the
                addresses of alarms have not, so alarms would reach no one; or the domain or the
                console has not.
        """
        if self.auth.is_placeholder:
            raise StageError(
                f"stage {self.name}: auth still names {self.auth.issuer}; set "
                f"stages.{self.name}.auth in cdk.json to your token issuer (issuer, audience, "
                "and jwks_url, jwks_secret_name or hs256_secret_name, unless mode is jwt), "
                "then deploy again"
            )
        if self.domain is not None and self.domain.is_placeholder:
            raise StageError(
                f"stage {self.name}: domain still names {self.domain.name}; set "
                f"stages.{self.name}.domain in cdk.json to a name that is yours, or remove it, "
                "then deploy again"
            )
        if self.console is not None:
            self._refuse_placeholders_of(self.console)
        for severity, target in (("page", self.alarms.page), ("ticket", self.alarms.ticket)):
            if target.is_placeholder:
                raise StageError(
                    f"stage {self.name}: alarms.{severity} still names an address under "
                    f"{PLACEHOLDER_SUFFIX}; set stages.{self.name}.alarms.{severity} in cdk.json "
                    "to email or https addresses that are read, or to topic_arn, then deploy again"
                )

    def _refuse_placeholders_of(self, console: ConsoleConfig) -> None:
        named = console.domain.name if console.domain and console.domain.is_placeholder else None
        if still := named or console.sign_in.placeholder:
            raise StageError(
                f"stage {self.name}: console still names {still}; set "
                f"stages.{self.name}.console in cdk.json to a domain that is yours and to the "
                "endpoints of your OpenID provider, or remove it, then deploy again"
            )


def _sentences(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'settings'}: "
        f"{problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False)
    )
