"""Our evaluator agrees with others: the embedded AWS's, and moto's where it has the means."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult

from local.emulator.toolchain import ministack_python
from local.progress import Progress
from local.workspace import Workspace
from permissions.evaluation import Decision, Policy, Request, Statement, decide
from permissions.judgement import Judgement
from permissions.policies import ACCOUNT, REGION, Stage
from permissions.recorded import listed
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import ROOT

SCRIPT = ROOT / "tests" / "support" / "second_judge.py"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def judgement(synthesize: Synthesize) -> Judgement:
    return Judgement(Stage(synthesize("prod").templates, "payments-prod"), listed())


def document(policy: Policy) -> Json:
    """The policy as JSON."""
    return {"Version": "2012-10-17", "Statement": [_statement(each) for each in policy]}


def _statement(statement: Statement) -> Json:
    assert not statement.except_actions, "no policy says NotAction"
    assert not statement.except_resources, "no policy says NotResource"
    body: Json = {
        "Effect": "Allow" if statement.allows else "Deny",
        "Action": list(statement.actions),
        "Resource": list(statement.resources),
    }
    if statement.conditions:
        body["Condition"] = statement.conditions
    if statement.principal is not None:
        body["Principal"] = statement.principal
    return body


def every_request_with_every_role(judgement: Judgement) -> list[tuple[Request, str]]:
    """What each function needs, judged by the policies of each: most of it is refused."""
    return [
        (need.request, service) for need in judgement.needs for service in judgement.stage.functions
    ]


def test_the_embedded_aws_decides_as_we_do(judgement: Judgement, tmp_path: Path) -> None:
    stage = judgement.stage
    cases, ours = [], []
    for request, service in every_request_with_every_role(judgement):
        if request.unknown and stage.functions[service].principal != request.principal:
            continue  # another role's conditions may ask for what was not recorded
        owner = request.resource.partition("/")[0] if ":s3:::" in request.resource else None
        resource = owner or request.resource
        identity = stage.functions[service].identity
        decision = decide(request, identity, stage.resource_policies.get(resource))
        ours.append(decision is Decision.ALLOWED)
        cases.append(
            {
                "policy": service,
                "resource_policy": resource,
                "role": request.principal.role_arn,
                "account": ACCOUNT,
                "region": REGION,
                "action": request.action,
                "resource": request.resource,
                "context": _single_or_listed(request),
            }
        )
    assert {True, False} == set(ours)
    given = {
        "policies": {name: document(each.identity) for name, each in stage.functions.items()},
        "resource_policies": {arn: document(each) for arn, each in stage.resource_policies.items()},
        "cases": cases,
    }
    workspace = Workspace.find(root=ROOT)
    python = ministack_python(workspace, Progress())
    answered = subprocess.run(
        [str(python), "-P", str(SCRIPT)],
        input=json.dumps(given),
        capture_output=True,
        check=True,
        cwd=tmp_path,
        text=True,
    )
    theirs = json.loads(answered.stdout)
    different = [
        f"{case['policy']}: {case['action']} on {case['resource']}: ours {mine}, theirs {other}"
        for case, mine, other in zip(cases, ours, theirs, strict=True)
        if mine != other
    ]
    assert not different, "\n".join(different[:20])


def _single_or_listed(request: Request) -> Json:
    several = ("dynamodb:LeadingKeys", "dynamodb:Attributes", "kms:EncryptionContextKeys")
    return {
        key.lower(): list(values) if key in several else values[0]
        for key, values in request.context.items()
    }


def test_moto_decides_as_we_do_without_conditions(judgement: Judgement) -> None:
    """moto's evaluator knows no conditions, no `?` in resources, and no policies of resources."""
    compared = 0
    for service, function in judgement.stage.functions.items():
        plain = [
            each
            for each in function.identity
            if not each.conditions and "?" not in "".join(each.resources)
        ]
        theirs = IAMPolicy({"policy_document": json.dumps(document(plain))})
        for need in judgement.needs:
            request = need.request
            if request.action.startswith("kms:"):
                continue  # depends on the key's policy
            ours = decide(request, plain, []) is Decision.ALLOWED
            said = theirs.is_action_permitted(request.action, request.resource)
            compared += 1
            assert ours == (said is PermissionResult.PERMITTED), (service, request)
    assert compared > 1000
