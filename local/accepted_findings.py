"""The list of accepted findings in docs/security.md, from the acknowledgments in the stacks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import aws_cdk as cdk

from local.workspace import PROJECT_ROOT
from stacks.acknowledgments import LINT_EXCEPTIONS, Acknowledged, acknowledged
from stacks.composition import compose

PART: Final = "accepted findings"
LISTED_STAGES: Final = ("dev", "prod", "local")
"""What the other stages accept, these do as well; a test compares them."""
_TOO_DEEP: Final = {"Resource", "Function", "Queue", "Table", "Bucket", "Topic", "Api"}
"""Constructs that are one with what they are in: the page names the latter."""


def accepted_findings(stages: Mapping[str, Iterable[Acknowledged]]) -> str:
    """The text of the part: a table of the packs' rules, and one of the linter's."""
    grouped: dict[str, tuple[dict[str, None], dict[str, None], dict[str, None]]] = {}
    for stage, findings in stages.items():
        for finding in findings:
            rules, places, where = grouped.setdefault(finding.reason, ({}, {}, {}))
            rules[finding.rule.partition("[")[0]] = None
            places[_place(finding.path)] = None
            where[stage] = None
    lines = ["", "| rules | what they find | stages | why it is accepted |", "|---|---|---|---|"]
    lines += [
        f"| {_code(rules)} | {', '.join(places)} | {_stages(where, stages)} | {reason} |"
        for reason, (rules, places, where) in grouped.items()
    ]
    lines += ["", "Rules of cfn-lint that are not applied:", "", "| rule | why |", "|---|---|"]
    lines += [f"| `{rule}` | {reason} |" for rule, reason in LINT_EXCEPTIONS.items()]
    return "\n".join([*lines, "", ""])


def of_the_stages() -> dict[str, list[Acknowledged]]:
    """What the listed stages of cdk.json accept. Takes seconds: it synthesizes them."""
    context = json.loads((PROJECT_ROOT / "cdk.json").read_text("utf-8"))["context"]
    with tempfile.TemporaryDirectory() as directory:
        asset = Path(directory, "asset")
        asset.mkdir()
        found = {}
        for stage in LISTED_STAGES:
            chosen = {**context, "stage": stage, "lambda_asset": str(asset)}
            assembly = Path(directory, stage)
            app = cdk.App(context=chosen, outdir=str(assembly))
            compose(app)
            app.synth()
            found[stage] = list(acknowledged(app, assembly))
    return found


def _place(path: str) -> str:
    """`payments-prod-data/Deliveries/DeadLetters/Queue` → `data/Deliveries/DeadLetters`."""
    if not path:
        return "everything"
    stack, _, inner = path.partition("/")
    names = [name for name in inner.split("/") if name not in _TOO_DEEP]
    return "/".join([stack.split("-", 2)[2], *names])


def _code(rules: Iterable[str]) -> str:
    return "<br>".join(f"`{rule}`" for rule in sorted(rules))


def _stages(where: Iterable[str], all_stages: Iterable[str]) -> str:
    named = list(where)
    if named == list(all_stages):
        return "all"
    return ", ".join("dev, staging" if each == "dev" else each for each in named)
