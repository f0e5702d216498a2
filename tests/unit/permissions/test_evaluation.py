"""Decisions of the evaluator, by the examples and rules of AWS's guides."""

from __future__ import annotations

from typing import Any

import pytest

from permissions.conditions import (
    Context,
    UnknownContext,
    UnsupportedPolicy,
    arn_is_like,
    conditions_hold,
)
from permissions.evaluation import Decision, Principal, Request, Statement, decide, policy_of

ACCOUNT = "111122223333"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
CARLOS = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/carlossalazar")
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1"


def allow(*actions: str, on: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


def deny(*actions: str, on: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {**allow(*actions, on=on, **more), "Effect": "Deny"}


def decision(
    action: str,
    resource: str,
    identity: list[dict[str, Any]],
    of_resource: list[dict[str, Any]] | None = None,
    principal: Principal = CARLOS,
    **context: tuple[str, ...],
) -> Decision:
    policy = None if of_resource is None else policy_of({"Statement": of_resource})
    request = Request(principal, action, resource, context)
    return decide(request, policy_of({"Statement": identity}), policy)


class TestPolicyEvaluationLogic:
    """IAM User Guide, "Evaluating identity-based policies with resource-based policies"."""

    IDENTITY = [
        allow("s3:ListAllMyBuckets", "s3:GetAccountPublicAccessBlock", on="*"),
        allow("s3:*", on=["arn:aws:s3:::carlossalazar/*", "arn:aws:s3:::carlossalazar"]),
        deny("s3:*", on="arn:aws:s3:::*log*"),
    ]
    BUCKET = [allow("s3:*", on="arn:aws:s3:::carlossalazar*", Principal={"AWS": CARLOS.role_arn})]

    def test_nothing_is_allowed_by_itself(self) -> None:
        assert decision("s3:GetObject", "arn:aws:s3:::x/y", []) is Decision.NOT_ALLOWED

    def test_an_allow_of_the_identity_suffices(self) -> None:
        own = "arn:aws:s3:::carlossalazar/object"
        assert decision("s3:PutObject", own, self.IDENTITY) is Decision.ALLOWED
        other = "arn:aws:s3:::other/object"
        assert decision("s3:PutObject", other, self.IDENTITY) is Decision.NOT_ALLOWED

    def test_an_allow_of_the_resource_suffices_within_the_account(self) -> None:
        own = "arn:aws:s3:::carlossalazar/object"
        assert decision("s3:GetObject", own, [], self.BUCKET) is Decision.ALLOWED

    def test_a_deny_of_the_identity_overrides_the_allow_of_the_resource(self) -> None:
        logs = "arn:aws:s3:::carlossalazar-logs/object"
        assert decision("s3:GetObject", logs, [], self.BUCKET) is Decision.ALLOWED
        assert decision("s3:GetObject", logs, self.IDENTITY, self.BUCKET) is Decision.DENIED

    def test_a_deny_of_the_resource_overrides_the_allow_of_the_identity(self) -> None:
        own = "arn:aws:s3:::carlossalazar/object"
        bucket = [deny("s3:PutObject", Principal="*")]
        assert decision("s3:PutObject", own, self.IDENTITY, bucket) is Decision.DENIED
        assert decision("s3:GetObject", own, self.IDENTITY, bucket) is Decision.ALLOWED

    def test_statements_about_others_do_not_count(self) -> None:
        theirs = [
            deny("s3:*", Principal={"AWS": "arn:aws:iam::999999999999:role/other"}),
            deny("s3:*", Principal={"Service": "events.amazonaws.com"}),
        ]
        own = "arn:aws:s3:::carlossalazar/object"
        assert decision("s3:GetObject", own, self.IDENTITY, theirs) is Decision.ALLOWED


class TestKeyPolicies:
    """KMS Developer Guide, "Key policies": without them no policy of a role counts."""

    DEFAULT = [allow("kms:*", Principal={"AWS": ROOT})]
    """The default key policy: the account may use the key, as its roles' policies say."""

    def test_the_default_policy_lets_the_policies_of_roles_decide(self) -> None:
        mine = [allow("kms:Decrypt", on=KEY)]
        assert decision("kms:Decrypt", KEY, mine, self.DEFAULT) is Decision.ALLOWED
        assert decision("kms:Encrypt", KEY, mine, self.DEFAULT) is Decision.NOT_ALLOWED
        assert decision("kms:Decrypt", KEY, [], self.DEFAULT) is Decision.NOT_ALLOWED

    def test_a_key_policy_that_does_not_name_the_account_closes_the_key(self) -> None:
        mine = [allow("kms:Decrypt", on=KEY)]
        service = [allow("kms:*", Principal={"Service": "logs.eu-west-1.amazonaws.com"})]
        assert decision("kms:Decrypt", KEY, mine, service) is Decision.NOT_ALLOWED
        assert decision("kms:Decrypt", KEY, mine, None) is Decision.NOT_ALLOWED

    def test_a_key_policy_may_allow_a_role_directly(self) -> None:
        direct = [allow("kms:Decrypt", Principal={"AWS": CARLOS.role_arn})]
        assert decision("kms:Decrypt", KEY, [], direct) is Decision.ALLOWED

    def test_a_service_is_allowed_in_its_own_name_from_an_account(self) -> None:
        events = Principal(ACCOUNT, service="events.amazonaws.com")
        policy = [
            *self.DEFAULT,
            allow(
                "kms:Decrypt",
                Principal={"Service": "events.amazonaws.com"},
                Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}},
            ),
        ]
        source = {"aws:SourceAccount": (ACCOUNT,)}
        said = decision("kms:Decrypt", KEY, [], policy, events, **source)
        assert said is Decision.ALLOWED
        other = {"aws:SourceAccount": ("999999999999",)}
        assert decision("kms:Decrypt", KEY, [], policy, events, **other) is Decision.NOT_ALLOWED
        assert decision("kms:Decrypt", KEY, [], policy, events) is Decision.NOT_ALLOWED


class TestElements:
    """IAM User Guide, "IAM JSON policy elements reference"."""

    def test_actions_ignore_case_and_resources_do_not(self) -> None:
        policy = [allow("S3:getobject", on="arn:aws:s3:::Bucket/*")]
        assert decision("s3:GetObject", "arn:aws:s3:::Bucket/a", policy) is Decision.ALLOWED
        assert decision("s3:GetObject", "arn:aws:s3:::bucket/a", policy) is Decision.NOT_ALLOWED

    def test_a_question_mark_is_one_character_and_a_star_any_number(self) -> None:
        policy = [allow("s3:GetObject", on=["arn:aws:s3:::b/?", "arn:aws:s3:::c/*/x"])]
        for key, expected in (("b/1", True), ("b/12", False), ("b/", False), ("c/1/2/x", True)):
            said = decision("s3:GetObject", f"arn:aws:s3:::{key}", policy)
            assert (said is Decision.ALLOWED) == expected, key

    def test_not_action_and_not_resource_mean_all_others(self) -> None:
        policy = [{"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::b/*"}]
        assert decision("s3:GetObject", "arn:aws:s3:::a/x", policy) is Decision.ALLOWED
        assert decision("iam:GetUser", "arn:aws:s3:::a/x", policy) is Decision.NOT_ALLOWED
        assert decision("s3:GetObject", "arn:aws:s3:::b/x", policy) is Decision.NOT_ALLOWED

    def test_not_principal_means_all_others(self) -> None:
        policy = [{**deny("s3:*"), "NotPrincipal": {"AWS": CARLOS.role_arn}}]
        other = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/other")
        mine = [allow("s3:*")]
        arn = "arn:aws:s3:::a/x"
        assert decision("s3:GetObject", arn, mine, policy) is Decision.ALLOWED
        assert decision("s3:GetObject", arn, mine, policy, other) is Decision.DENIED

    @pytest.mark.parametrize(
        "statement",
        [
            {**allow("s3:*"), "Resources": "*"},
            allow("s3:*", on="arn:aws:s3:::${aws:username}/*"),
            allow("s3:*", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}),
            allow("s3:*", Condition={"ForSomeValues:StringEquals": {"aws:TagKeys": "a"}}),
            allow("s3:*", Principal={"Federated": "example.com"}),
        ],
    )
    def test_what_is_not_implemented_is_an_error(self, statement: dict[str, Any]) -> None:
        context = {"aws:SourceIp": ("192.0.2.1",), "aws:TagKeys": ("a",)}
        request = Request(CARLOS, "s3:GetObject", "arn:aws:s3:::a/b", context)

        def judge() -> None:
            found = Statement.of(statement)
            found.names(CARLOS)
            found.applies_to(request)

        with pytest.raises(UnsupportedPolicy):
            judge()


def holds(operator: str, wanted: Any, *values: str) -> bool:
    """A condition on a key with these values; absent from the request if there are none."""
    context: Context = {"a:Key": values} if values else {}
    return conditions_hold({operator: {"a:key": wanted}}, context, frozenset())


@pytest.mark.parametrize(
    ("operator", "wanted", "values", "expected"),
    [
        ("StringEquals", "x", ["x"], True),
        ("StringEquals", "x", ["X"], False),
        ("StringEquals", ["x", "y"], ["y"], True),
        ("StringEquals", "x", [], False),
        ("StringNotEquals", "x", ["y"], True),
        ("StringNotEquals", ["x", "y"], ["y"], False),
        ("StringNotEquals", "x", [], True),
        ("StringEqualsIfExists", "x", [], True),
        ("StringEqualsIfExists", "x", ["y"], False),
        ("StringLike", "mer_*#*", ["mer_1#2"], True),
        ("StringLike", "mer_*#*", ["mer_1"], False),
        ("StringNotLike", "a*", ["b"], True),
        ("StringNotLike", "a*", ["ab"], False),
        ("Bool", "false", ["false"], True),
        ("Bool", False, ["false"], True),
        ("Bool", "false", ["true"], False),
        ("Bool", "false", [], False),
        ("NumericLessThan", 1.2, ["1.1"], True),
        ("NumericLessThan", 1.2, ["1.3"], False),
        ("NumericLessThan", 1.2, [], False),
        ("Null", "true", [], True),
        ("Null", "true", ["x"], False),
        ("Null", "false", ["x"], True),
        ("Null", "false", [], False),
        ("ForAllValues:StringEquals", ["x", "y"], ["x"], True),
        ("ForAllValues:StringEquals", ["x", "y"], ["x", "z"], False),
        ("ForAllValues:StringEquals", ["x", "y"], [], True),
        ("ForAllValues:StringLike", ["mer_*"], ["mer_1", "cus_1"], False),
        ("ForAnyValue:StringEquals", ["x", "y"], ["x", "z"], True),
        ("ForAnyValue:StringEquals", ["x", "y"], ["z"], False),
        ("ForAnyValue:StringEquals", ["x", "y"], [], False),
    ],
)
def test_conditions_hold_as_the_guide_says(
    operator: str, wanted: Any, values: list[str], expected: bool
) -> None:
    """IAM User Guide: condition operators, missing keys, and keys with several values."""
    assert holds(operator, wanted, *values) == expected


def test_all_conditions_must_hold() -> None:
    conditions = {"StringEquals": {"a": "1", "b": "2"}, "Null": {"c": "true"}}
    assert conditions_hold(conditions, {"a": ("1",), "b": ("2",)}, frozenset())
    assert not conditions_hold(conditions, {"a": ("1",), "b": ("3",)}, frozenset())
    assert not conditions_hold(conditions, {"a": ("1",), "b": ("2",), "c": ("",)}, frozenset())


def test_each_part_of_an_arn_is_compared_on_its_own() -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/payments-prod-api-ProcessRole1A2B"
    assert arn_is_like(role, f"arn:aws:iam::{ACCOUNT}:role/payments-prod-api-ProcessRole*")
    assert arn_is_like(role, "arn:aws:iam::*:role/*")
    assert not arn_is_like(role, "arn:aws:iam:*role/*"), "a star does not match a colon"
    assert not arn_is_like(role, f"arn:aws:iam::{ACCOUNT}:role/payments-prod-api-QueryRole*")
    assert not holds("ArnNotLike", f"arn:aws:iam::{ACCOUNT}:role/*", role)
    assert holds("ArnNotLike", f"arn:aws:iam::{ACCOUNT}:user/*", role)
    assert holds("ArnEquals", f"arn:aws:iam::{ACCOUNT}:role/*", role)


def test_a_condition_on_something_that_was_not_recorded_is_an_error() -> None:
    conditions = {"Null": {"dynamodb:LeadingKeys": "false"}}
    with pytest.raises(UnknownContext, match="dynamodb:LeadingKeys"):
        conditions_hold(conditions, {}, frozenset({"dynamodb:leadingkeys"}))


def test_one_value_is_not_compared_with_several() -> None:
    with pytest.raises(UnsupportedPolicy, match="2 values"):
        holds("StringEquals", "x", "x", "y")


class TestRowsOfOneOwner:
    """DynamoDB Developer Guide, "Using IAM policy conditions for fine-grained access control"."""

    TABLE = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/GameScores"
    POLICY = [
        allow(
            "dynamodb:GetItem",
            on=TABLE,
            Condition={
                "ForAllValues:StringEquals": {
                    "dynamodb:LeadingKeys": ["cus_1"],
                    "dynamodb:Attributes": ["UserId", "GameTitle", "Wins"],
                },
                "StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"},
            },
        )
    ]

    @pytest.mark.parametrize(
        ("keys", "attributes", "select", "expected"),
        [
            (("cus_1",), ("UserId", "Wins"), (), Decision.ALLOWED),
            (("cus_1",), ("UserId",), ("SPECIFIC_ATTRIBUTES",), Decision.ALLOWED),
            (("cus_1",), ("UserId",), ("ALL_ATTRIBUTES",), Decision.NOT_ALLOWED),
            (("cus_2",), ("UserId", "Wins"), (), Decision.NOT_ALLOWED),
            (("cus_1", "cus_2"), ("UserId",), (), Decision.NOT_ALLOWED),
            (("cus_1",), ("UserId", "TopScore"), (), Decision.NOT_ALLOWED),
        ],
    )
    def test_only_named_attributes_of_own_rows_are_read(
        self,
        keys: tuple[str, ...],
        attributes: tuple[str, ...],
        select: tuple[str, ...],
        expected: Decision,
    ) -> None:
        context = {"dynamodb:LeadingKeys": keys, "dynamodb:Attributes": attributes}
        if select:
            context["dynamodb:Select"] = select
        assert decision("dynamodb:GetItem", self.TABLE, self.POLICY, **context) is expected
