"""The keys' own policies: who decrypts personal data and payment methods, evaluated like IAM."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

import pytest

from stacks.iam.key_users import DATA_KEY_USERS
from stacks.stage import MAX_STAGE_NAME, StageConfig, StageError
from tests.infrastructure.synthesized import Json, Synthesized, cdk_json_context, listed

Purpose = Literal["pii", "pci"]
ACCOUNT = "111122223333"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/Admin"
DEPLOYER = f"arn:aws:iam::{ACCOUNT}:role/cdk-hnb659fds-cfn-exec-role-{ACCOUNT}-eu-west-1"
BREAK_GLASS = "security/BreakGlass"
OPENING = ("kms:Decrypt", "kms:ReEncryptFrom")
MAKING = ("kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext")
ADMINISTRATION = (
    "kms:CancelKeyDeletion",
    "kms:DescribeKey",
    "kms:EnableKey",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
)
MAX_ROLE_NAME = 64
RANDOM_PART = "-1A2B3C4D5E6FG"
"""What CloudFormation adds to a name: a hyphen and at most 13 characters."""


def may(policy: list[Json], stage: Synthesized, principal: str, action: str) -> bool:
    """Whether a principal of the account, allowed everything by its own policies, may do it.

    A Deny that applies decides; else the key's policy has to leave it to the account's policies
    (IAM User Guide, "Policy evaluation logic").
    """
    applying = [each for each in policy if _applies(each, stage, principal, action)]
    if any(each["Effect"] == "Deny" for each in applying):
        return False
    return any(each["Effect"] == "Allow" for each in applying)


def _applies(statement: Json, stage: Synthesized, principal: str, action: str) -> bool:
    if not any(fnmatchcase(action, pattern) for pattern in listed(statement["Action"])):
        return False
    (who,) = map(stage.flat, listed(statement["Principal"]["AWS"]))
    # The account as principal means every principal in it that IAM allows.
    assert who == "*" or who.endswith(":root")
    conditions = statement.get("Condition", {})
    assert set(conditions) <= {"ArnNotLike"}, "the evaluator knows no other"
    patterns = listed(conditions.get("ArnNotLike", {}).get("aws:PrincipalArn", []))
    return not any(fnmatchcase(principal, _arn(stage.flat(each))) for each in patterns)


def _arn(pattern: str) -> str:
    return pattern.replace("${AWS::Partition}", "aws").replace("${AWS::AccountId}", ACCOUNT)


def _policy(stage: Synthesized, purpose: Purpose) -> list[Json]:
    name = f"{purpose.capitalize()}Key"
    (key,) = (k for k in stage.all("AWS::KMS::Key") if k.logical_id.startswith(name))
    statements: list[Json] = key.properties["KeyPolicy"]["Statement"]
    return statements


def _roles(stage: Synthesized) -> dict[str, str]:
    """ARNs of the functions' roles as CloudFormation names them, by stack and construct."""
    prefix = stage.stacks["data"].stack_name.removesuffix("data")
    return {
        f"{role.stack}-{role.logical_id.partition('Role')[0]}": (
            f"arn:aws:iam::{ACCOUNT}:role/{prefix}{role.stack}-{role.logical_id}{RANDOM_PART}"
        )
        for role in stage.all("AWS::IAM::Role")
    }


@pytest.mark.parametrize("purpose", ["pii", "pci"])
def test_a_role_uses_a_data_key_only_if_it_is_listed(purpose: Purpose, stage: Synthesized) -> None:
    policy, users, roles = _policy(stage, purpose), DATA_KEY_USERS[purpose], _roles(stage)
    assert set(users) <= set(roles)
    for function, arn in roles.items():
        actions = users.get(function, ())
        for action in OPENING:
            assert may(policy, stage, arn, action) == ("Decrypt" in actions), (function, action)
        for action in MAKING:
            assert may(policy, stage, arn, action) == ("GenerateDataKey" in actions), function


@pytest.mark.parametrize("purpose", ["pii", "pci"])
def test_other_principals_and_administrators_cannot_use_data_keys(
    purpose: Purpose, stage: Synthesized
) -> None:
    other_stage = f"arn:aws:iam::{ACCOUNT}:role/payments-other-api-ProcessRole{RANDOM_PART}"
    other_account = _roles(stage)["api-Process"].replace(ACCOUNT, "999999999999")
    for principal in (ROOT, ADMIN, DEPLOYER, other_stage, other_account):
        for action in (*OPENING, *MAKING):
            assert not may(_policy(stage, purpose), stage, principal, action), principal


@pytest.mark.parametrize("purpose", ["pii", "pci"])
def test_the_keys_are_still_administered_by_the_account(
    purpose: Purpose, stage: Synthesized
) -> None:
    for principal in (ROOT, ADMIN, DEPLOYER):
        for action in ADMINISTRATION:
            assert may(_policy(stage, purpose), stage, principal, action), action


@pytest.mark.parametrize("purpose", ["pii", "pci"])
def test_the_break_glass_role_cannot_use_data_keys(
    purpose: Purpose, with_options: Synthesized
) -> None:
    stage = with_options
    policy, role = _policy(stage, purpose), f"arn:aws:iam::{ACCOUNT}:role/{BREAK_GLASS}"
    assert all(may(policy, stage, role, action) for action in OPENING)
    assert not any(may(policy, stage, role, action) for action in MAKING)
    for like_it in (f"{role}2", role.replace("security/", ""), role.replace(ACCOUNT, "9" * 12)):
        assert not may(policy, stage, like_it, "kms:Decrypt")


@pytest.mark.parametrize("purpose", ["pii", "pci"])
def test_the_listed_roles_are_those_whose_policies_allow_it(
    purpose: Purpose, stage: Synthesized
) -> None:
    allowed: dict[str, set[str]] = {}
    for service, function in stage.functions().items():
        construct = function.logical_id.partition("Function")[0]
        for statement in stage.statements_of(service):
            if any(r.startswith(f"${{{purpose.capitalize()}Key") for r in statement["Resource"]):
                actions = {action.partition(":")[2] for action in statement["Action"]}
                allowed.setdefault(f"{function.stack}-{construct}", set()).update(actions)
    listed_users = {name: set(actions) for name, actions in DATA_KEY_USERS[purpose].items()}
    assert allowed == listed_users


def test_no_role_name_used_in_a_policy_is_truncated(stage: Synthesized) -> None:
    name = stage.name
    longest = MAX_STAGE_NAME - len(name)
    users = {user for users in DATA_KEY_USERS.values() for user in users}
    for function in (*users, "audit-Archive"):
        role = _roles(stage)[function].rpartition("/")[2]
        assert len(role) + longest <= MAX_ROLE_NAME, function


def test_an_invalid_name_of_a_stage_or_break_glass_role_is_refused() -> None:
    settings = cdk_json_context()["stages"]["dev"]
    too_long = "a" * (MAX_STAGE_NAME + 1)
    with pytest.raises(StageError, match="name"):
        StageConfig.named(too_long, {too_long: settings})
    for role in ("", "*", "Break*", "arn:aws:iam::1:role/x"):
        with pytest.raises(StageError, match="break_glass_role"):
            StageConfig.named("dev", {"dev": {**settings, "break_glass_role": role}})
    for roles in ([], ["*"], ["**"], ["arn:aws:iam::1:role/x"]):
        with pytest.raises(StageError, match="deploying_roles"):
            StageConfig.named("dev", {"dev": {**settings, "deploying_roles": roles}})
