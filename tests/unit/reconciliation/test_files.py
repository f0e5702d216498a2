"""The settlement bucket: byte ranges, versions, and multipart writes."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from runtime.reconciliation.files.bucket import (
    PART_BYTES,
    ObjectVersion,
    SettlementObjects,
    _cut,
    _Stream,
)
from tests.support.reconciliation.fakes import FakeBucket


@given(st.lists(st.binary(max_size=9), max_size=6), st.integers(0, 40), st.integers(0, 40))
def test_a_range_of_a_whole_object_is_cut_out_of_any_blocks(
    blocks: list[bytes], start: int, length: int
) -> None:
    whole = b"".join(blocks)
    assert b"".join(_cut(blocks, start, start + length)) == whole[start : start + length]
    assert b"".join(_cut(blocks, start, None)) == whole[start:]


@given(st.lists(st.binary(max_size=9), max_size=6), st.integers(1, 9))
def test_blocks_are_read_as_one_file(blocks: list[bytes], size: int) -> None:
    stream, found = _Stream(blocks), b""
    while part := stream.read(size):
        found += part
    assert found == b"".join(blocks)


def test_a_whole_object_in_answer_to_a_range_is_accepted() -> None:
    bucket: Any = FakeBucket()
    version = bucket.put("k", b"0123456789")
    whole = bucket.get_object
    bucket.get_object = lambda **asked: {**whole(**{**asked, "Range": None})}
    objects = SettlementObjects(bucket, "b")
    found = objects.find("k", version)
    assert found is not None
    assert b"".join(objects.blocks(found.version, 3, 7)) == b"3456"


@mock_aws
def test_objects_are_found_written_read_by_version_and_moved() -> None:
    s3 = boto3.client("s3", region_name="eu-west-1")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    objects = SettlementObjects(s3, "bucket")
    assert objects.find("k") is None
    first = objects.write("k", iter([b"one", b"", b"two"]))
    second = objects.write("k", [b"x" * (PART_BYTES + 1)])
    assert b"".join(objects.blocks(first)) == b"onetwo"
    assert b"".join(objects.blocks(first, 2, 5)) == b"etw"
    assert list(objects.blocks(first, 2, 2)) == []
    found = objects.find("k", first.version_id)
    assert found is not None
    assert (found.version, found.size) == (first, 6)
    for _ in range(2):
        if again := objects.find("k", first.version_id):
            assert objects.copy(again, "rejected/k")
            objects.delete(again.version)
    assert objects.find("k", first.version_id) is None
    assert s3.get_object(Bucket="bucket", Key="rejected/k")["Body"].read() == b"onetwo"
    now = objects.find("k")
    assert now is not None
    assert now.version == second


@mock_aws
def test_an_object_replaced_since_it_was_found_is_not_read() -> None:
    s3 = boto3.client("s3", region_name="eu-west-1")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    objects = SettlementObjects(s3, "bucket")
    first = objects.write("k", [b"one"])
    assert first.version_id is None
    objects.write("k", [b"two"])
    with pytest.raises(ClientError, match="PreconditionFailed"):
        list(objects.blocks(first))
    assert ObjectVersion("k", "e", "v").arguments() == {
        "Key": "k",
        "IfMatch": "e",
        "VersionId": "v",
    }
