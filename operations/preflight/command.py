"""`make preflight STAGE=…`: print what would keep a stage from being deployed or from working."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import boto3
from rich.console import Console

from local.workspace import PROJECT_ROOT
from operations.preflight.account import Account
from operations.preflight.aws_account import AwsAccount
from operations.preflight.judgement import Report, judge
from operations.preflight.needs import needs_of

Format = Literal["text", "json"]


def preflight(
    stage: str, assembly: Path, output: Format, *, account: Account | None = None
) -> Report:
    """Check the stage that was synthesized into `assembly`, print the report, and return it.

    Raises:
        LocalError: the stage is not synthesized there.
    """
    needs = needs_of(stage, assembly, PROJECT_ROOT / "cdk.json")
    report = judge(needs, account or AwsAccount(boto3.Session()))
    if output == "json":
        print(json.dumps({"stage": stage, **asdict(report)}, indent=2, ensure_ascii=False))
    else:
        _print(report)
    return report


def _print(report: Report) -> None:
    console = Console(highlight=False, soft_wrap=True)
    bad = {each.check for each in report.findings}
    unknown = {each.check: each.reason for each in report.unchecked}
    for check in report.checks:
        if check in unknown:
            console.print(f"[yellow]not checked[/]  {check}")
            console.print(f"             {unknown[check]}", markup=False)
        elif check not in bad:
            console.print(f"[green]fine[/]         {check}")
        for each in (finding for finding in report.findings if finding.check == check):
            console.print(f"[red]found[/]        {check}")
            for what, text in (
                ("found", each.found),
                ("needed", each.needed),
                ("do", each.what_to_do),
            ):
                console.print(f"             {what + ':':<7} {text}", markup=False)
    console.print(
        f"{len(report.checks)} checks: {len(report.findings)} findings, "
        f"{len(report.unchecked)} could not be checked."
    )
