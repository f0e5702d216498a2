"""What calls need, and what is kept of them."""

from __future__ import annotations

from typing import Any

import pytest

from permissions.actions import STREAMS, Call, Names, UnknownOperation, absent_object, calls_of
from simulation.platform.settings import STREAM_WINDOWS

ULID = "01KKNS5X4H2R2KAKBJEFR6YR9D"
NAMES = Names(
    {
        "TABLES": '{"payments": "stack-payments-1", "keys": "stack-keys-1"}',
        "SETTLEMENT_BUCKET": "bucket-1",
        "DELIVERY_QUEUE_URL": "https://queue/1",
        "PII_KEY_ARN": "arn:key",
        "LOG_LEVEL": "INFO",
    }
)


def needed(service: str, operation: str, **parameters: Any) -> list[tuple[str, str]]:
    calls = calls_of("process", NAMES, service, operation, parameters)
    return [(call.action, call.resource) for call in calls]


def context(service: str, operation: str, **parameters: Any) -> dict[str, tuple[str, ...]]:
    (call,) = calls_of("process", NAMES, service, operation, parameters)
    return dict(call.context)


def test_a_transaction_needs_the_action_of_each_part() -> None:
    table, key = "stack-payments-1", {"id": {"S": "pay_1"}}
    parts = [
        {"Put": {"TableName": table, "Item": {}}},
        {"Update": {"TableName": table, "Key": key}},
        {"Delete": {"TableName": "stack-keys-1", "Key": key}},
        {"ConditionCheck": {"TableName": table, "Key": key}},
    ]
    assert needed("dynamodb", "TransactWriteItems", TransactItems=parts) == [
        ("dynamodb:PutItem", "TABLES.payments"),
        ("dynamodb:UpdateItem", "TABLES.payments"),
        ("dynamodb:DeleteItem", "TABLES.keys"),
        ("dynamodb:ConditionCheckItem", "TABLES.payments"),
    ]


def test_a_query_of_an_index_is_about_the_index() -> None:
    assert needed("dynamodb", "Query", TableName="stack-payments-1", IndexName="gsi-open") == [
        ("dynamodb:Query", "TABLES.payments/index/gsi-open")
    ]


def test_a_batch_is_about_each_table() -> None:
    asked = {"stack-payments-1": {"Keys": []}, "stack-keys-1": {"Keys": []}}
    assert needed("dynamodb", "BatchGetItem", RequestItems=asked) == [
        ("dynamodb:BatchGetItem", "TABLES.payments"),
        ("dynamodb:BatchGetItem", "TABLES.keys"),
    ]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (f"pii#cus_{ULID}", "pii#cus_…"),
        (f"mer_{ULID}#17", "mer_…#…"),
        (f"whk_{ULID}", "whk_…"),
        ("cus_chosen-by-a-client", "…"),
        ("anything", "…"),
    ],
)
def test_of_a_partition_key_only_its_form_is_kept(value: str, kept: str) -> None:
    key = {"id": {"S": value}, "number": {"N": "5"}}
    assert context("dynamodb", "UpdateItem", TableName="stack-keys-1", Key=key) == {
        "key:id": (kept,),
        "key:number": ("…",),
    }


def test_streams_are_told_apart_by_the_names_of_those_that_functions_consume() -> None:
    assert set(STREAM_WINDOWS) == STREAMS


def test_the_attributes_of_a_read_are_those_that_it_names_and_its_key() -> None:
    found = context(
        "dynamodb",
        "GetItem",
        TableName="stack-keys-1",
        Key={"id": {"S": "x"}},
        ProjectionExpression="#a, b.c, d[0]",
        ExpressionAttributeNames={"#a": "name"},
    )
    assert found["dynamodb:Attributes"] == ("b", "d", "id", "name")


@pytest.mark.parametrize(
    ("operation", "parameters", "expected"),
    [
        ("GetObject", {}, ["GetObject"]),
        ("HeadObject", {}, ["GetObject"]),
        ("GetObject", {"VersionId": "1"}, ["GetObjectVersion"]),
        ("PutObject", {}, ["PutObject"]),
        ("PutObject", {"ObjectLockMode": "COMPLIANCE"}, ["PutObject", "PutObjectRetention"]),
        ("CreateMultipartUpload", {}, ["PutObject"]),
        ("UploadPart", {}, ["PutObject"]),
        ("CompleteMultipartUpload", {}, ["PutObject"]),
        ("AbortMultipartUpload", {}, ["AbortMultipartUpload"]),
        ("DeleteObject", {}, ["DeleteObject"]),
        ("DeleteObject", {"VersionId": "1"}, ["DeleteObjectVersion"]),
    ],
)
def test_objects_are_named_by_their_prefix(
    operation: str, parameters: dict[str, Any], expected: list[str]
) -> None:
    found = needed("s3", operation, Bucket="bucket-1", Key="converted/mer_1/file", **parameters)
    assert found == [(f"s3:{action}", "SETTLEMENT_BUCKET/converted/…") for action in expected]
    other = needed("s3", operation, Bucket="bucket-1", Key="file.csv", **parameters)
    assert other == [(f"s3:{action}", "SETTLEMENT_BUCKET/…") for action in expected]


def test_a_copy_reads_one_object_and_writes_another() -> None:
    source = {"Bucket": "bucket-1", "Key": "file.csv", "VersionId": "1"}
    copied = needed("s3", "CopyObject", Bucket="bucket-1", Key="rejected/1", CopySource=source)
    assert copied == [
        ("s3:GetObjectVersion", "SETTLEMENT_BUCKET/…"),
        ("s3:PutObject", "SETTLEMENT_BUCKET/rejected/…"),
    ]


def test_lists_are_about_the_bucket() -> None:
    assert needed("s3", "ListObjectsV2", Bucket="bucket-1") == [
        ("s3:ListBucket", "SETTLEMENT_BUCKET")
    ]
    assert needed("s3", "ListObjectVersions", Bucket="bucket-1") == [
        ("s3:ListBucketVersions", "SETTLEMENT_BUCKET")
    ]


def test_to_learn_that_an_object_is_absent_takes_the_right_to_list() -> None:
    read = Call("process", "s3:GetObject", "SETTLEMENT_BUCKET/converted/…", "s3.HeadObject")
    assert absent_object(read).action == "s3:ListBucket"
    assert absent_object(read).resource == "SETTLEMENT_BUCKET"


def test_the_encryption_context_is_kept_without_the_subject() -> None:
    given = {"purpose": "pii", "subject": "cus_1"}
    assert context("kms", "Decrypt", KeyId="arn:key", EncryptionContext=given) == {
        "kms:EncryptionContext:purpose": ("pii",),
        "kms:EncryptionContext:subject": ("…",),
        "kms:EncryptionContextKeys": ("purpose", "subject"),
    }
    assert context("kms", "Decrypt", KeyId="arn:key") == {}


def test_what_no_setting_names_is_unknown_and_what_several_name_is_left_out() -> None:
    assert needed("sqs", "SendMessage", QueueUrl="https://other") == [
        ("sqs:SendMessage", "unknown:https://other")
    ]
    same = Names({"PII_KEY_ARN": "arn:key", "PCI_KEY_ARN": "arn:key"})
    assert not list(calls_of("process", same, "kms", "Decrypt", {"KeyId": "arn:key"}))


def test_an_operation_that_is_not_listed_is_an_error() -> None:
    with pytest.raises(UnknownOperation, match="dynamodb DeleteTable"):
        needed("dynamodb", "DeleteTable", TableName="stack-keys-1")


def test_a_call_is_one_line_and_read_back() -> None:
    call = Call("process", "kms:Decrypt", "PII_KEY_ARN", "kms.Decrypt", (("a", ("1", "…")),))
    assert "\n" not in call.to_json()
    assert Call.of_json(call.to_json()) == call
