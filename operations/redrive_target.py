"""Where `make redrive` works: the local stage, or a stage in the AWS account of the shell."""

from __future__ import annotations

from typing import Final

import boto3
from botocore.config import Config

from local.emulator.aws import LONGEST_FUNCTION_SECONDS, Clients
from local.stackfile import Stack
from operations.deployed import names_of
from operations.redrive import Target

BUCKET: Final = "failed_batches"
_WITH_FUNCTIONS: Final = ("ledger", "audit")


def local_target(stack: Stack) -> Target:
    """The local stage's."""
    clients = Clients(stack.aws_endpoint_url)
    return Target(
        bucket=stack.buckets[BUCKET],
        functions=stack.functions,
        tables=stack.tables,
        files=clients.files,
        invoker=clients.functions,
    )


def deployed_target(stage: str) -> Target:
    """A deployed stage's, by its stacks' outputs and the shell's credentials.

    Raises:
        LocalError: no credentials, or no such stage in this account and region.
    """
    # No retry: a function that was invoked twice would have run twice.
    patient = Config(
        read_timeout=LONGEST_FUNCTION_SECONDS, retries={"total_max_attempts": 1, "mode": "standard"}
    )
    functions: dict[str, str] = {}
    for name in _WITH_FUNCTIONS:
        functions |= names_of(stage, name, "Functions")
    return Target(
        bucket=names_of(stage, "data", "Buckets")[BUCKET],
        functions=functions,
        tables=names_of(stage, "data", "Tables"),
        files=boto3.client("s3"),
        invoker=boto3.client("lambda", config=patient),
    )
