"""boto3 clients for the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

from local.emulator.cdk import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY

if TYPE_CHECKING:
    from mypy_boto3_apigatewayv2 import ApiGatewayV2Client
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

CONNECT_TIMEOUT_SECONDS: Final = 3
READ_TIMEOUT_SECONDS: Final = 30
LONGEST_FUNCTION_SECONDS: Final = 900
"""Lambda's own limit."""


class Clients:
    """Clients of one emulator, with dummy credentials whatever the shell's environment."""

    def __init__(self, endpoint_url: str) -> None:
        session = boto3.Session(
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
            region_name=REGION,
        )
        usual = _config(READ_TIMEOUT_SECONDS, attempts=3)
        # No retry: a function that was invoked twice would have run twice.
        once = _config(LONGEST_FUNCTION_SECONDS, attempts=1)
        url = endpoint_url
        self.stacks: CloudFormationClient = session.client(
            "cloudformation", endpoint_url=url, config=usual
        )
        self.dynamodb: DynamoDBClient = session.client("dynamodb", endpoint_url=url, config=usual)
        self.http_apis: ApiGatewayV2Client = session.client(
            "apigatewayv2", endpoint_url=url, config=usual
        )
        self.files: S3Client = session.client("s3", endpoint_url=url, config=usual)
        self.keys: KMSClient = session.client("kms", endpoint_url=url, config=usual)
        self.secrets: SecretsManagerClient = session.client(
            "secretsmanager", endpoint_url=url, config=usual
        )
        self.logs = session.client("logs", endpoint_url=url, config=usual)
        self.functions: LambdaClient = session.client("lambda", endpoint_url=url, config=once)


def _config(read_timeout_seconds: int, attempts: int) -> Config:
    return Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=read_timeout_seconds,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        proxies={},
    )
