"""What the data stack exports stays exported, so that an older version can be deployed again."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk

from stacks.data import DataStack
from stacks.stage import StageConfig
from tests.infrastructure.synthesized import Json, Synthesized, cdk_json_context

PERMANENT = Path(__file__).with_name("permanent_exports.txt")
"""The names, without the stack's. Lines are added, never removed: a deployed stack may use each."""


def _exports(template: Json, stack: str) -> set[str]:
    names = (
        output["Export"]["Name"]
        for output in template.get("Outputs", {}).values()
        if "Export" in output
    )
    return {name.removeprefix(stack)[1:] for name in names}


def test_no_export_of_the_data_stack_is_ever_removed(stage: Synthesized) -> None:
    permanent = PERMANENT.read_text().split()
    exported = _exports(stage.templates["data"], stage.stacks["data"].stack_name)
    assert sorted(set(permanent) - exported) == [], "a deployed stack may import it"
    assert sorted(exported - set(permanent)) == [], f"add it to {PERMANENT.name}"


def test_the_exports_do_not_depend_on_what_other_stacks_import(prod: Synthesized) -> None:
    app = cdk.App(context=cdk_json_context())
    config = StageConfig.named("prod", cdk_json_context()["stages"])
    alone = DataStack(app, prod.stacks["data"].stack_name, stage=config)
    template = app.synth().get_stack_by_name(alone.stack_name).template
    expected = _exports(prod.templates["data"], alone.stack_name)
    assert _exports(template, alone.stack_name) == expected


def test_only_the_data_stack_exports_anything(stage: Synthesized) -> None:
    for name, template in stage.templates.items():
        if name != "data":
            assert _exports(template, "") == set(), name
