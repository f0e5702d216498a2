"""Customer managed KMS keys with an alias and a deletion window."""

from __future__ import annotations

from typing import Final

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.stage import StageConfig

LONGEST_PENDING_DAYS: Final = 30
SHORTEST_PENDING_DAYS: Final = 7
"""KMS deletes a key after 7 to 30 days, in which the deletion can still be called off."""


class CustomerKey(Construct):
    """A KMS key with the settings of every stage. Losing it loses all that it encrypts."""

    def __init__(
        self, scope: Construct, construct_id: str, *, purpose: str, stage: StageConfig
    ) -> None:
        super().__init__(scope, construct_id)
        self.key = kms.Key(
            self,
            "Key",
            alias=_alias(construct_id, stage),
            description=f"payments {stage.name}: {purpose}",
            enable_key_rotation=True,
            pending_window=_pending_window(stage),
            removal_policy=stage.data.removal_policy,
        )


class SigningKey(Construct):
    """A pair of keys whose private half never leaves KMS, for one signer.

    KMS rotates no such pair (KMS Developer Guide, "Rotating keys"). Only roles whose name begins
    with `signer_role_prefix` may sign: a Deny, so that it holds for administrators as well.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        purpose: str,
        signer_role_prefix: str,
        stage: StageConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.key = kms.Key(
            self,
            "Key",
            alias=_alias(construct_id, stage),
            description=f"payments {stage.name}: {purpose}",
            key_spec=kms.KeySpec.ECC_NIST_P256,
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            pending_window=_pending_window(stage),
            removal_policy=stage.data.removal_policy,
        )
        role = f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{signer_role_prefix}*"
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="OneSigner",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["kms:Sign"],
                resources=["*"],
                conditions={"ArnNotLike": {"aws:PrincipalArn": role}},
            )
        )


def _alias(construct_id: str, stage: StageConfig) -> str:
    return f"payments/{stage.name}/{construct_id.removesuffix('Key').lower()}"


def _pending_window(stage: StageConfig) -> Duration:
    retain = stage.data.retain
    return Duration.days(LONGEST_PENDING_DAYS if retain else SHORTEST_PENDING_DAYS)
