"""The functions' DynamoDB client on a local engine, with its traffic counted.

botocore's client tells meters of each call by its events. The lean client has none, so its calls
are counted around it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from benchmarks.bill.meter import Traffic
from runtime.aws.transport import Limits
from runtime.dynamodb.client.lean import LeanClient
from runtime.functions.composition.lean_clients import access_to
from tests.support.engines.engine import REGION, Engine
from tests.support.platform import Platform

LIMITS: Final = Limits(connect_seconds=5, read_seconds=20, connections=64)


def lean_client(url: str) -> LeanClient:
    """The lean client for the engine at `url`, with the credentials that tests use there."""
    environment = {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_ENDPOINT_URL": url,
    }
    access = access_to("dynamodb", environment, LIMITS, lambda: datetime.now(UTC))
    assert access is not None, "a local engine needs nothing that only botocore knows"  # noqa: S101
    return LeanClient(access)


def client_of(engine: Engine) -> Any:
    """The lean client; botocore's for an engine within this process."""
    return lean_client(engine.endpoint_url) if engine.endpoint_url else engine.dynamodb()


def make_tables(platform: Platform) -> None:
    """Create the tables: one is created when the platform's own client first uses it."""
    for table in platform.tables.values():
        platform.client.describe_table(TableName=table)


class CountedClient:
    """A DynamoDB client whose calls `traffic` counts."""

    def __init__(self, client: LeanClient, traffic: Traffic) -> None:
        self._client, self._traffic = client, traffic
        self.exceptions = client.exceptions

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        operation = "".join(word.capitalize() for word in name.split("_"))

        def call(**request: Any) -> Any:
            try:
                answer = method(**request)
            except ClientError as error:
                self._traffic.count(operation, request, error.response)
                raise
            self._traffic.count(operation, request, answer)
            return answer

        return call
