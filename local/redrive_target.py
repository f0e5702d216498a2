"""Where `make redrive` works: the local stage, or a stage in the AWS account of the shell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.aws import LONGEST_FUNCTION_SECONDS, Clients
from local.errors import LocalError
from local.redrive import Target
from local.stackfile import Stack

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

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
    try:
        cloudformation: CloudFormationClient = boto3.client("cloudformation")
        data = _outputs(cloudformation, f"payments-{stage}-data")
        functions: dict[str, str] = {}
        for name in _WITH_FUNCTIONS:
            outputs = _outputs(cloudformation, f"payments-{stage}-{name}")
            functions |= json.loads(outputs["Functions"])
        return Target(
            bucket=json.loads(data["Buckets"])[BUCKET],
            functions=functions,
            tables=json.loads(data["Tables"]),
            files=boto3.client("s3"),
            invoker=boto3.client("lambda", config=patient),
        )
    except (BotoCoreError, ClientError, KeyError) as error:
        raise LocalError(
            f"The stage {stage!r} could not be found: {error}.",
            hint="AWS_PROFILE and AWS_REGION choose the account; is this version deployed there?",
        ) from error


def _outputs(cloudformation: CloudFormationClient, stack: str) -> dict[str, str]:
    (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
