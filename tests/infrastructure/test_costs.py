"""The costs of the synthesized stages: nothing is left out, and the guide is up to date."""

from __future__ import annotations

from stacks.costs.bill import uncounted_schedules
from stacks.costs.guide import GUIDE, STAGES, updated
from stacks.costs.resource_types import FREE, PRICED
from stacks.costs.resources import StageResources
from stacks.costs.uses import counted_uses
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import ROOT, Synthesized

UPDATE = "run make cost ARGS=--update-guide"


def resources_of(stage: Synthesized) -> StageResources:
    return StageResources.of(stage.templates.values())


def test_every_type_of_resource_is_priced_or_listed_as_free(stage: Synthesized) -> None:
    unknown = resources_of(stage).types.keys() - PRICED.keys() - FREE.keys()
    assert not unknown, "add them to stacks/costs/resource_types.py, and their price"


def test_every_schedule_and_every_function_of_a_payment_was_counted(
    cloud_stage: Synthesized,
) -> None:
    resources, uses = resources_of(cloud_stage), counted_uses()
    assert uncounted_schedules(resources, uses) == []
    assert uses.runs.keys() <= resources.runs.keys()
    functions = {name for each in uses.operations.values() for name in each.alone}
    assert functions <= resources.functions.keys()


def test_the_guide_has_the_bills_of_today(synthesize: Synthesize) -> None:
    stages = {name: resources_of(synthesize(name)) for name in STAGES}
    written = (ROOT / "docs" / GUIDE).read_text("utf-8")
    assert updated(written, stages) == written, f"docs/{GUIDE} is stale: {UPDATE}"
