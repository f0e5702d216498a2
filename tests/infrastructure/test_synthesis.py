"""Synthesis is a pure function of the sources: no account, no credentials, no clock."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from stacks.composition import compose
from stacks.stage import StageError
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import ROOT, Json, Synthesized, cdk_json_context

SYNTH_TIMEOUT_SECONDS = 120
OBSOLETE_FLAGS = {
    "@aws-cdk/core:enableStackNameDuplicates",
    "@aws-cdk/aws-s3:grantWriteWithoutAcl",
    "@aws-cdk/aws-kms:defaultKeyPolicies",
}
"""Flags that the CLI counts as unset: `cdk flags` does not report them."""
JSII_CACHE = Path.home() / ".cache" / "aws" / "jsii" / "package-cache"


def _run_app(
    asset: Path, directory: Path, context: Json | None = None
) -> subprocess.CompletedProcess[str]:
    """`python app.py` as the CLI runs it, with a minimal environment."""
    path = os.environ["PATH"]
    settings = {**cdk_json_context(), "lambda_asset": str(asset), **(context or {})}
    return subprocess.run(
        [sys.executable, "app.py"],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={
            "CDK_CONTEXT_JSON": json.dumps(settings),
            "CDK_OUTDIR": str(directory),
            "HOME": str(directory),
            # The CDK's own code, which would otherwise be unpacked again into each new home.
            "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(JSII_CACHE),
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",  # as the Makefile
            "PATH": path,
            # Without it the CDK's modules would be compiled again: 4 s.
            **({"PYTHONPYCACHEPREFIX": sys.pycache_prefix} if sys.pycache_prefix else {}),
        },
        text=True,
        timeout=SYNTH_TIMEOUT_SECONDS,
    )


@pytest.mark.deep
def test_synthesis_needs_no_credentials_and_is_deterministic(
    asset: Path, tmp_path: Path, unjudged: Synthesize
) -> None:
    answer = _run_app(asset, tmp_path, {"stage": "prod"})
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    before = unjudged("prod").directory  # judgment changes nothing either
    names = sorted(path.name for path in before.glob("*.template.json"))
    assert names == sorted(path.name for path in tmp_path.glob("*.template.json"))
    for name in names:
        assert (tmp_path / name).read_text() == (before / name).read_text(), name


def test_every_feature_flag_that_aws_recommends_is_set(
    synthesize: Synthesize,
) -> None:
    """Otherwise the CLI warns in every synthesis. A flag's effect shows in the templates."""
    manifest = json.loads((synthesize("dev").directory / "manifest.json").read_text())
    (report,) = (
        artifact["properties"]["flags"]
        for artifact in manifest["artifacts"].values()
        if artifact["type"] == "cdk:feature-flag-report"
    )
    unset = {
        name: flag["recommendedValue"]
        for name, flag in report.items()
        if "userValue" not in flag and name not in OBSOLETE_FLAGS
    }
    default = {
        name: report[name].get("unconfiguredBehavesLike", {}).get("v2", False) for name in unset
    }
    assert default == unset


def test_the_app_refuses_to_deploy_what_the_rules_have_not_judged(
    asset: Path, tmp_path: Path
) -> None:
    context = {**cdk_json_context(), "lambda_asset": str(asset), "stage": "prod"}
    given = {**context, "deploying": "true", "unjudged": "true"}
    with pytest.raises(StageError, match="unjudged: what is deployed must pass the rule packs"):
        compose(cdk.App(outdir=str(tmp_path), context=given))


@pytest.mark.parametrize("unjudged", [False, True])
def test_the_rule_packs_judge_every_synthesis_but_one_that_says_otherwise(
    unjudged: bool, asset: Path, tmp_path: Path
) -> None:
    context = {**cdk_json_context(), "stage": "local", "lambda_asset": str(asset)}
    app = cdk.App(
        outdir=str(tmp_path),
        context={**context, **({"unjudged": "true"} if unjudged else {})},
        builtin_cloud_formation_validation=False,
    )
    s3.CfnBucket(compose(app).data, "Open")
    if unjudged:
        app.synth()
    else:
        with pytest.raises(RuntimeError, match="AwsSolutions-S1"):
            app.synth()


def test_the_app_refuses_to_deploy_placeholders(asset: Path, tmp_path: Path) -> None:
    answer = _run_app(asset, tmp_path, {"stage": "staging", "deploying": "true"})
    assert answer.returncode == 1
    assert "error: stage staging: auth still names" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_only_the_local_stage_takes_a_stripe_address_from_the_command_line(
    asset: Path, tmp_path: Path
) -> None:
    elsewhere = {"stripe_api_base": "http://127.0.0.1:12345"}
    context = {**cdk_json_context(), **elsewhere}
    given = {**context, "lambda_asset": str(asset), "stage": "prod"}
    with pytest.raises(StageError, match="only the stage local may use: stripe_api_base"):
        compose(cdk.App(outdir=str(tmp_path), context=given))
    local = Synthesized.make("local", asset, tmp_path, context, judged=False)
    reported = {
        variables.get("STRIPE_API_BASE")
        for function in local.all("AWS::Lambda::Function")
        if (variables := function.properties["Environment"]["Variables"])
    }
    assert reported == {"http://127.0.0.1:12345", None}


def test_the_stacks_are_named_for_their_stage(stage: Synthesized) -> None:
    names = {name: stack.stack_name for name, stack in stage.stacks.items()}
    assert {"data", "api", "workers"} <= set(names)
    assert names == {name: f"payments-{stage.name}-{name}" for name in names}


def test_no_template_names_an_account_or_a_region(stage: Synthesized) -> None:
    for stack in stage.stacks.values():
        assert stack.environment == "aws://unknown-account/unknown-region"


def test_the_api_goes_live_after_everything_that_reads_what_payments_cause(
    stage: Synthesized,
) -> None:
    stacks = {stack.stack_name: stack for stack in stage.stacks.values()}
    prefix = stage.stacks["data"].stack_name.removesuffix("data")
    first = {
        name.removeprefix(prefix): {each.removeprefix(prefix) for each in stack.depends_on}
        for name, stack in stacks.items()
    }
    others = {"ledger", "audit", "webhooks", "workers", "exports"}
    assert first.pop("api") == {"data", *others}
    assert first.pop("observability", {"api", "data", *others}) == {"api", "data", *others}
    # What delivers knows a new type of event before the projector makes the first one.
    assert first.pop("ledger") == {"data", "webhooks"}
    assert first == {"data": set(), **{name: {"data"} for name in others - {"ledger"}}}


def test_only_a_stage_that_is_protected_has_stacks_that_cannot_be_deleted(
    stage: Synthesized,
) -> None:
    in_prod = stage.name == "prod"
    assert {stack.termination_protection for stack in stage.stacks.values()} == {in_prod}


def test_a_first_deployment_that_fails_leaves_nothing_that_cannot_be_deleted(
    asset: Path, tmp_path: Path
) -> None:
    context = copy.deepcopy(cdk_json_context())
    context["stages"]["prod"]["data"]["first_deployment"] = True
    first = Synthesized.make("prod", asset, tmp_path, context, judged=False)
    assert {stack.termination_protection for stack in first.stacks.values()} == {False}
    for table in first.all("AWS::DynamoDB::Table"):
        assert table.properties["DeletionProtectionEnabled"] is False, table.logical_id
    policies = {
        resource["DeletionPolicy"]
        for template in first.templates.values()
        for resource in template["Resources"].values()
        if "DeletionPolicy" in resource
    }
    assert policies == {"RetainExceptOnCreate", "Delete"}


def test_the_audit_log_can_be_changed_by_the_deploying_roles_of_the_stage(
    asset: Path, tmp_path: Path
) -> None:
    context = copy.deepcopy(cdk_json_context())
    context["stages"]["staging"]["deploying_roles"] = ["ci/Deploy-*", "Admin"]
    context["stages"]["staging"]["dashboard"] = False
    staging = Synthesized.make("staging", asset, tmp_path, context, judged=False)
    statements = staging.templates["data"]["Resources"]["AuditLogTable"]["Properties"][
        "ResourcePolicy"
    ]["PolicyDocument"]["Statement"]
    (denial,) = (each for each in statements if each["Sid"] == "ChangedByDeploymentsOnly")
    patterns = [
        staging.flat(each) for each in denial["Condition"]["ArnNotLike"]["aws:PrincipalArn"]
    ]
    assert [each.partition(":role/")[2] for each in patterns] == ["ci/Deploy-*", "Admin"]


def test_everything_is_tagged_with_its_stage(prod: Synthesized) -> None:
    tags = {"Key": "stage", "Value": "prod"}
    assert all(tags in table.properties["Tags"] for table in prod.all("AWS::DynamoDB::Table"))
