"""Markers that declare a DynamoDB table on a pydantic model, and the schema read from them.

A table's keys, indexes, projections, TTL and encrypted fields are declared once, on the field:

    class Payment(Record, table="payments", stream=True):
        id: Annotated[str, partition()]
        merchant_bucket: Annotated[str | None, partition("gsi-merchant")] = None
        status: Annotated[PaymentStatus, shown_in("gsi-merchant")]
        expires_at: Annotated[int, Ttl()]

CDK tables, test tables, repositories and docs/data-model.md all read `TableSchema.of(model)`. A
contradictory declaration raises `SchemaError` when the model's module is imported.
"""

from typing import Any, ClassVar

from pydantic import BaseModel

from runtime.dynamodb.schema_reader import read_schema
from runtime.dynamodb.table_schema import (
    MAX_INDEXES_PER_TABLE,
    MAX_PROJECTED_ATTRIBUTES,
    NO_MEMBERS,
    PACKED,
    AttributeType,
    BlindIndex,
    Encrypted,
    IndexSchema,
    Key,
    KeyAttribute,
    Packed,
    Purpose,
    SchemaError,
    ShownIn,
    TableSchema,
    Ttl,
    UnlessDefault,
    partition,
    shown_in,
    sort,
)

__all__ = [
    "MAX_INDEXES_PER_TABLE",
    "MAX_PROJECTED_ATTRIBUTES",
    "NO_MEMBERS",
    "PACKED",
    "AttributeType",
    "BlindIndex",
    "Encrypted",
    "IndexSchema",
    "Key",
    "KeyAttribute",
    "Packed",
    "Purpose",
    "Row",
    "SchemaError",
    "ShownIn",
    "TableSchema",
    "Ttl",
    "UnlessDefault",
    "partition",
    "shown_in",
    "sort",
]


class Row(BaseModel, frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True):
    """Base of all stored models. `table=` names the table; `stream=` enables its change stream.

    Unknown attributes are ignored on read, so that an older runtime can read a newer row.
    """

    table_schema: ClassVar[TableSchema]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        table = kwargs.get("table")
        if table is not None:
            cls.table_schema = read_schema(cls, table, stream=bool(kwargs.get("stream", False)))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(
            **{k: v for k, v in kwargs.items() if k not in ("table", "stream")}
        )
