"""The tables in the template are the tables that the models declare."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.capacity import limits
from runtime.dynamodb.schema import TableSchema
from runtime.tables import ALL_TABLES
from stacks import ledger
from stacks.constructs.schema_table import table_logical_id
from tests.infrastructure.synthesized import Json, Synthesized

every_table = pytest.mark.parametrize("schema", ALL_TABLES, ids=lambda schema: schema.name)


def _body(stage: Synthesized, schema: TableSchema) -> Json:
    body: Json = stage.templates["data"]["Resources"][table_logical_id(schema.name)]
    return body


def _sorted(items: list[Json], key: str) -> list[Json]:
    return sorted(items, key=lambda item: str(item[key]))


def _indexes(arguments: Json) -> list[Json]:
    return _sorted(
        [
            {**index, "Projection": _projection(index["Projection"])}
            for index in arguments.get("GlobalSecondaryIndexes", [])
        ],
        "IndexName",
    )


def _projection(projection: Json) -> tuple[str, list[str]]:
    return projection["ProjectionType"], sorted(projection.get("NonKeyAttributes", []))


def _view(specification: Any) -> str | None:
    return specification["StreamViewType"] if specification else None


@every_table
def test_a_table_has_the_keys_indexes_and_projections_that_its_model_declares(
    schema: TableSchema, prod: Synthesized
) -> None:
    properties = _body(prod, schema)["Properties"]
    declared = schema.create_table_arguments("any")
    assert properties["KeySchema"] == declared["KeySchema"]
    assert _sorted(properties["AttributeDefinitions"], "AttributeName") == _sorted(
        declared["AttributeDefinitions"], "AttributeName"
    )
    assert _indexes(properties) == _indexes(declared)


@every_table
def test_a_table_and_its_indexes_take_the_throughput_that_the_stage_sets(
    schema: TableSchema, prod: Synthesized, large: Synthesized
) -> None:
    units = limits.FOR_20_000.warm_write_units.get(schema.name)
    wanted = {"WriteUnitsPerSecond": units} if units else None
    properties = _body(large, schema)["Properties"]
    indexes = properties.get("GlobalSecondaryIndexes", [])
    assert {str(each.get("WarmThroughput")) for each in (properties, *indexes)} == {str(wanted)}
    assert "WarmThroughput" not in str(_body(prod, schema))


def test_streams_are_read_with_the_batches_and_windows_that_the_stage_sets(
    large: Synthesized,
) -> None:
    sources = [each.properties for each in large.all("AWS::Lambda::EventSourceMapping")]
    set_ = [
        (each["ParallelizationFactor"], each.get("MaximumBatchingWindowInSeconds", 0))
        for each in sources
        if "ParallelizationFactor" in each
    ]
    stage = limits.FOR_20_000
    wanted = [
        (stage.parallel(name), stage.window_seconds.get(name, 0)) for name in ledger.PROJECTED
    ]
    archive = (1, 30)
    assert sorted(set_) == sorted([*wanted, archive])


def test_the_api_knows_each_stream_that_is_consumed_and_how_long_its_batches_fill(
    large: Synthesized, prod: Synthesized
) -> None:
    for stage in (large, prod):
        windows = {
            stage.flat(each.properties["EventSourceArn"]): each.properties.get(
                "MaximumBatchingWindowInSeconds", 0
            )
            for each in stage.all("AWS::Lambda::EventSourceMapping")
            if "ParallelizationFactor" in each.properties
        }
        variables = stage.functions()["query"].properties["Environment"]["Variables"]
        assert windows == {
            f"${{{table_logical_id(name)}.StreamArn}}": seconds
            for name, seconds in json.loads(variables["STREAMS"]).items()
        }


@every_table
def test_billing_stream_and_expiry_match_the_model(schema: TableSchema, prod: Synthesized) -> None:
    properties = _body(prod, schema)["Properties"]
    declared = schema.create_table_arguments("any")
    ttl = {"AttributeName": schema.ttl_attribute, "Enabled": True} if schema.ttl_attribute else None
    assert properties["BillingMode"] == declared["BillingMode"]
    assert properties.get("TimeToLiveSpecification") == ttl
    assert _view(properties.get("StreamSpecification")) == _view(
        declared.get("StreamSpecification")
    )


@every_table
def test_a_table_can_be_recovered_and_is_encrypted_with_our_key_in_every_stage(
    schema: TableSchema, stage: Synthesized
) -> None:
    properties = _body(stage, schema)["Properties"]
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    encryption = properties["SSESpecification"]
    assert encryption["SSEEnabled"] is True
    assert encryption["SSEType"] == "KMS"
    assert stage.flat(encryption["KMSMasterKeyId"]).startswith("${TableKey")


@every_table
def test_production_never_deletes_a_table(schema: TableSchema, prod: Synthesized) -> None:
    body = _body(prod, schema)
    assert body["Properties"]["DeletionProtectionEnabled"] is True
    assert body["DeletionPolicy"] == "RetainExceptOnCreate"
    assert body["UpdateReplacePolicy"] == "Retain"


def test_the_logical_ids_of_the_tables_never_change(stage: Synthesized) -> None:
    """Renaming one makes CloudFormation put an empty table in its place. Add, never change."""
    assert sorted(table.logical_id for table in stage.all("AWS::DynamoDB::Table")) == [
        "AccountsTable",
        "AlertsTable",
        "ApiKeysTable",
        "AuditLogTable",
        "CustomersTable",
        "EntriesTable",
        "ExportsTable",
        "IdempotencyTable",
        "KeysTable",
        "LimitsTable",
        "MerchantsTable",
        "PaymentsTable",
        "ProcessorEventsTable",
        "ProofsTable",
        "SandboxChargesTable",
        "ScheduledRunsTable",
        "SettlementChunksTable",
        "SettlementFilesTable",
        "SettlementIdentitiesTable",
        "SettlementLinesTable",
        "SettlementsTable",
        "StreamProgressTable",
        "TotalsTable",
        "TransactionsTable",
        "TransfersTable",
        "WebhookEndpointsTable",
        "WebhooksTable",
    ]


def test_cloudformation_names_the_tables(stage: Synthesized) -> None:
    """An explicit name would prevent every change that replaces the table."""
    assert not [t for t in stage.all("AWS::DynamoDB::Table") if "TableName" in t.properties]


def test_the_data_stack_outputs_every_table(stage: Synthesized) -> None:
    assert stage.output("data", "Tables") == {
        schema.name: f"${{{table_logical_id(schema.name)}}}" for schema in ALL_TABLES
    }
