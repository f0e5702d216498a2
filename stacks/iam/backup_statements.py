"""What AWS Backup may do in the name of the stage's role: read the listed tables and buckets.

The actions are those of AWS's managed policies AWSBackupServiceRolePolicyForBackup (its part about
DynamoDB) and AWSBackupServiceRolePolicyForS3Backup, on this stage's resources instead of on all of
the account (AWS Managed Policy Reference Guide). The role cannot restore: people do, with a role of
their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

_HERE: Final = f"{Aws.REGION}:{Aws.ACCOUNT_ID}"
RECOVERY_POINTS: Final = f"arn:{Aws.PARTITION}:backup:{_HERE}:recovery-point:*"
MANAGED_RULES: Final = f"arn:{Aws.PARTITION}:events:{_HERE}:rule/AwsBackupManagedRule*"

BUCKET_ACTIONS: Final = (
    "s3:GetBucketAcl",
    "s3:GetBucketLocation",
    "s3:GetBucketNotification",
    "s3:GetBucketTagging",
    "s3:GetBucketVersioning",
    "s3:GetInventoryConfiguration",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:PutBucketNotification",
    "s3:PutInventoryConfiguration",
)
"""AWS Backup has the bucket tell EventBridge of changes, and lists its objects by an inventory."""
OBJECT_ACTIONS: Final = (
    "s3:GetObject",
    "s3:GetObjectAcl",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionAcl",
    "s3:GetObjectVersionTagging",
)
MANAGED_RULE_ACTIONS: Final = (
    "events:DeleteRule",
    "events:DescribeRule",
    "events:DisableRule",
    "events:EnableRule",
    "events:ListTargetsByRule",
    "events:PutRule",
    "events:PutTargets",
    "events:RemoveTargets",
)
"""Of the rule with which AWS Backup learns of changed objects."""

WILDCARDS: Final[Mapping[str, str]] = {
    "*": (
        "cloudwatch:GetMetricData, events:ListRules and s3:ListAllMyBuckets accept no narrower "
        "resource."
    ),
    "arn:<AWS::Partition>:backup:<AWS::Region>:<AWS::AccountId>:recovery-point:*": (
        "AWS Backup names the backups of this account and region."
    ),
    "arn:<AWS::Partition>:events:<AWS::Region>:<AWS::AccountId>:rule/AwsBackupManagedRule*": (
        "AWS Backup numbers the rules that it makes; nothing else has this prefix."
    ),
}
"""Resources that end in *, as cdk-nag writes them, with the reason for each."""


def table_backup_statements(table_arns: Sequence[str]) -> list[iam.PolicyStatement]:
    """Back up the tables, with and without advanced features of DynamoDB backups."""
    return [
        iam.PolicyStatement(
            sid="Tables",
            actions=[
                "dynamodb:CreateBackup",
                "dynamodb:DescribeTable",
                "dynamodb:ListTagsOfResource",
                "dynamodb:StartAwsBackupJob",
            ],
            resources=list(table_arns),
        ),
        # Without advanced features the backups are those of DynamoDB, and are deleted there.
        iam.PolicyStatement(
            sid="TableBackups",
            actions=["dynamodb:DeleteBackup", "dynamodb:DescribeBackup"],
            resources=[f"{arn}/backup/*" for arn in table_arns],
        ),
    ]


def bucket_backup_statements(bucket_arn: str) -> list[iam.PolicyStatement]:
    """Back up all versions of all objects of the bucket."""
    return [
        iam.PolicyStatement(sid="Bucket", actions=list(BUCKET_ACTIONS), resources=[bucket_arn]),
        iam.PolicyStatement(
            sid="Objects", actions=list(OBJECT_ACTIONS), resources=[f"{bucket_arn}/*"]
        ),
        iam.PolicyStatement(
            sid="ManagedRules", actions=list(MANAGED_RULE_ACTIONS), resources=[MANAGED_RULES]
        ),
        iam.PolicyStatement(
            sid="WithoutResources",
            actions=["cloudwatch:GetMetricData", "events:ListRules", "s3:ListAllMyBuckets"],
            resources=["*"],
        ),
    ]


def key_statements(data_key_arn: str, vault_key_arn: str) -> list[iam.PolicyStatement]:
    """Read what the key of the data encrypts, and have the vault's key encrypt the copies."""
    keys = [data_key_arn, vault_key_arn]
    services = [f"{service}.{Aws.REGION}.amazonaws.com" for service in ("dynamodb", "s3")]
    return [
        iam.PolicyStatement(
            sid="KeysThroughServices",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=keys,
            conditions={"StringEquals": {"kms:ViaService": services}},
        ),
        iam.PolicyStatement(sid="Keys", actions=["kms:DescribeKey"], resources=keys),
        iam.PolicyStatement(
            sid="GrantsToServices",
            actions=["kms:CreateGrant"],
            resources=keys,
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


def vault_statements(vault_arn: str, copy_to: str | None) -> list[iam.PolicyStatement]:
    """Put backups into the vault, and copy them into another if there is one."""
    statements = [
        iam.PolicyStatement(
            sid="Vault", actions=["backup:DescribeBackupVault"], resources=[vault_arn]
        ),
        iam.PolicyStatement(
            sid="Backups", actions=["backup:TagResource"], resources=[RECOVERY_POINTS]
        ),
    ]
    if copy_to is not None:
        statements += [
            iam.PolicyStatement(
                sid="CopiedBackups",
                actions=["backup:CopyFromBackupVault"],
                resources=[RECOVERY_POINTS],
            ),
            iam.PolicyStatement(
                sid="OtherVault", actions=["backup:CopyIntoBackupVault"], resources=[copy_to]
            ),
        ]
    return statements
