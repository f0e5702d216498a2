"""A customer managed KMS key with an alias, yearly rotation and a deletion window."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.stage import StageConfig

LONGEST_PENDING_DAYS: Final = 30
SHORTEST_PENDING_DAYS: Final = 7
"""KMS deletes a key after 7 to 30 days, in which the deletion can still be called off."""


class CustomerKey(Construct):
    """A key as every stage needs it. Who loses it loses everything enciphered with it."""

    def __init__(
        self, scope: Construct, construct_id: str, *, purpose: str, stage: StageConfig
    ) -> None:
        super().__init__(scope, construct_id)
        retain = stage.data.retain
        self.key = kms.Key(
            self,
            "Key",
            alias=f"payments/{stage.name}/{construct_id.removesuffix('Key').lower()}",
            description=f"payments {stage.name}: {purpose}",
            enable_key_rotation=True,
            pending_window=Duration.days(LONGEST_PENDING_DAYS if retain else SHORTEST_PENDING_DAYS),
            removal_policy=RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY,
        )
