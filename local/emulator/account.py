"""The stack CDKToolkit in the emulator, which every deployment by the CDK requires.

`cdk bootstrap` would make it from the same template. It takes 4 s of a processor, most of it to
load the CLI and to compare the template with a stack that does not exist.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local.errors import DeployFailed

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

TOOLKIT_STACK: Final = "CDKToolkit"
_TEMPLATE: Final = Path("aws-cdk/lib/api/bootstrap/bootstrap-template.yaml")
"""In `node_modules`: of the version of the CDK that deploys."""
_CAPABILITIES: Final = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM")
_TIMEOUT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1


def prepare_account(stacks: CloudFormationClient, node_modules: Path) -> None:
    """Create the bucket, the roles and the parameter of the CDK, with the template's defaults.

    Raises:
        DeployFailed: the stack was not created.
    """
    stacks.create_stack(
        StackName=TOOLKIT_STACK,
        TemplateBody=(node_modules / _TEMPLATE).read_text(),
        Capabilities=list(_CAPABILITIES),
    )
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        (stack,) = stacks.describe_stacks(StackName=TOOLKIT_STACK)["Stacks"]
        status = stack["StackStatus"]
        if status == "CREATE_COMPLETE":
            return
        if status != "CREATE_IN_PROGRESS" or time.monotonic() > deadline:
            raise DeployFailed(
                f"The stack {TOOLKIT_STACK} is {status}: {stack.get('StackStatusReason', '')}",
                hint="The emulator's log has the reason.",
            )
        time.sleep(_POLL_SECONDS)
