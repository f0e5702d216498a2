"""A restore makes all tables of one instant, with all that AWS leaves out, or begins none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.progress import Progress
from operations.restore import CannotRestore, RestoreTarget, next_steps, restore
from tests.support.recoverable import Recoverable

ROLES = {"payments": "stack-PaymentsTable-1", "audit_log": "stack-AuditLogTable-2"}
POLICY = '{"Version": "2012-10-17", "Statement": []}'


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        found = boto3.client(
            "dynamodb",
            region_name="eu-central-1",
            aws_access_key_id="AKIA",
            aws_secret_access_key="secret",
        )
        for name in ROLES.values():
            found.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
                StreamSpecification={
                    "StreamEnabled": True,
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
                DeletionProtectionEnabled=True,
                Tags=[{"Key": "stage", "Value": "prod"}],
            )
            found.update_time_to_live(
                TableName=name,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"},
            )
            found.update_continuous_backups(
                TableName=name,
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
            )
            found.put_item(TableName=name, Item={"id": {"S": "one"}})
        audit = found.describe_table(TableName=ROLES["audit_log"])["Table"]["TableArn"]
        found.put_resource_policy(ResourceArn=audit, Policy=POLICY)
        yield found


NOW = datetime.now(UTC)


def target_of(client: Any) -> RestoreTarget:
    return RestoreTarget("prod", ROLES, Recoverable(client, NOW), lambda _seconds: None)


def restored(client: Any) -> list[str]:
    return restore(target_of(client), NOW - timedelta(minutes=10), "r1", Progress())


def test_every_table_is_restored_with_what_aws_leaves_out(client: Any) -> None:
    names = restored(client)
    assert names == ["payments-prod-audit_log-r1", "payments-prod-payments-r1"]
    for name in names:
        table = client.describe_table(TableName=name)["Table"]
        assert table["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
        assert table["DeletionProtectionEnabled"]
        expiry = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert expiry["AttributeName"] == "expires"
        backups = client.describe_continuous_backups(TableName=name)
        recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"
        tags = client.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
        assert tags == [{"Key": "stage", "Value": "prod"}]
        assert client.scan(TableName=name)["Items"] == [{"id": {"S": "one"}}]
    arn = client.describe_table(TableName="payments-prod-audit_log-r1")["Table"]["TableArn"]
    assert client.get_resource_policy(ResourceArn=arn)["Policy"] == POLICY


def test_the_same_call_again_restores_nothing_twice(client: Any) -> None:
    first = restored(client)
    client.put_item(TableName="payments-prod-payments-r1", Item={"id": {"S": "two"}})
    assert restored(client) == first
    assert client.scan(TableName="payments-prod-payments-r1")["Count"] == 2


def test_no_table_is_restored_if_one_cannot_be(client: Any) -> None:
    client.update_continuous_backups(
        TableName=ROLES["audit_log"],
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
    )
    with pytest.raises(CannotRestore, match="stack-AuditLogTable-2: point-in-time recovery is off"):
        restored(client)
    assert sorted(client.list_tables()["TableNames"]) == sorted(ROLES.values())


@pytest.mark.parametrize(
    ("moment", "problem"),
    [
        (NOW - timedelta(days=36), "recoverable from 20"),
        (NOW, "recoverable until 20"),
    ],
)
def test_an_instant_outside_of_what_is_recoverable_is_refused(
    client: Any, moment: datetime, problem: str
) -> None:
    with pytest.raises(CannotRestore, match=problem):
        restore(target_of(client), moment, "r1", Progress())
    assert len(client.list_tables()["TableNames"]) == len(ROLES)


def test_the_next_steps_name_the_stage_and_the_restore() -> None:
    text = "\n".join(next_steps("prod", "r1"))
    assert 'make rebuild-balances ARGS="--stage prod --restored r1"' in text
    assert "cdk import payments-prod-data" in text
