"""AWS clients with explicit timeouts."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from runtime.aws.json_client import Access
from runtime.aws.transport import Limits
from runtime.dynamodb.client.lean import DYNAMODB, LeanClient
from runtime.dynamodb.client.port import DynamoDbClient
from runtime.dynamodb.index_merge import MAX_PARALLEL_BUCKETS
from runtime.encryption.kms_port import DataKeyKms
from runtime.encryption.lean_kms import KMS, LeanKms
from runtime.functions.composition.lean_clients import access_to
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


_building = threading.Lock()
"""boto3's default session, of which all clients are made, is not safe to share."""


class _OnFirstUse:
    """A client that is built when it is first used, and boto3 loaded with the first of them.

    Few requests of the API need one: those for files and exports, and redeliveries of webhooks.
    Loading boto3 takes a third of the CPU of a cold start. Threads may share a client.
    """

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build

    def __getattr__(self, name: str) -> Any:
        """What the client has; only called for what is not an attribute of this object."""
        with _building:
            client = self.__dict__.get("_client")
            if client is None:
                client = self.__dict__["_client"] = self._build()
        return getattr(client, name)


def dynamodb(*, lean: bool) -> DynamoDbClient:
    """DynamoDB without retries; the store retries.

    The `lean` client (decision 0075) where it can connect as botocore does.
    """
    access = _access_to(DYNAMODB.name) if lean else None
    if access is not None:
        return LeanClient(access)
    return botocore_dynamodb()


def botocore_dynamodb() -> DynamoDBClient:
    """DynamoDB by botocore, with every operation that it has."""
    client: DynamoDBClient = _built("dynamodb", attempts=1)
    return client


def kms() -> KMSClient:
    """KMS."""
    return cast("KMSClient", _on_first_use("kms"))


def data_key_kms(*, lean: bool) -> DataKeyKms:
    """KMS for data keys, by the `lean` client where it can connect as botocore does (0077)."""
    access = _access_to(KMS.name) if lean else None
    if access is not None:
        return LeanKms(access, MAX_ATTEMPTS, _pause)
    return cast("DataKeyKms", kms())


def events() -> EventBridgeClient:
    """EventBridge."""
    return cast("EventBridgeClient", _on_first_use("events"))


def s3() -> S3Client:
    """S3."""
    return cast("S3Client", _on_first_use("s3"))


def signing_s3() -> S3Client:
    """S3 for signed links: signature version 4, which encrypted objects require, in this region.

    The bucket is in the path, so that AWS and the local stage each use a single host.
    """
    return cast(
        "S3Client", _on_first_use("s3", signature_version="s3v4", s3={"addressing_style": "path"})
    )


def sqs() -> SQSClient:
    """SQS."""
    return cast("SQSClient", _on_first_use("sqs"))


def secrets_manager() -> SecretsManagerClient:
    """Secrets Manager."""
    return cast("SecretsManagerClient", _on_first_use("secretsmanager"))


def _access_to(service: str) -> Access | None:
    limits = Limits(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, MAX_CONNECTIONS)
    return access_to(service, os.environ, limits, now=lambda: datetime.now(UTC))


def _pause(most_seconds: float) -> None:
    time.sleep(random.uniform(0, most_seconds))  # noqa: S311 - jitter


def _on_first_use(service: str, **options: Any) -> Any:
    return _OnFirstUse(lambda: _built(service, **options))


def _built(service: str, *, attempts: int = MAX_ATTEMPTS, **options: Any) -> Any:
    import boto3  # noqa: PLC0415 - see _OnFirstUse
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        max_pool_connections=MAX_CONNECTIONS,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        parameter_validation=False,
        **options,
    )
    return boto3.client(service, config=config)  # type: ignore[call-overload]
