"""AWS clients with explicit timeouts."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from runtime.dynamodb.client.port import DynamoDbClient
from runtime.dynamodb.client.transport import Limits
from runtime.dynamodb.index_merge import MAX_PARALLEL_BUCKETS
from runtime.functions.composition.lean_dynamodb import lean_client
from runtime.settings import MAX_RESOLVER_WORKERS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

CONNECT_TIMEOUT_SECONDS = 2
READ_TIMEOUT_SECONDS = 5
MAX_ATTEMPTS = 3

MAX_CONNECTIONS = MAX_RESOLVER_WORKERS + MAX_PARALLEL_BUCKETS
"""One connection per resolver worker, plus the parallel reads of index buckets. Connections are
opened on demand."""

_CONFIG = Config(
    max_pool_connections=MAX_CONNECTIONS,
    connect_timeout=CONNECT_TIMEOUT_SECONDS,
    read_timeout=READ_TIMEOUT_SECONDS,
    retries={"total_max_attempts": MAX_ATTEMPTS, "mode": "standard"},
    parameter_validation=False,
)


def dynamodb(*, lean: bool) -> DynamoDbClient:
    """DynamoDB without retries; the store retries.

    The `lean` client (decision 0075) where it can connect as botocore does.
    """
    if lean:
        limits = Limits(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, MAX_CONNECTIONS)
        client = lean_client(os.environ, limits, now=lambda: datetime.now(UTC))
        if client is not None:
            return client
    return botocore_dynamodb()


def botocore_dynamodb() -> DynamoDBClient:
    """DynamoDB by botocore, with every operation that it has."""
    once = _CONFIG.merge(Config(retries={"total_max_attempts": 1, "mode": "standard"}))
    return boto3.client("dynamodb", config=once)


def kms() -> KMSClient:
    """KMS."""
    return boto3.client("kms", config=_CONFIG)


def events() -> EventBridgeClient:
    """EventBridge."""
    return boto3.client("events", config=_CONFIG)


def s3() -> S3Client:
    """S3."""
    return boto3.client("s3", config=_CONFIG)


def signing_s3() -> S3Client:
    """S3 for signed links: signature version 4, which encrypted objects require, in this region.

    The bucket is in the path, so that AWS and the local stage each use a single host.
    """
    signing = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    return boto3.client("s3", config=_CONFIG.merge(signing))


def sqs() -> SQSClient:
    """SQS."""
    return boto3.client("sqs", config=_CONFIG)


def secrets_manager() -> SecretsManagerClient:
    """Secrets Manager."""
    return boto3.client("secretsmanager", config=_CONFIG)
