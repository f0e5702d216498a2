"""Parts of a stage's settings: who issues its tokens, its data, and how its streams are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from aws_cdk import RemovalPolicy
from pydantic import BaseModel, Field, model_validator

from runtime.tables import ALL_TABLES, RESTORE_NAME

LOCAL: Final = "local"
MAX_ROLE_PATH: Final = 512 + 64
"""Characters of a role's path and name (IAM quotas)."""
MAX_AUTHORIZER_CACHE_SECONDS: Final = 300
"""Our own bound: an answer cached for a token outlives the token by at most this."""
PARALLEL_BATCHES: Final = 2
MAX_PARALLEL_BATCHES: Final = 10
"""Of one shard (Lambda's `ParallelizationFactor`)."""
MAX_WINDOW_SECONDS: Final = 60
"""Our own bound; Lambda's is 300. What is derived comes late by as much."""
NEW_TABLE_WRITE_UNITS: Final = 4_000
"""Write units a second that a new table on demand takes at once."""
PLACEHOLDER_SUFFIX: Final = ".example"
LOCAL_ISSUER_SUFFIX: Final = ".invalid"
LOCAL_SECRET_PREFIX: Final = f"payments/{LOCAL}/"

_SETTINGS_OF_OUR_AUTHORIZER: Final = frozenset(
    {"jwks_url", "jwks_secret_name", "hs256_secret_name", "cache_seconds"}
)

RoleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+=,.@/-]+$", max_length=MAX_ROLE_PATH)]
"""A role's name, with its path if it has one."""
RolePattern = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_+=,.@/*-]*[A-Za-z0-9_+=,.@/-][*]*$", max_length=MAX_ROLE_PATH)
]
"""The same, in which `*` stands for any characters; more than `*` alone."""


class StagePart(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Base of the parts of a stage: a misspelt setting is an error, not a silence.

    The text below a field is its description in docs/settings.md; what follows `Costs:` is what the
    setting changes in the bill. A field that is a part itself is described by its class.
    """


class AuthConfig(StagePart, frozen=True):
    """Who issues tokens, and where their keys are: public ones, the secret of HS256, or both.

    Mode "lambda": our own authorizer, which takes API keys too. Mode "jwt": API Gateway's own; it
    asks the issuer for its keys (OpenID Connect discovery), so none are named here.
    `hs256_secret_name` names a secret of at least 32 random bytes as base64 text; without it no
    HS256 token is accepted.
    """

    mode: Literal["lambda", "jwt"] = "lambda"
    """What verifies tokens: the platform's authorizer, or API Gateway itself. API keys
    need the former. Costs: `jwt` saves the invocations of the authorizer."""
    issuer: Annotated[str, Field(pattern=r"^https://[^\s/]+")]
    """The `iss` of accepted tokens."""
    audience: Annotated[str, Field(min_length=1)]
    """The `aud` of accepted tokens."""
    jwks_url: Annotated[str | None, Field(pattern=r"^https://[^\s/]+")] = None
    """Address of the issuer's public keys (JSON Web Key Set)."""
    jwks_secret_name: Annotated[str | None, Field(min_length=1)] = None
    """Instead: name of a secret in Secrets Manager that contains the key set. Costs: Secrets
    Manager charges for each secret."""
    hs256_secret_name: Annotated[str | None, Field(min_length=1)] = None
    """Name of a secret with the shared key of HS256 tokens. Costs: as above."""
    cache_seconds: Annotated[int, Field(ge=0, le=MAX_AUTHORIZER_CACHE_SECONDS)] = 60
    """How long API Gateway keeps the authorizer's answer for a token and route. A revoked API key
    is accepted for as long. Costs: a shorter time invokes the authorizer more often."""

    @model_validator(mode="after")
    def _has_keys(self) -> Self:
        if self.mode == "jwt":
            return self._names_no_keys()
        if self.jwks_url is not None and self.jwks_secret_name is not None:
            raise ValueError("give at most one of jwks_url and jwks_secret_name")
        if (self.jwks_url or self.jwks_secret_name or self.hs256_secret_name) is None:
            raise ValueError("give jwks_url or jwks_secret_name, or hs256_secret_name, or both")
        return self

    def _names_no_keys(self) -> Self:
        set_in_vain = self.model_fields_set & _SETTINGS_OF_OUR_AUTHORIZER
        if set_in_vain:
            raise ValueError(f'mode "jwt" has no use for {", ".join(sorted(set_in_vain))}')
        return self

    @property
    def is_placeholder(self) -> bool:
        """The issuer, or the address of its keys, still ends in the reserved domain `.example`."""
        return any(_host(url).endswith(PLACEHOLDER_SUFFIX) for url in self._urls)

    @property
    def is_local(self) -> bool:
        """Tokens are signed by the key pair of a local stack."""
        secrets = (self.jwks_secret_name or "", self.hs256_secret_name or "")
        unreachable = any(_host(url).endswith(LOCAL_ISSUER_SUFFIX) for url in self._urls)
        return unreachable or any(s.startswith(LOCAL_SECRET_PREFIX) for s in secrets)

    @property
    def _urls(self) -> tuple[str, ...]:
        return tuple(url for url in (self.issuer, self.jwks_url) if url is not None)


class DataConfig(StagePart, frozen=True):
    """What happens to tables, buckets and keys when the stack is deleted.

    `first_deployment`: set it until the stage was deployed once, and remove it then. A protected
    table cannot be deleted, not even by CloudFormation when the deployment that created it fails:
    it would stay, and with it its stack.

    `warm_write_units`: write units a second that a table and each of its indexes take at once, by
    the table's name, instead of the 4,000 of a new table. DynamoDB creates the partitions for them
    in advance, and with them the shards of the change stream. AWS charges for each increase once,
    and a number can never be lowered (DynamoDB Developer Guide, "Warm throughput").
    """

    retain: bool
    """Whether tables, buckets, keys, logs and versions of functions stay when their stack is
    deleted. Costs: what stays is charged for until someone deletes it."""
    deletion_protection: bool
    """Whether tables and stacks refuse to be deleted."""
    first_deployment: bool = False
    """`true` until the stage was deployed once: nothing is protected from deletion yet."""
    restored: tuple[Annotated[str, Field(pattern=RESTORE_NAME)], ...] = ()
    """Names of the restores of this stage, oldest first. It uses the tables of the last one. Those
    before them stay in the stack, older ones only in the account
    ([restore](runbooks/restore.md)). Costs: the storage of tables that are not used any more."""
    warm_write_units: Mapping[str, Annotated[int, Field(gt=NEW_TABLE_WRITE_UNITS)]] = {}
    """Write units per second that a table and each of its indexes take at once, by the table's
    name. It can never be lowered. Costs: AWS charges once for each increase
    ([performance](performance.md#a-stage-for-20000-payments-per-second))."""

    @model_validator(mode="after")
    def _keeps_what_is_imported(self) -> Self:
        if self.restored and not self.retain:
            raise ValueError("data.restored needs data.retain: imported tables have to be kept")
        if len(set(self.restored)) < len(self.restored):
            raise ValueError(f"data.restored names a restore twice: {', '.join(self.restored)}")
        return self

    @model_validator(mode="after")
    def _names_tables(self) -> Self:
        _require_tables("warm_write_units", self.warm_write_units)
        return self

    @property
    def is_protected(self) -> bool:
        """Whether tables and stacks refuse to be deleted."""
        return self.deletion_protection and not self.first_deployment

    @property
    def removal_policy(self) -> RemovalPolicy:
        """Of everything that holds data: kept, unless the deployment that created it fails."""
        kept = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
        return kept if self.retain else RemovalPolicy.DESTROY


class Streams(StagePart, frozen=True):
    """How the projector reads the tables' change streams.

    `parallel_batches`: batches of one shard at once, by the table's name; 2 for all others. Records
    of one item stay in order. More batches keep up with more records of a shard, but they are
    smaller, so what a batch writes once, such as a balance shard, is written more often.

    `window_seconds`: how long a batch waits to fill, by the table's name; all others do not wait.
    """

    parallel_batches: Mapping[str, Annotated[int, Field(ge=1, le=MAX_PARALLEL_BATCHES)]] = {}
    """Batches of one shard of a table's stream at once, by the table's name; 2 for all others
    ([decision 0085](decisions/0085-batches-wait-only-where-a-stage-says-so.md)). Costs: more, and
    so smaller, batches write balance shards more often."""
    window_seconds: Mapping[str, Annotated[int, Field(ge=1, le=MAX_WINDOW_SECONDS)]] = {}
    """How long a batch waits to fill, by the table's name; all others do not wait. Costs: waiting
    saves write units ([costs](costs.md#with-everything-that-is-derived))."""

    @model_validator(mode="after")
    def _names_tables(self) -> Self:
        _require_tables("parallel_batches", self.parallel_batches)
        _require_tables("window_seconds", self.window_seconds)
        return self

    def parallel_batches_of(self, table: str) -> int:
        """Batches of one shard of the table's stream at once."""
        return self.parallel_batches.get(table, PARALLEL_BATCHES)


def _require_tables(setting: str, names: Iterable[str]) -> None:
    unknown = sorted(set(names) - {schema.name for schema in ALL_TABLES})
    if unknown:
        raise ValueError(f"{setting} names tables that do not exist: {', '.join(unknown)}")


class Deployments(StagePart, frozen=True):
    """How a new version of the API's functions takes over."""

    canary: bool = False
    """A new version of the API's functions gets a tenth of the requests for five minutes, then all
    of them, and is taken back if it fails ([deployments](operations.md#deployments-of-the-api)).
    False: all requests at once. Costs: a deployment takes five minutes longer; nine alarms."""


class AlarmTarget(StagePart, frozen=True):
    """Who is notified of alarms of one severity.

    `email` and `https` subscribe to a topic of the stage; each address confirms its subscription.
    `topic_arn` is another topic instead, whose policy allows CloudWatch of this account to publish.
    """

    email: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = ()
    """Addresses, each of which confirms its subscription to a topic of the stage."""
    https: tuple[Annotated[str, Field(pattern=r"^https://[^\s/]+")], ...] = ()
    """Endpoints, each of which confirms its subscription to a topic of the stage."""
    topic_arn: Annotated[str | None, Field(pattern=r"^arn:[\w-]+:sns:[\w-]+:\d{12}:\S+$")] = None
    """A topic of your own instead, whose policy allows `cloudwatch.amazonaws.com` to publish."""

    @model_validator(mode="after")
    def _is_one_topic(self) -> Self:
        if self.topic_arn is not None and (self.email or self.https):
            raise ValueError("topic_arn has its own subscriptions: give it, or email and https")
        return self

    @property
    def notifies(self) -> bool:
        """Whether anyone is notified."""
        return bool(self.email or self.https or self.topic_arn)

    @property
    def is_placeholder(self) -> bool:
        """An address still ends in the reserved domain `.example`."""
        hosts = [*(a.rpartition("@")[2] for a in self.email), *map(_host, self.https)]
        return any(host.endswith(PLACEHOLDER_SUFFIX) for host in hosts)


class AlarmConfig(StagePart, frozen=True):
    """Who is notified, by severity, and where the runbooks are.

    `runbooks` is the address of docs/operations.md in your copy of the repository; alarms link to
    its headings.
    """

    page: AlarmTarget = AlarmTarget()
    """Who is notified at once, at any hour; required in prod."""
    ticket: AlarmTarget = AlarmTarget()
    """Who is notified within working hours; required in prod."""
    runbooks: Annotated[str, Field(min_length=1, pattern=r"^[^\s#]+$")] = "docs/operations.md"
    """Address of docs/operations.md in your copy of the repository; alarms link to its headings."""


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()
