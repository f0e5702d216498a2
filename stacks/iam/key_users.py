"""Who may open the keys that wrap data keys, and who may make new ones: the keys' own policies.

A Deny, so that it holds for every principal of the account, administrators included: what a role
is allowed by its own policies counts only if it is listed here (IAM User Guide, "Policy evaluation
logic"). The keys' administration is not touched: who may change a key's policy can take this away,
which CloudTrail records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

from stacks.stage import StageConfig

KeyAction = Literal["Decrypt", "GenerateDataKey"]

DATA_KEY_USERS: Final[Mapping[Literal["pii", "pci"], Mapping[str, tuple[KeyAction, ...]]]] = {
    "pci": {
        "api-Process": ("Decrypt", "GenerateDataKey"),
        "workers-Rotation": ("Decrypt", "GenerateDataKey"),
    },
    "pii": {
        "api-Process": ("Decrypt", "GenerateDataKey"),
        "api-Query": ("Decrypt",),
        "ledger-Project": ("Decrypt", "GenerateDataKey"),
        "webhooks-Deliver": ("Decrypt",),
        "workers-Poll": ("Decrypt", "GenerateDataKey"),
        "workers-Resolver": ("Decrypt", "GenerateDataKey"),
        "workers-Rotation": ("Decrypt", "GenerateDataKey"),
    },
}
"""Functions that may use data keys, by purpose; each is named by its stack and construct."""

_MEANT: Final[Mapping[KeyAction, tuple[str, ...]]] = {
    "Decrypt": ("Decrypt", "ReEncryptFrom"),
    "GenerateDataKey": (
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyPair",
        "GenerateDataKeyPairWithoutPlaintext",
        "GenerateDataKeyWithoutPlaintext",
        "ReEncryptTo",
    ),
}
"""All ways to open what the key wrapped; all ways to have it wrap something."""
_SIDS: Final[Mapping[KeyAction, str]] = {
    "Decrypt": "OpenedByListedRoles",
    "GenerateDataKey": "MadeByListedRoles",
}


def only_listed_roles(
    users: Mapping[str, tuple[KeyAction, ...]], stage: StageConfig
) -> list[iam.PolicyStatement]:
    """Opening and making data keys denied to all but `users`; the break-glass role may open.

    Roles are recognised by the prefix of their names: the key's stack is deployed before
    theirs. `aws:PrincipalArn` of a session is the ARN of its role (IAM User Guide, "AWS global
    condition context keys").
    """
    return [_deny_others(action, users, stage) for action in _MEANT]


def _deny_others(
    action: KeyAction, users: Mapping[str, tuple[KeyAction, ...]], stage: StageConfig
) -> iam.PolicyStatement:
    roles = [
        f"payments-{stage.name}-{function}Role*"
        for function, actions in users.items()
        if action in actions
    ]
    if action == "Decrypt" and stage.break_glass_role is not None:
        roles.append(stage.break_glass_role)
    role_arn = f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role"
    return iam.PolicyStatement(
        sid=_SIDS[action],
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=[f"kms:{name}" for name in _MEANT[action]],
        resources=["*"],
        conditions={"ArnNotLike": {"aws:PrincipalArn": [f"{role_arn}/{name}" for name in roles]}},
    )
