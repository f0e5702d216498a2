"""The preflight of the deployed stage, before a deployment that would update it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import boto3
import pytest

from operations.preflight.command import preflight
from operations.preflight.judgement import CHECKS, Finding, Unchecked
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.emulator("it knows the limits of the embedded AWS, and adds a parameter")

LIMITS = {"Lambda"}
"""The embedded AWS runs 64 functions at once."""
UNKNOWN = {
    "API Gateway: requests per second (throttling.rate_per_second)",
    "API Gateway: burst (throttling.burst)",
    "DynamoDB: tables",
    "EventBridge: rules of the default bus",
}
"""The embedded AWS has no Service Quotas."""


def _checks(found: Sequence[Finding | Unchecked]) -> set[str]:
    return {each.check for each in found}


def _needing(parameter: str, assembly: Path, copy: Path) -> Path:
    """The assembly for an account whose bootstrap stack has another qualifier."""
    shutil.copytree(assembly, copy, ignore=shutil.ignore_patterns("asset.*"))
    manifest = copy / "manifest.json"
    document = json.loads(manifest.read_text())
    for artifact in document["artifacts"].values():
        if artifact["type"] == "aws:cloudformation:stack":
            artifact["properties"]["bootstrapStackVersionSsmParameter"] = parameter
    manifest.write_text(json.dumps(document))
    return copy


@pytest.mark.usefixtures("aws_shell")
def test_a_preflight_finds_what_the_account_lacks_and_nothing_else(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assembly = deployment.workspace.synthesized
    report = preflight("local", assembly, "text")
    assert _checks(report.findings) == LIMITS
    assert _checks(report.unchecked) == UNKNOWN
    summary = f"{len(CHECKS)} checks: 1 findings, 4 could not be checked."
    assert summary in capsys.readouterr().out

    parameter = f"/cdk-bootstrap/{uuid4().hex[:8]}/version"
    boto3.client("ssm").put_parameter(Name=parameter, Value="5", Type="String")
    report = preflight("local", _needing(parameter, assembly, tmp_path / "assembly"), "text")
    (found,) = (each for each in report.findings if each.check == "CDK bootstrap")
    assert found.found == "version 5"
    assert _checks(report.findings) == {*LIMITS, found.check}
