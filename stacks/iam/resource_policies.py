"""Who may never do what with the audit log: policies of the table and of the archive's bucket.

The table's holds for every principal of the account, administrators included: a Deny counts
before any Allow (IAM User Guide, "Policy evaluation logic"). Who may put another policy in its
place could get around it, so that is denied as well, but to CloudFormation's role: the rules of the
table change by a deployment, which CloudTrail, the change set and the repository show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

CHANGES_OF_ROWS: Final = (
    "BatchWriteItem",
    "DeleteItem",
    "PartiQLDelete",
    "PartiQLUpdate",
    "UpdateItem",
)
"""What changes or deletes a row. BatchWriteItem is one right for puts and deletes."""
PUTS: Final = ("PartiQLInsert", "PutItem")
"""IAM knows no condition for "only if it is not there yet": PutItem is for the projector alone."""
CHANGES_OF_THE_TABLE: Final = (
    "DeleteResourcePolicy",
    "DeleteTable",
    "PutResourcePolicy",
    "UpdateContinuousBackups",
    "UpdateTable",
    "UpdateTimeToLive",
)
"""What lets rows go (a time to live, the table itself), stops the stream that feeds the archive, or
takes these rules away."""


def append_only(writer_role_prefix: str, deploying_roles: Sequence[str]) -> iam.PolicyDocument:
    """Rows may be put by roles whose name begins with `writer_role_prefix`, and only put.

    `deploying_roles`: patterns of the names of the roles that may change the table.

    By name: the table's stack is deployed before the function's, so the role does not exist yet.
    """
    return iam.PolicyDocument(
        statements=[
            _deny("RowsStayAsTheyAre", CHANGES_OF_ROWS, {}),
            _deny("OneWriter", PUTS, _unless_role(f"{writer_role_prefix}*")),
            _deny("ChangedByDeploymentsOnly", CHANGES_OF_THE_TABLE, _unless_role(*deploying_roles)),
        ]
    )


def one_archivist(role_prefix: str, bucket: s3.IBucket) -> iam.PolicyStatement:
    """Only roles whose name begins so may put objects of the archive; no role may hide them.

    What is there is locked. This keeps others from adding to it, and from putting markers over it.
    """
    return iam.PolicyStatement(
        sid="OneArchivist",
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=["s3:DeleteObject", "s3:PutObject"],
        resources=[bucket.arn_for_objects("*")],
        conditions=_unless_role(f"{role_prefix}*"),
    )


def _unless_role(*names: str) -> dict[str, dict[str, str | list[str]]]:
    roles = [f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{name}" for name in names]
    return {"ArnNotLike": {"aws:PrincipalArn": roles if len(roles) > 1 else roles[0]}}


def _deny(
    sid: str, actions: tuple[str, ...], conditions: dict[str, dict[str, str | list[str]]]
) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid,
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=[f"dynamodb:{action}" for action in actions],
        # The table that has the policy; its own ARN would refer to itself.
        resources=["*"],
        conditions=conditions,
    )
