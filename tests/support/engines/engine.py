"""Table engines that stand in for DynamoDB: all speak through the same client the runtime uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REGION = "eu-west-1"

ENVIRONMENT = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "DYNAMODB_CLIENT": "botocore",
}
"""Credentials that keep a developer's own AWS account out of the tests.

moto and the fault layers hook into botocore; tests of the lean client create it themselves.
"""


@dataclass(frozen=True)
class Engine:
    """One running engine; `endpoint_url` is None for moto, which lives in this process."""

    name: str
    endpoint_url: str | None

    def client(self, service: str = "dynamodb") -> Any:
        """A client without retries of its own, like the runtime's, with connections for threads."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint_url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(
                connect_timeout=5,
                read_timeout=20,
                retries={"total_max_attempts": 1, "mode": "standard"},
                parameter_validation=False,
                max_pool_connections=64,
                proxies={},
            ),
        )

    def dynamodb(self) -> DynamoDBClient:
        """A DynamoDB client."""
        return self.client()
