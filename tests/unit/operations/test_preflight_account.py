"""The account's facts as AWS answers them, and that a refusal names its call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from operations.preflight.account import LambdaLimits, Subscription, Unreadable
from operations.preflight.aws_account import AwsAccount

REGION = "eu-central-1"
TEMPLATE = {
    "Resources": {
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Queue": {"Type": "AWS::SQS::Queue"},
    }
}


@pytest.fixture
def session() -> Iterator[boto3.Session]:
    with mock_aws():
        yield boto3.Session("AKIA", "secret", region_name=REGION)


@pytest.fixture
def account(session: boto3.Session) -> AwsAccount:
    return AwsAccount(session)


def test_the_bootstrap_version_is_a_parameter(session: boto3.Session, account: AwsAccount) -> None:
    assert account.bootstrap_version("/cdk-bootstrap/hnb659fds/version") is None
    session.client("ssm").put_parameter(
        Name="/cdk-bootstrap/hnb659fds/version", Value="21", Type="String"
    )
    assert account.bootstrap_version("/cdk-bootstrap/hnb659fds/version") == 21


def test_stacks_and_their_topics_are_found(session: boto3.Session, account: AwsAccount) -> None:
    session.client("cloudformation").create_stack(
        StackName="payments-dev-data", TemplateBody=json.dumps(TEMPLATE)
    )
    names = ("payments-dev-data", "payments-dev-api")
    assert account.stack_statuses(names) == {"payments-dev-data": "CREATE_COMPLETE"}
    (topic,) = account.topics_of("payments-dev-data")
    sns = session.client("sns")
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@shop.test")
    assert account.subscriptions(topic) == [Subscription("a@shop.test", confirmed=True)]


def test_tables_aliases_rules_and_secrets_are_found(
    session: boto3.Session, account: AwsAccount
) -> None:
    for number in range(3):
        session.client("dynamodb").create_table(
            TableName=f"table-{number}",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    kms = session.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/payments/dev/table", TargetKeyId=key)
    session.client("events").put_rule(Name="rule", ScheduleExpression="rate(1 minute)")
    session.client("secretsmanager").create_secret(Name="tokens", SecretString="x")
    assert account.table_names() == ["table-0", "table-1", "table-2"]
    assert "alias/payments/dev/table" in account.key_aliases()
    assert account.rules() == 1
    assert account.secret_exists("tokens")
    assert not account.secret_exists("others")


def test_a_certificate_has_its_status_and_names(
    session: boto3.Session, account: AwsAccount
) -> None:
    arn = session.client("acm").request_certificate(
        DomainName="api.shop.test", SubjectAlternativeNames=["*.shop.test"]
    )["CertificateArn"]
    found = account.certificate(arn)
    assert found is not None
    assert found.status in ("PENDING_VALIDATION", "ISSUED")
    assert found.names == {"api.shop.test", "*.shop.test"}
    other = arn.rpartition("/")[0] + "/11111111-2222-3333-4444-555555555555"
    assert account.certificate(other) is None


class Answering(AwsAccount):
    """An account whose clients give the answers of a test, checked against AWS's own shapes."""

    def __init__(self, service: str) -> None:
        super().__init__(boto3.Session("AKIA", "secret", region_name=REGION))
        self._stubbed = boto3.client(
            service,  # type: ignore[call-overload]
            region_name=REGION,
            aws_access_key_id="AKIA",
            aws_secret_access_key="secret",
        )
        self.stubber = Stubber(self._stubbed)
        self.stubber.activate()

    def _client(self, service: str) -> Any:
        assert service == self._stubbed.meta.service_model.service_name
        return self._stubbed


QUOTA = {"ServiceCode": "events", "QuotaCode": "L-244521F2"}


def test_a_quota_that_was_never_changed_has_its_default() -> None:
    account = Answering("service-quotas")
    account.stubber.add_response("get_service_quota", {"Quota": {"Value": 500.0}}, QUOTA)
    assert account.quota("events", "L-244521F2") == 500
    account.stubber.add_client_error("get_service_quota", "NoSuchResourceException")
    account.stubber.add_response(
        "get_aws_default_service_quota", {"Quota": {"Value": 300.0}}, QUOTA
    )
    assert account.quota("events", "L-244521F2") == 300


def test_a_refused_call_is_named_with_its_reason() -> None:
    account = Answering("service-quotas")
    account.stubber.add_client_error(
        "get_service_quota", "AccessDeniedException", "no identity-based policy allows it"
    )
    with pytest.raises(Unreadable, match=r"servicequotas:GetServiceQuota: .*no identity-based"):
        account.quota("events", "L-244521F2")


def test_lambdas_limits_are_those_of_the_account() -> None:
    account = Answering("lambda")
    limits = {
        "TotalCodeSize": 80,
        "ConcurrentExecutions": 1000,
        "UnreservedConcurrentExecutions": 900,
    }
    account.stubber.add_response(
        "get_account_settings", {"AccountLimit": limits, "AccountUsage": {"TotalCodeSize": 7}}
    )
    assert account.lambda_limits() == LambdaLimits(1000, 900, 80, 7)


def test_a_subscription_waits_until_it_is_confirmed() -> None:
    account = Answering("sns")
    topic = f"arn:aws:sns:{REGION}:123456789012:page"
    account.stubber.add_response(
        "list_subscriptions_by_topic",
        {"Subscriptions": [{"Endpoint": "a@s.test", "SubscriptionArn": "PendingConfirmation"}]},
        {"TopicArn": topic},
    )
    assert account.subscriptions(topic) == [Subscription("a@s.test", confirmed=False)]


def test_a_secret_that_waits_for_its_deletion_does_not_exist() -> None:
    account = Answering("secretsmanager")
    account.stubber.add_response("describe_secret", {"DeletedDate": datetime.now(UTC)})
    assert not account.secret_exists("tokens")


def test_an_issuer_that_cannot_be_reached_has_no_usable_keys(account: AwsAccount) -> None:
    # A port at which nothing listens.
    assert not account.usable_keys("http://127.0.0.1:9/jwks")
    with pytest.raises(Unreadable, match=r"GET http://127\.0\.0\.1:9/"):
        account.discovery("http://127.0.0.1:9")


def test_a_shell_without_a_region_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(Unreadable, match="region"):
        AwsAccount(boto3.Session("AKIA", "secret")).table_names()
