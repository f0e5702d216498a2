"""Whose audit log is verified: the local stage's, or that of a stage in AWS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import boto3

from local.emulator.aws import Clients
from local.stackfile import Stack
from operations.deployed import names_of
from operations.stage_tables import tables_of
from runtime.functions.composition import aws_clients
from runtime.settings import ArchiveSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

_ARCHIVE: Final = "archive"
"""The function whose settings name the bucket of the archive and the key of its roots."""


@dataclass(frozen=True)
class AuditTarget:
    """What is read. `tables`: physical names by role."""

    tables: Mapping[str, str]
    settings: ArchiveSettings
    dynamodb: DynamoDBClient
    files: S3Client
    keys: KMSClient


def local_target(stack: Stack) -> AuditTarget:
    """The local stage's."""
    clients = Clients(stack.aws_endpoint_url)
    return AuditTarget(
        tables=stack.tables,
        settings=_settings(clients.functions, stack.functions[_ARCHIVE]),
        dynamodb=clients.dynamodb,
        files=clients.files,
        keys=clients.keys,
    )


def deployed_target(stage: str, restored: str | None = None) -> AuditTarget:
    """A deployed stage's, by its stacks' outputs and the shell's credentials.

    `restored`: the name of a restore, for its tables.

    Raises:
        LocalError: no credentials, or no such stage in this account and region.
    """
    function = names_of(stage, "audit", "Functions")[_ARCHIVE]
    return AuditTarget(
        tables=tables_of(stage, restored),
        settings=_settings(boto3.client("lambda"), function),
        dynamodb=aws_clients.botocore_dynamodb(),
        files=aws_clients.s3(),
        keys=aws_clients.kms(),
    )


def _settings(functions: LambdaClient, name: str) -> ArchiveSettings:
    configuration = functions.get_function_configuration(FunctionName=name)
    return ArchiveSettings.from_environment(configuration["Environment"]["Variables"])
