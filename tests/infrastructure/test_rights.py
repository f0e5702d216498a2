"""Each function may do what it does, and nothing else: the synthesized policies, evaluated.

The calls are those that the other tests have made (permissions/calls.jsonl).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from permissions.actions import Call
from permissions.conditions import UnknownContext
from permissions.evaluation import Decision, Principal, Request, decide
from permissions.judgement import Judgement, name_of
from permissions.needs import needs_of
from permissions.policies import ACCOUNT, Stage
from permissions.recorded import listed
from permissions.table import with_table
from simulation.platform.functions import FUNCTIONS
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import CLOUD_STAGES, ROOT, STAGES

Judge = Callable[[str], Judgement]
RECORD = (
    "record calls as docs/testing.md says under Permissions, then run "
    "`.venv/bin/python -m permissions add`"
)
every_stage = pytest.mark.parametrize("name", STAGES)


@pytest.fixture(scope="module")
def judge(synthesize: Synthesize) -> Judge:
    """The judgement of a stage."""

    @cache
    def judge(name: str) -> Judgement:
        return Judgement(Stage(synthesize(name).templates, f"payments-{name}"), listed())

    return judge


@every_stage
def test_every_call_of_every_function_is_allowed(name: str, judge: Judge) -> None:
    refusals = judge(name).refusals()
    assert not refusals, "\n".join(map(str, refusals))


@pytest.mark.parametrize("name", CLOUD_STAGES)
def test_without_any_one_right_some_call_is_refused(name: str, judge: Judge) -> None:
    """Each action on each resource of each statement is taken away, one at a time."""
    judgement = judge(name)
    assert len(judgement.rights) > 400
    unused = sorted({name_of(right) for right in judgement.superfluous()})
    assert not unused, f"no recorded call needs them; {RECORD}:\n" + "\n".join(unused)


def test_all_functions_are_judged(judge: Judge) -> None:
    everywhere = set(FUNCTIONS)
    for name in STAGES:  # these two are in the stages that ask for them; the console calls nothing
        optional = {"canary", "console"}
        assert everywhere <= set(judge(name).stage.functions) <= everywhere | optional
    assert {call.function for call in listed()} == everywhere | {"canary"}


FOREIGN = [
    Call("query", "dynamodb:PutItem", "TABLES.payments", "dynamodb.PutItem"),
    Call("deliver", "dynamodb:GetItem", "TABLES.payments", "dynamodb.GetItem"),
    Call("process", "s3:GetObject", "SETTLEMENT_BUCKET/reconciliation/…", "s3.GetObject"),
    Call("process", "s3:PutObject", "SETTLEMENT_BUCKET/converted/…", "s3.PutObject"),
    Call("export", "s3:DeleteObject", "EXPORT_BUCKET/exports/…", "s3.DeleteObject"),
    Call("process", "kms:Decrypt", "PII_KEY_ARN", "kms.Decrypt"),
    Call(
        "process",
        "kms:Decrypt",
        "PII_KEY_ARN",
        "kms.Decrypt",
        (
            ("kms:EncryptionContext:purpose", ("pci",)),
            ("kms:EncryptionContext:subject", ("…",)),
            ("kms:EncryptionContextKeys", ("purpose", "subject")),
        ),
    ),
    Call(
        "project",
        "events:PutEvents",
        "unknown:default",
        "x.PutEvents",
        (("events:source", ("x",)),),
    ),
    Call(
        "totals", "dynamodb:DeleteItem", "TABLES.totals", "x.DeleteItem", (("key:id", ("mer_…",)),)
    ),
    Call(
        "process",
        "dynamodb:UpdateItem",
        "TABLES.keys",
        "x.Update",
        (("key:subject", ("pii#mer_…",)),),
    ),
]


@pytest.mark.parametrize("call", FOREIGN, ids=lambda call: f"{call.function}-{call.action}")
def test_other_calls_are_refused(call: Call, judge: Judge) -> None:
    stage = judge("prod").stage
    tables = FUNCTIONS[call.function].settings.TABLE_USES
    if call.resource.startswith("TABLES.") and call.resource[7:] not in tables:
        with pytest.raises(KeyError):  # it does not even know the table's name
            list(needs_of(stage, [call]))
        return
    refused = Judgement(stage, [call]).refusals()
    assert call.action in {refusal.need.request.action for refusal in refused}


def test_a_call_that_does_not_say_what_a_condition_asks_for_is_not_judged(judge: Judge) -> None:
    call = Call("totals", "dynamodb:UpdateItem", "TABLES.totals", "dynamodb.UpdateItem")
    with pytest.raises(UnknownContext, match="LeadingKeys"):
        Judgement(judge("prod").stage, [call]).refusals()


def test_the_audit_tables_own_policy_overrides_every_role(judge: Judge) -> None:
    """Even a role that may do anything may not change rows, and only the projector puts them."""
    stage = judge("prod").stage
    (arn,) = (arn for arn in stage.resource_policies if ":table/" in arn)
    anything = [replace(stage.functions["process"].identity[0], actions=("*",), resources=("*",))]
    projector = stage.functions["project"].principal
    administrator = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/administrator")

    def decision(principal: Principal, action: str) -> Decision:
        context = {"aws:PrincipalArn": (principal.role_arn or "",)}
        request = Request(principal, f"dynamodb:{action}", arn, context)
        return decide(request, anything, stage.resource_policies[arn])

    assert decision(administrator, "GetItem") is Decision.ALLOWED
    for action in ("PutItem", "UpdateItem", "DeleteTable"):
        assert decision(administrator, action) is Decision.DENIED
    assert decision(projector, "PutItem") is Decision.ALLOWED
    assert decision(projector, "UpdateItem") is Decision.DENIED


def test_the_keys_of_fields_are_closed_to_administrators(judge: Judge) -> None:
    stage = judge("prod").stage
    anything = [replace(stage.functions["process"].identity[0], actions=("*",), resources=("*",))]
    for name, opener in (("PiiKey", "query"), ("PciKey", "process")):
        (arn,) = (arn for arn in stage.resource_policies if f"-{name}" in arn)
        allowed = stage.functions[opener].principal
        other = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/administrator")
        for principal, expected in ((allowed, Decision.ALLOWED), (other, Decision.DENIED)):
            context = {"aws:PrincipalArn": (principal.role_arn or "",)}
            request = Request(principal, "kms:Decrypt", arn, context)
            assert decide(request, anything, stage.resource_policies[arn]) is expected


def test_the_table_in_the_security_guide_is_current(judge: Judge) -> None:
    page = (ROOT / "docs/security.md").read_text("utf-8")
    current = with_table(page, judge("prod")) == page
    assert current, "run `.venv/bin/python -m permissions table`"
