"""A stage deployed to AWS, found through its stacks' outputs and the shell's credentials."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.errors import LocalError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient


def use_region(environment: MutableMapping[str, str]) -> None:
    """Let `AWS_REGION` choose the region for boto3 too, which reads only `AWS_DEFAULT_REGION`.

    As for the AWS CLI, the CDK CLI and Lambda, the former wins if both are set (AWS SDKs and Tools
    Reference Guide, "AWS Region").
    """
    if region := environment.get("AWS_REGION"):
        environment["AWS_DEFAULT_REGION"] = region


def names_of(stage: str, stack: str, output: str) -> dict[str, str]:
    """Physical names by role, from the stack's JSON output: for example `data`, `Tables`.

    Raises:
        LocalError: no credentials, or no such stage in this account and region.
    """
    names: dict[str, str] = json.loads(output_of(stage, stack, output))
    return names


def output_of(stage: str, stack: str, output: str) -> str:
    """One output of a stack: for example `api`, `ApiUrl`.

    Raises:
        LocalError: no credentials, or no such stage in this account and region.
    """
    try:
        cloudformation: CloudFormationClient = boto3.client("cloudformation")
        (found,) = cloudformation.describe_stacks(StackName=f"payments-{stage}-{stack}")["Stacks"]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
        return outputs[output]
    except (BotoCoreError, ClientError, KeyError) as error:
        raise LocalError(
            f"The stage {stage!r} could not be found: {error}.",
            hint="AWS_PROFILE and AWS_REGION choose the account; is this version deployed there?",
        ) from error
