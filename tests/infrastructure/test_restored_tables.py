"""A stage whose tables were restored uses the new ones, and keeps the old ones as they are."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from runtime.tables import ALL_TABLES
from stacks.constructs.schema_table import table_logical_id
from stacks.stage import StageConfig, StageError
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import Synthesized, cdk_json_context

MAX_OUTPUTS = 200
MAX_RESOURCES = 500
"""Of one template (CloudFormation User Guide, "Understand CloudFormation quotas")."""


@pytest.fixture(scope="module")
def restored(asset: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    context = copy.deepcopy(cdk_json_context())
    context["stages"]["staging"]["data"]["restored"] = ["r1"]
    return Synthesized.make("staging", asset, tmp_path_factory.mktemp("cdk-restored"), context)


def test_the_restored_tables_stand_beside_the_unchanged_original_ones(
    restored: Synthesized, synthesize: Synthesize
) -> None:
    assert restored.findings == ()
    before = {each.logical_id: each for each in synthesize("staging").all("AWS::DynamoDB::Table")}
    now = {each.logical_id: each for each in restored.all("AWS::DynamoDB::Table")}
    assert {name: now[name].body for name in before} == {
        name: table.body for name, table in before.items()
    }
    added = {
        table_logical_id(schema.name) + "R1": f"payments-staging-{schema.name}-r1"
        for schema in ALL_TABLES
    }
    assert {
        name: table.properties["TableName"] for name, table in now.items() if name not in before
    } == added
    for name, table in before.items():
        new = dict(now[f"{name}R1"].properties)
        del new["TableName"]
        assert new == table.properties


def test_what_is_imported_is_kept_by_its_stack(restored: Synthesized) -> None:
    kept = {table.body["DeletionPolicy"] for table in restored.all("AWS::DynamoDB::Table")}
    assert kept == {"RetainExceptOnCreate"}


def test_every_function_and_stream_uses_the_restored_tables_only(restored: Synthesized) -> None:
    tables = restored.output("data", "Tables")
    assert tables == {
        schema.name: f"${{{table_logical_id(schema.name)}R1}}" for schema in ALL_TABLES
    }
    streams = [
        restored.flat(source.properties["EventSourceArn"])
        for source in restored.all("AWS::Lambda::EventSourceMapping")
    ]
    streams = [arn for arn in streams if "Table" in arn]
    assert streams
    assert all(arn.endswith("TableR1.StreamArn}") for arn in streams)
    for service in restored.functions():
        for statement in restored.statements_of(service):
            for resource in statement["Resource"]:
                if resource.startswith("${") and "Table" in resource.partition(".")[0]:
                    name = resource[2:].partition(".")[0]
                    assert name.endswith("TableR1") or name.startswith("TableKey"), resource


def test_no_export_that_a_deployed_stack_uses_is_removed(
    restored: Synthesized, synthesize: Synthesize
) -> None:
    outputs = restored.templates["data"]["Outputs"]
    before = synthesize("staging").templates["data"]["Outputs"]
    changed = {name for name in before if outputs.get(name) != before[name]}
    # The dashboard reads outputs that are not exported, so their removal blocks no deployment.
    read = {name for name in changed if name.startswith("PublishOutput")}
    assert changed - read == {"Tables"}
    assert not [name for name in changed if "Export" in before[name]]
    assert len(outputs) <= MAX_OUTPUTS
    assert len(restored.templates["data"]["Resources"]) <= MAX_RESOURCES


def _data(**changed: Any) -> StageConfig:
    stages = copy.deepcopy(cdk_json_context()["stages"])
    stages["staging"]["data"].update(changed)
    return StageConfig.named("staging", stages)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"restored": ["r1"], "retain": False}, r"data\.restored needs data\.retain"),
        ({"restored": ["r1", "r1"]}, "names a restore twice: r1, r1"),
        ({"restored": ["R-1"]}, r"data\.restored"),
    ],
)
def test_restores_that_cannot_be_are_refused(changed: Any, message: str) -> None:
    with pytest.raises(StageError, match=message):
        _data(**changed)
