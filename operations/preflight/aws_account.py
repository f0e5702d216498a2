"""The account's facts from AWS, with the shell's credentials. Every call only reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from operations.preflight.account import Certificate, LambdaLimits, Subscription, Unreadable
from runtime.access.jwks_http import jwks_from_url
from runtime.access.token_keys import PublicKeys
from runtime.functions.composition.real_outside import real_outside
from runtime.http.identity import Refusal, TokenRefused

TIMEOUT_SECONDS: Final = 10
NOT_CONFIRMED: Final = "PendingConfirmation"
"""What SNS answers in place of a subscription's ARN (ListSubscriptionsByTopic)."""
_DISCOVERY: Final = "/.well-known/openid-configuration"
"""OpenID Connect Discovery 1.0, section 4."""

Answer = TypeVar("Answer")


class AwsAccount:
    """An account and region, by a boto3 session."""

    def __init__(self, session: boto3.Session) -> None:
        self._session = session
        self._config = Config(
            connect_timeout=TIMEOUT_SECONDS,
            read_timeout=TIMEOUT_SECONDS,
            retries={"total_max_attempts": 3, "mode": "standard"},
        )

    def bootstrap_version(self, parameter: str) -> int | None:
        found = self._unless_missing(
            "ssm:GetParameter",
            lambda: self._client("ssm").get_parameter(Name=parameter),
            "ParameterNotFound",
        )
        return None if found is None else int(found["Parameter"]["Value"])

    def lambda_limits(self) -> LambdaLimits:
        client = self._client("lambda")
        found = self._read("lambda:GetAccountSettings", client.get_account_settings)
        limits, usage = found["AccountLimit"], found["AccountUsage"]
        return LambdaLimits(
            executions=limits["ConcurrentExecutions"],
            unreserved=limits["UnreservedConcurrentExecutions"],
            code_size=limits["TotalCodeSize"],
            code_size_used=usage["TotalCodeSize"],
        )

    def quota(self, service: str, code: str) -> float:
        client = self._client("service-quotas")
        names = {"ServiceCode": service, "QuotaCode": code}
        found = self._unless_missing(
            "servicequotas:GetServiceQuota",
            lambda: client.get_service_quota(**names),
            "NoSuchResourceException",
        ) or self._read(
            "servicequotas:GetAWSDefaultServiceQuota",
            lambda: client.get_aws_default_service_quota(**names),
        )
        return float(found["Quota"]["Value"])

    def table_names(self) -> Collection[str]:
        return self._tables

    @cached_property
    def _tables(self) -> list[str]:
        return self._pages("dynamodb", "list_tables", "TableNames")

    def rules(self) -> int:
        return len(self._pages("events", "list_rules", "Rules"))

    def stack_statuses(self, names: Collection[str]) -> Mapping[str, str]:
        return {name: status for name, status in self._stacks.items() if name in names}

    @cached_property
    def _stacks(self) -> dict[str, str]:
        stacks = self._pages("cloudformation", "describe_stacks", "Stacks")
        return {each["StackName"]: each["StackStatus"] for each in stacks}

    def key_aliases(self) -> Collection[str]:
        return [each["AliasName"] for each in self._pages("kms", "list_aliases", "Aliases")]

    def topics_of(self, stack: str) -> Collection[str]:
        resources = self._pages(
            "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack
        )
        return [
            each["PhysicalResourceId"]
            for each in resources
            if each["ResourceType"] == "AWS::SNS::Topic"
        ]

    def subscriptions(self, topic_arn: str) -> Collection[Subscription]:
        found = self._pages(
            "sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic_arn
        )
        return [
            Subscription(each["Endpoint"], each["SubscriptionArn"] != NOT_CONFIRMED)
            for each in found
        ]

    def secret_exists(self, name: str) -> bool:
        found = self._unless_missing(
            "secretsmanager:DescribeSecret",
            lambda: self._client("secretsmanager").describe_secret(SecretId=name),
            "ResourceNotFoundException",
        )
        return found is not None and "DeletedDate" not in found

    def certificate(self, arn: str) -> Certificate | None:
        found = self._unless_missing(
            "acm:DescribeCertificate",
            lambda: self._client("acm").describe_certificate(CertificateArn=arn),
            "ResourceNotFoundException",
        )
        if found is None:
            return None
        described = found["Certificate"]
        names = {described["DomainName"], *described.get("SubjectAlternativeNames", ())}
        return Certificate(described["Status"], frozenset(names))

    def usable_keys(self, url: str) -> bool:
        # The authorizer's own code: whatever it would refuse is refused here.
        keys = PublicKeys(jwks_from_url(url), 0.0, real_outside().monotonic)
        try:
            keys.key("")
        except TokenRefused as refused:
            return refused.reason is not Refusal.KEYS_UNREADABLE
        return True

    def discovery(self, issuer: str) -> Mapping[str, object]:
        url = f"{issuer.rstrip('/')}{_DISCOVERY}"
        try:
            document = jwks_from_url(url)()
        except Exception as error:
            raise Unreadable(f"GET {url}: {error!r}") from error
        return document if isinstance(document, dict) else {}

    def _client(self, service: str) -> Any:
        try:
            return self._session.client(service, config=self._config)  # type: ignore[call-overload]
        except (BotoCoreError, ValueError) as error:
            raise Unreadable(f"{service}: {error}") from error

    def _pages(self, service: str, operation: str, member: str, **given: str) -> list[Any]:
        """The members of all pages of a list."""
        client = self._client(service)

        def read() -> list[Any]:
            pages = client.get_paginator(operation).paginate(**given)
            return [each for page in pages for each in page.get(member, ())]

        return self._read(f"{service} {operation}", read)

    def _unless_missing(self, what: str, call: Callable[[], Answer], code: str) -> Answer | None:
        """The answer, or None if AWS says that there is no such thing (`code`)."""

        def read() -> Answer | None:
            try:
                return call()
            except ClientError as error:
                if error.response["Error"]["Code"] == code:
                    return None
                raise

        return self._read(what, read)

    @staticmethod
    def _read(what: str, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except (BotoCoreError, ClientError) as error:
            raise Unreadable(f"{what}: {error}") from error
