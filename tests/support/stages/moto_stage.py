"""The functions on services in this process: for tests of routes, which need no engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
from moto import mock_aws

from tests.support.http import Functions, environment, functions, make_tables, record_clients

BUCKET = "bucket"


@contextmanager
def functions_on_moto() -> Iterator[Functions]:
    """Every table, one bucket, one queue and one key, while the block runs."""
    with pytest.MonkeyPatch.context() as machine, mock_aws():
        tables = make_tables(boto3.client("dynamodb"))
        arn = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
        boto3.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        queue = boto3.client("sqs").create_queue(QueueName="queue")["QueueUrl"]
        variables = environment(tables, key_arn=arn, bucket=BUCKET, queue_url=queue)
        for name, value in variables.items():
            machine.setenv(name, value)
        record_clients(machine)
        yield functions()
