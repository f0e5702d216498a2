"""Every finding of the rule packs and the linter is fixed or acknowledged with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks, ServerlessChecks
from cfnlint.api import lint_file
from cfnlint.config import ManualArgs

from stacks.constructs.acknowledge import acknowledge
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import Synthesized

PACKS = (AwsSolutionsChecks, ServerlessChecks)
REGION = "eu-central-1"
SHORTEST_REASON_WORDS = 4


def _findings(app: cdk.App) -> list[str]:
    found = []
    for pack in PACKS:
        for violation in pack(app).validate_scope(app).violations:
            paths = [resource.construct_path for resource in violation.violating_resources]
            found.append(f"{violation.rule_name}: {', '.join(map(str, paths))}")
    return found


def _lint(template: Path) -> list[str]:
    matches = lint_file(template, config=ManualArgs(regions=[REGION]))
    return [f"{template.name}: {match}" for match in matches]


def test_the_rule_packs_have_no_unacknowledged_findings(stage: Synthesized) -> None:
    assert _findings(stage.app) == []


def test_a_stage_with_origins_passes_the_same_rules(with_origins: Synthesized) -> None:
    assert _findings(with_origins.app) == []
    assert _lint(with_origins.directory / "payments-dev-api.template.json") == []


def test_a_stage_with_a_domain_and_a_budget_passes_the_same_rules(
    with_domain: Synthesized,
) -> None:
    assert _findings(with_domain.app) == []
    for stack in ("api", "data"):
        assert _lint(with_domain.directory / f"payments-dev-{stack}.template.json") == []


def test_a_stage_with_jwt_authorization_passes_the_same_rules(
    with_jwt: Synthesized,
) -> None:
    assert _findings(with_jwt.app) == []
    assert _lint(with_jwt.directory / "payments-dev-api.template.json") == []


# Ten seconds each; production contains everything that the others have.
@pytest.mark.parametrize(
    "name", ["prod", *(pytest.param(each, marks=pytest.mark.deep) for each in ("dev", "staging"))]
)
def test_the_linter_finds_nothing(name: str, synthesize: Synthesize) -> None:
    templates = sorted(synthesize(name).directory.glob("*.template.json"))
    assert len(templates) == 7
    assert [finding for template in templates for finding in _lint(template)] == []


def test_a_planted_open_bucket_is_found() -> None:
    app = cdk.App()
    s3.CfnBucket(cdk.Stack(app, "Planted"), "Open")
    found = _findings(app)
    assert [finding for finding in found if finding.startswith("AwsSolutions-S1:")]
    assert [finding for finding in found if finding.startswith("AwsSolutions-S10:")]


def test_an_acknowledgment_covers_its_own_resource_only() -> None:
    app = cdk.App()
    stack = cdk.Stack(app, "Planted")
    acknowledge(s3.CfnBucket(stack, "Answered"), "AwsSolutions-S1", "A reason.")
    s3.CfnBucket(stack, "Open")
    (found,) = [finding for finding in _findings(app) if finding.startswith("AwsSolutions-S1:")]
    assert found == "AwsSolutions-S1: Planted/Open"


def test_a_planted_mistake_is_found_by_the_linter(tmp_path: Path) -> None:
    template = tmp_path / "planted.template.json"
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketNam": "misspelt"}}
    template.write_text(json.dumps({"Resources": {"Bucket": bucket}}))
    assert [finding for finding in _lint(template) if "E3002" in finding]


def test_every_acknowledgment_gives_a_reason(stage: Synthesized) -> None:
    reasons = [
        reason
        for construct in stage.app.node.find_all()
        for entry in construct.node.metadata
        if entry.type == cdk.Validations.ACKNOWLEDGED_RULES_METADATA_KEY
        for reason in entry.data.values()
    ]
    assert reasons
    assert not [reason for reason in reasons if len(reason.split()) < SHORTEST_REASON_WORDS]
