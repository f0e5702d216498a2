"""What the checks ask about an account: a port, so that the checks know no AWS client."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol


class Unreadable(Exception):
    """A fact could not be read; the message says which call failed and why."""


@dataclass(frozen=True)
class LambdaLimits:
    """Lambda's limits in the account and region; sizes in bytes."""

    executions: int
    unreserved: int
    code_size: int
    code_size_used: int


@dataclass(frozen=True)
class Subscription:
    """An address that a topic notifies."""

    address: str
    confirmed: bool


@dataclass(frozen=True)
class Certificate:
    """A certificate's status (`ISSUED` if it can be used) and the names that it is for."""

    status: str
    names: frozenset[str]


class Account(Protocol):
    """Facts about an account in a region. Every method raises Unreadable."""

    def bootstrap_version(self, parameter: str) -> int | None:
        """The version of the CDK's bootstrap stack; None if there is none."""

    def lambda_limits(self) -> LambdaLimits:
        """Lambda's limits, as the account has them."""

    def quota(self, service: str, code: str) -> float:
        """A service quota's value, or its default if it was never changed."""

    def table_names(self) -> Collection[str]:
        """Names of all DynamoDB tables."""

    def rules(self) -> int:
        """Number of rules on the default event bus."""

    def stack_statuses(self, names: Collection[str]) -> Mapping[str, str]:
        """Status of each of these stacks that exists."""

    def key_aliases(self) -> Collection[str]:
        """Names of all KMS aliases."""

    def topics_of(self, stack: str) -> Collection[str]:
        """ARNs of a stack's SNS topics."""

    def subscriptions(self, topic_arn: str) -> Collection[Subscription]:
        """Who is subscribed to a topic."""

    def secret_exists(self, name: str) -> bool:
        """Whether Secrets Manager has this secret, not scheduled for deletion."""

    def certificate(self, arn: str) -> Certificate | None:
        """A certificate of AWS Certificate Manager; None if it does not exist."""

    def usable_keys(self, url: str) -> bool:
        """Whether the authorizer could verify tokens with the key set at this address."""

    def discovery(self, issuer: str) -> Mapping[str, object]:
        """The issuer's OpenID Connect discovery document."""
