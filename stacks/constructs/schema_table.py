"""A DynamoDB table made from the schema that its model declares."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from runtime.dynamodb.schema import AttributeType, IndexSchema, KeyAttribute, TableSchema
from stacks.stage_parts import DataConfig

_ATTRIBUTE_TYPES: dict[AttributeType, dynamodb.AttributeType] = {
    "S": dynamodb.AttributeType.STRING,
    "N": dynamodb.AttributeType.NUMBER,
}


@dataclass(frozen=True)
class Restored:
    """The restore that made a table: its name, and the table's physical name."""

    name: str
    table_name: str


class SchemaTable(Construct):
    """One table: on demand, recoverable to any second, our own key, and all that `schema` says.

    The logical id is `table_logical_id(schema.name)`, whatever the tree around it looks like: a
    changed logical id would make CloudFormation replace the table, and so lose its rows.

    `restored`: the physical name of a table that was restored, and ends the logical id with the
    restore's name. Such a table exists before its stack knows it, and is imported.
    """

    def __init__(  # noqa: PLR0913 - what one table is made of
        self,
        scope: Construct,
        construct_id: str,
        *,
        schema: TableSchema,
        key: kms.IKey,
        data: DataConfig,
        policy: iam.PolicyDocument | None = None,
        restored: Restored | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.schema = schema
        self._warm = _warm(data.warm_write_units.get(schema.name))
        self.table = dynamodb.Table(
            self,
            "Table",
            table_name=restored.table_name if restored else None,
            partition_key=_attribute(schema.partition_key),
            sort_key=_attribute(schema.sort_key) if schema.sort_key else None,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES if schema.stream else None,
            time_to_live_attribute=schema.ttl_attribute,
            deletion_protection=data.is_protected,
            removal_policy=data.removal_policy,
            resource_policy=policy,
            warm_throughput=self._warm,
        )
        for index in schema.indexes:
            self._add(index)
        resource = self.table.node.default_child
        assert isinstance(resource, dynamodb.CfnTable)  # noqa: S101 - what L2 is made of
        suffix = restored.name.capitalize() if restored else ""
        resource.override_logical_id(f"{table_logical_id(schema.name)}{suffix}")

    def _add(self, index: IndexSchema) -> None:
        self.table.add_global_secondary_index(
            index_name=index.name,
            partition_key=_attribute(index.partition_key),
            sort_key=_attribute(index.sort_key) if index.sort_key else None,
            projection_type=dynamodb.ProjectionType[index.projection_type],
            non_key_attributes=list(index.projected) or None,
            warm_throughput=self._warm,
        )


def table_logical_id(schema_name: str) -> str:
    """`settlement_lines` → `SettlementLinesTable`."""
    return f"{pascal(schema_name)}Table"


def pascal(name: str) -> str:
    """`settlement_lines` → `SettlementLines`."""
    return "".join(word.capitalize() for word in name.split("_"))


def _warm(write_units: int | None) -> dynamodb.WarmThroughput | None:
    if write_units is None:
        return None
    return dynamodb.WarmThroughput(write_units_per_second=write_units)


def _attribute(key: KeyAttribute) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=key.name, type=_ATTRIBUTE_TYPES[key.type])
