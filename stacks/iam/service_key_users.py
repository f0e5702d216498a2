"""Services of AWS that use a key in their own name, so that only the key's policy can allow it."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_iam as iam


def eventbridge_to_queues() -> iam.PolicyStatement:
    """EventBridge puts events into encrypted queues.

    It sends no aws:SourceAccount for them (EventBridge User Guide, "Troubleshooting": the key
    policy there has no condition): under one, settlement files would be lost, because their
    dead-letter queue has the same key. The policies of the queues name the rules.
    """
    return iam.PolicyStatement(
        sid="EventBridgeToQueues",
        principals=[iam.ServicePrincipal("events.amazonaws.com")],
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=["*"],
    )


def alarms_to_topics() -> iam.PolicyStatement:
    """CloudWatch publishes alarms to encrypted topics.

    As AWS's own example has it (CloudWatch User Guide, "Notify users on alarm changes").
    """
    return iam.PolicyStatement(
        sid="AlarmsToTopics",
        principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=["*"],
    )


def cloudwatch_logs() -> iam.PolicyStatement:
    """CloudWatch Logs encrypts log groups of this account and region."""
    groups = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:*"
    return iam.PolicyStatement(
        sid="CloudWatchLogs",
        principals=[iam.ServicePrincipal(f"logs.{Aws.REGION}.amazonaws.com")],
        actions=[
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ],
        resources=["*"],
        conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
    )
