"""Every finding of the rule packs and the linter is fixed or acknowledged with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3
from cfnlint.api import lint_by_config
from cfnlint.config import ManualArgs
from cfnlint.match import Match
from constructs import IConstruct

from local.accepted_findings import LISTED_STAGES, PART, accepted_findings
from local.marked_parts import with_part
from stacks.acknowledgments import LINT_EXCEPTIONS, PACKS, Acknowledged
from stacks.composition import compose
from stacks.constructs import acknowledge as acknowledging
from stacks.constructs.acknowledge import acknowledge
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import (
    ROOT,
    STAGES,
    Synthesized,
    cdk_json_context,
    findings_of,
)

SERVERLESS_RULES = "cfn_lint_serverless.rules"
REGION = "eu-central-1"
SHORTEST_REASON_WORDS = 4


def _matches(templates: Iterable[Path]) -> list[Match]:
    """All that the linter finds in these templates, in one run: it loads its rules and the schemas
    of resources for each run, which takes as long as a small template."""
    config = ManualArgs(
        templates=[str(template) for template in templates],
        regions=[REGION],
        append_rules=[SERVERLESS_RULES],
    )
    return lint_by_config(config)


def _unexpected(matches: Iterable[Match]) -> list[str]:
    """What no exception covers, with the name of its template."""
    return [
        f"{Path(match.filename or '').name}: {match}"
        for match in matches
        if match.rule.id not in LINT_EXCEPTIONS
    ]


def _lint(*templates: Path) -> list[str]:
    return _unexpected(_matches(templates))


def test_the_rule_packs_have_no_unacknowledged_findings(stage: Synthesized) -> None:
    assert stage.findings == ()


def test_a_stage_with_a_domain_origins_and_a_budget_passes_the_same_rules(
    with_domain: Synthesized,
) -> None:
    assert with_domain.findings == ()
    names = [f"payments-dev-{stack}.template.json" for stack in ("api", "data")]
    assert _lint(*(with_domain.directory / name for name in names)) == []


def test_a_stage_with_a_console_in_cloudfront_passes_the_same_rules(
    with_console: Synthesized,
) -> None:
    assert with_console.findings == ()
    assert _lint(with_console.directory / "payments-dev-console.template.json") == []


def test_a_stage_with_jwt_authorization_passes_the_same_rules(
    with_jwt: Synthesized,
) -> None:
    assert with_jwt.findings == ()
    assert _lint(with_jwt.directory / "payments-dev-api.template.json") == []


@pytest.mark.deep  # tens of seconds each; the console's variant is linted by `make test`
@pytest.mark.parametrize("name", ["prod", "dev", "staging"])
def test_the_linter_finds_nothing_but_what_is_left_out(name: str, unjudged: Synthesize) -> None:
    templates = sorted(unjudged(name).directory.glob("*.template.json"))
    assert len(templates) == 8
    found = _matches(templates)
    assert _unexpected(found) == []
    # A rule that finds nothing need not be left out; prod has everything that they judge.
    assert name != "prod" or {match.rule.id for match in found} == set(LINT_EXCEPTIONS)


def test_a_planted_open_bucket_is_found() -> None:
    app = cdk.App()
    s3.CfnBucket(cdk.Stack(app, "Planted"), "Open")
    found = findings_of(app)
    assert [finding for finding in found if finding.startswith("AwsSolutions-S1:")]
    assert [finding for finding in found if finding.startswith("AwsSolutions-S10:")]


def test_an_acknowledgment_covers_its_own_resource_only() -> None:
    app = cdk.App()
    stack = cdk.Stack(app, "Planted")
    acknowledge(s3.CfnBucket(stack, "Answered"), "AwsSolutions-S1", "A reason.")
    s3.CfnBucket(stack, "Open")
    (found,) = [finding for finding in findings_of(app) if finding.startswith("AwsSolutions-S1:")]
    assert found == "AwsSolutions-S1: Planted/Open"


def test_a_planted_mistake_is_found_by_the_linter(tmp_path: Path) -> None:
    template = tmp_path / "planted.template.json"
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketNam": "misspelt"}}
    template.write_text(json.dumps({"Resources": {"Bucket": bucket}}))
    assert [finding for finding in _lint(template) if "E3002" in finding]


def test_a_planted_function_without_tracing_is_found_by_the_serverless_rules(
    tmp_path: Path,
) -> None:
    template = tmp_path / "planted.template.json"
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": {"ZipFile": "def handler(event, context): return event"},
            "Handler": "index.handler",
            "MemorySize": 512,
            "Role": "arn:aws:iam::123456789012:role/planted",
            "Runtime": "python3.13",
            "Timeout": 3,
        },
    }
    template.write_text(json.dumps({"Resources": {"Planted": function}}))
    (found,) = _lint(template)
    assert "WS1000" in found


def test_every_acknowledgment_gives_a_reason(stage: Synthesized) -> None:
    reasons = [each.reason for each in stage.acknowledged]
    assert reasons
    assert not [reason for reason in reasons if len(reason.split()) < SHORTEST_REASON_WORDS]


class _Noted:
    """Takes note of acknowledgments instead of making them."""

    def __init__(self) -> None:
        self.all: list[Acknowledged] = []

    def of(self, construct: IConstruct) -> _Noted:
        self._path = construct.node.path
        return self

    def acknowledge(self, given: cdk.Acknowledgment) -> None:
        self.all.append(Acknowledged(given.id, self._path, given.reason))


@pytest.mark.parametrize("name", LISTED_STAGES)
def test_every_acknowledgment_answers_a_finding(
    name: str, asset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = _Noted()
    monkeypatch.setattr(acknowledging, "Validations", noted)
    context = {**cdk_json_context(), "stage": name, "lambda_asset": str(asset)}
    app = cdk.App(outdir=str(tmp_path), context=context)
    compose(app)
    found = [
        (violation.rule_name, resource.construct_path or "")
        for pack in PACKS
        for violation in pack(app).validate_scope(app).violations
        for resource in violation.violating_resources
    ]
    idle = [
        (each.rule, each.path)
        for each in noted.all
        if not any(
            rule == each.rule and f"{path}/".startswith(f"{each.path}/" if each.path else "")
            for rule, path in found
        )
    ]
    assert noted.all
    assert idle == []


def test_the_list_of_accepted_findings_is_up_to_date(synthesize: Synthesize) -> None:
    page = (ROOT / "docs/security.md").read_text("utf-8")
    found = {name: synthesize(name).acknowledged for name in LISTED_STAGES}
    assert with_part(page, PART, accepted_findings(found)) == page, "stale: run make docs"


def test_the_listed_stages_accept_all_that_the_others_do(synthesize: Synthesize) -> None:
    def accepted(name: str) -> set[tuple[str, str]]:
        own = f"payments-{name}-"
        return {
            (each.rule.replace(own, ""), each.path.replace(own, ""))
            for each in synthesize(name).acknowledged
        }

    listed = set().union(*map(accepted, LISTED_STAGES))
    for name in STAGES:
        assert accepted(name) <= listed, name
