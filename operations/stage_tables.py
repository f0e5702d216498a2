"""The tables of a stage, for commands that run against it: the local stage, or one in AWS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from local.deploy import up
from local.emulator.aws import Clients
from local.emulator.ports import parse_port
from local.errors import LocalError
from local.progress import Progress
from local.workspace import Workspace
from operations.deployed import names_of
from runtime.functions.composition import aws_clients
from runtime.tables import restored_table_name

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def stage_tables(
    workspace: Workspace, progress: Progress, stage: str | None, restored: str | None = None
) -> tuple[DynamoDBClient, Mapping[str, str]]:
    """A client and the tables' names by role; without `stage` those of the local one.

    `restored`: the name of a restore, for its tables, which the stage does not have to use yet.

    Raises:
        LocalError: the stage is not deployed, or cannot be reached.
    """
    if stage is not None:
        return aws_clients.botocore_dynamodb(), tables_of(stage, restored)
    require_no_restore(restored)
    port = os.environ.get("PORT") or None
    stack = up(workspace, None if port is None else parse_port(port), progress)
    return Clients(stack.aws_endpoint_url).dynamodb, stack.tables


def tables_of(stage: str, restored: str | None = None) -> dict[str, str]:
    """The tables' names by role, of a stage in AWS; of a restore, if one is named.

    Raises:
        LocalError: no credentials, or no such stage in this account and region.
    """
    tables = names_of(stage, "data", "Tables")
    if restored is None:
        return tables
    return {name: restored_table_name(stage, name, restored) for name in tables}


def require_no_restore(restored: str | None) -> None:
    """Raise LocalError if a restore is named: the local stage has none."""
    if restored is not None:
        raise LocalError(
            f"The tables of the restore {restored!r} were asked for without a stage.",
            hint="Restores are made in AWS: give --stage as well.",
        )
