"""The schema: read once from the markers, with contradictions refused at import."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, NewType

import pytest
from pydantic import Field

from runtime.dynamodb.schema import (
    MAX_INDEXES_PER_TABLE,
    MAX_PROJECTED_ATTRIBUTES,
    BlindIndex,
    Encrypted,
    Packed,
    Row,
    SchemaError,
    TableSchema,
    Ttl,
    UnlessDefault,
    partition,
    shown_in,
    sort,
)
from runtime.payments.models import Payment
from runtime.tables import ALL_TABLES


class Colour(StrEnum):
    RED = "red"


class Plain(Enum):
    ONE = object()


Name = NewType("Name", str)


def two_partition_keys() -> None:
    class Bad(Row, table="bad"):
        one: Annotated[str, partition()]
        other: Annotated[str, partition()]


def two_sort_keys() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        one: Annotated[str, sort()]
        other: Annotated[str, sort()]


def two_partition_keys_of_an_index() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        one: Annotated[str, partition("gsi")]
        other: Annotated[str, partition("gsi")]


def no_partition_key() -> None:
    class Bad(Row, table="bad"):
        id: str


def only_a_sort_key() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, sort()]


def an_index_without_a_partition_key() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        at: Annotated[str, sort("gsi")]


def an_optional_table_key() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str | None, partition()] = None


def an_optional_sort_key() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        at: Annotated[str | None, sort()] = None


def a_key_of_a_float() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[float, partition()]


def a_key_of_a_bool() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[bool, partition()]


def a_key_of_two_types() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        other: Annotated[str | int | None, partition("gsi")] = None


def a_key_of_an_enum_that_is_not_a_string() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[Plain, partition()]


def two_ttls() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        one: Annotated[int, Ttl()]
        other: Annotated[int, Ttl()]


def a_ttl_that_is_text() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        until: Annotated[str, Ttl()]


def an_encrypted_key() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        email: Annotated[str, Encrypted("pii"), partition("gsi")]


def an_encrypted_projection() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        bucket: Annotated[str, partition("gsi")]
        email: Annotated[str, Encrypted("pii"), shown_in("gsi")]


def a_data_key_of_an_unknown_field() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        email: Annotated[str, Encrypted("pii", subject="owner")]


def a_blind_index_of_plain_text() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        email: str
        email_index: Annotated[str, BlindIndex("email"), partition("gsi")]


def a_blind_index_that_is_not_a_key() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        email: Annotated[str, Encrypted("pii")]
        email_index: Annotated[str, BlindIndex("email")]


def shown_in_an_index_that_does_not_exist() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        name: Annotated[str, shown_in("gsi")]


def shown_in_an_index_that_it_is_a_key_of() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        bucket: Annotated[str, partition("gsi"), shown_in("gsi")]


def a_table_key_shown_in_an_index() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition(), shown_in("gsi")]
        bucket: Annotated[str, partition("gsi")]


def a_key_that_is_left_out() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        bucket: Annotated[str, partition("gsi"), UnlessDefault()] = "one"


def something_required_that_is_left_out() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        amount: Annotated[int, UnlessDefault()]


def a_packed_field_that_is_a_key() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        bucket: Annotated[str, partition("gsi"), Packed(b"")]


def a_packed_field_that_an_index_shows() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        bucket: Annotated[str, partition("gsi")]
        amount: Annotated[int, shown_in("gsi"), Packed(b"")]


def a_packed_field_that_is_encrypted() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        email: Annotated[str, Encrypted("pii"), Packed(b"")]


def two_packing_dictionaries() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        one: Annotated[str, Packed(b"1")]
        two: Annotated[str, Packed(b"2")]


def two_markers_of_one_kind() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        email: Annotated[str, Encrypted("pii"), Encrypted("pci")]


def a_marker_lost_in_a_union() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        until: Annotated[int, Ttl()] | None = None


def a_marker_lost_in_a_list() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        emails: list[Annotated[str, Encrypted("pii")]]


def a_marker_lost_deep_inside() -> None:
    class Bad(Row, table="bad"):
        id: Annotated[str, partition()]
        emails: Annotated[dict[str, tuple[Annotated[str, Encrypted("pii")] | None, ...]], Field()]


def too_many_indexes() -> None:
    _with_fields(
        {f"k{n}": Annotated[str, partition(f"gsi-{n}")] for n in range(MAX_INDEXES_PER_TABLE + 1)}
    )


def too_many_projected_attributes() -> None:
    fields: dict[str, Any] = {"bucket": Annotated[str, partition("gsi")]}
    for n in range(MAX_PROJECTED_ATTRIBUTES + 1):
        fields[f"f{n}"] = Annotated[str, shown_in("gsi")]
    _with_fields(fields)


def _with_fields(fields: dict[str, Any]) -> type[Row]:
    annotations = {"id": Annotated[str, partition()], **fields}
    return type(Row)(
        "Made", (Row,), {"__annotations__": annotations, "__module__": __name__}, table="made"
    )  # type: ignore[call-overload,no-any-return]


CONTRADICTIONS: list[tuple[Callable[[], None], str]] = [
    (two_partition_keys, "are all the HASH key of the table"),
    (two_sort_keys, "are all the RANGE key of the table"),
    (two_partition_keys_of_an_index, "are all the HASH key of index gsi"),
    (no_partition_key, "has no partition key"),
    (only_a_sort_key, "has no partition key"),
    (an_index_without_a_partition_key, "has a sort key but no partition key"),
    (an_optional_table_key, "cannot be optional"),
    (an_optional_sort_key, "cannot be optional"),
    (a_key_of_a_float, "must be a string or an integer"),
    (a_key_of_a_bool, "must be a string or an integer"),
    (a_key_of_two_types, "must be a string or an integer"),
    (a_key_of_an_enum_that_is_not_a_string, "must be a string or an integer"),
    (two_ttls, "are all marked Ttl"),
    (a_ttl_that_is_text, "must be an int of epoch seconds"),
    (an_encrypted_key, "is encrypted and a key"),
    (an_encrypted_projection, "is encrypted and shown in an index"),
    (a_data_key_of_an_unknown_field, "which is not a field"),
    (a_blind_index_of_plain_text, "which is not an encrypted field"),
    (a_blind_index_that_is_not_a_key, "is a blind index, not a key"),
    (shown_in_an_index_that_does_not_exist, "which has no partition key"),
    (shown_in_an_index_that_it_is_a_key_of, "already projected"),
    (a_table_key_shown_in_an_index, "already projected"),
    (a_key_that_is_left_out, "so it must have a default and cannot be a key"),
    (something_required_that_is_left_out, "so it must have a default and cannot be a key"),
    (a_packed_field_that_is_a_key, "is packed, so DynamoDB cannot read it"),
    (a_packed_field_that_an_index_shows, "is packed, so DynamoDB cannot read it"),
    (a_packed_field_that_is_encrypted, "is packed and cannot be encrypted"),
    (two_packing_dictionaries, "share one dictionary, not 2"),
    (two_markers_of_one_kind, "has 2 Encrypted markers"),
    (a_marker_lost_in_a_union, "where it would be ignored"),
    (a_marker_lost_in_a_list, "where it would be ignored"),
    (a_marker_lost_deep_inside, "where it would be ignored"),
    (too_many_indexes, "indexes; DynamoDB allows"),
    (too_many_projected_attributes, "projected attributes; the quota"),
]


@pytest.mark.parametrize(
    ("declare", "reason"), CONTRADICTIONS, ids=lambda v: getattr(v, "__name__", "")
)
def test_a_contradictory_declaration_refuses_to_import(
    declare: Callable[[], None], reason: str
) -> None:
    with pytest.raises(SchemaError, match=reason):
        declare()


class Everything(Row, table="everything", stream=True):
    id: Annotated[str, partition(), sort("gsi-b")]
    number: Annotated[int, sort()]
    named: Annotated[Name | None, partition("gsi-a")] = None
    colour: Annotated[Colour, sort("gsi-a")]
    kind: Annotated[Literal["x", "y"], partition("gsi-b"), shown_in("gsi-a")]
    secret: Annotated[str | None, Encrypted("pci", subject="kind"), Field(repr=False)] = None
    secret_index: Annotated[str | None, BlindIndex("secret"), partition("gsi-c")] = None
    until: Annotated[int | None, Ttl()] = None


def test_every_marker_is_read_from_its_field() -> None:
    schema = TableSchema.of(Everything)
    assert (schema.name, schema.stream, schema.ttl_attribute) == ("everything", True, "until")
    assert schema.key_names == ("id", "number")
    assert schema.sort_key is not None
    assert schema.sort_key.type == "N"
    assert schema.encrypted == {"secret": Encrypted("pci", subject="kind")}
    assert schema.blind_indexes == {"secret_index": BlindIndex("secret")}
    by_name = {index.name: index for index in schema.indexes}
    assert set(by_name) == {"gsi-a", "gsi-b", "gsi-c"}
    assert by_name["gsi-a"].projected == ("kind",)
    assert by_name["gsi-a"].projection_type == "INCLUDE"
    assert by_name["gsi-b"].projection_type == "KEYS_ONLY"
    assert by_name["gsi-c"].sort_key is None


def test_the_create_table_arguments_match_the_declaration() -> None:
    arguments = TableSchema.of(Everything).create_table_arguments("physical")
    assert arguments["TableName"] == "physical"
    assert arguments["BillingMode"] == "PAY_PER_REQUEST"
    assert arguments["KeySchema"] == [
        {"AttributeName": "id", "KeyType": "HASH"},
        {"AttributeName": "number", "KeyType": "RANGE"},
    ]
    assert {d["AttributeName"]: d["AttributeType"] for d in arguments["AttributeDefinitions"]} == {
        "colour": "S",
        "id": "S",
        "kind": "S",
        "named": "S",
        "number": "N",
        "secret_index": "S",
    }
    gsi_a, gsi_b, gsi_c = sorted(
        arguments["GlobalSecondaryIndexes"], key=lambda index: index["IndexName"]
    )
    assert gsi_a["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["kind"]}
    assert gsi_b["KeySchema"] == [
        {"AttributeName": "kind", "KeyType": "HASH"},
        {"AttributeName": "id", "KeyType": "RANGE"},
    ]
    assert gsi_c["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert arguments["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"


def test_a_table_without_indexes_and_stream_has_neither_argument() -> None:
    class Bare(Row, table="bare"):
        id: Annotated[str, partition()]

    arguments = TableSchema.of(Bare).create_table_arguments("bare")
    assert "GlobalSecondaryIndexes" not in arguments
    assert "StreamSpecification" not in arguments


def test_a_projection_of_a_table_declares_no_table() -> None:
    class View(Everything):
        pass

    with pytest.raises(SchemaError, match="declares no table"):
        TableSchema.of(View)
    with pytest.raises(SchemaError, match="has no index gsi-z"):
        TableSchema.of(Everything).index("gsi-z")


def test_an_index_may_be_sparse_and_its_key_optional() -> None:
    index = TableSchema.of(Payment).index("gsi-open")
    assert index.partition_key.name == "open_bucket"
    assert index.sort_key is not None
    assert index.sort_key.name == "next_action_at"


def test_unknown_attributes_of_a_newer_runtime_are_ignored() -> None:
    row = Everything.model_validate(
        {"id": "i", "number": 1, "colour": "red", "kind": "x", "from_the_future": 1}
    )
    assert not hasattr(row, "from_the_future")


def test_every_table_has_a_unique_name_and_numeric_times() -> None:
    names = [schema.name for schema in ALL_TABLES]
    assert len(set(names)) == len(names)
    for schema in ALL_TABLES:
        keys = {
            d["AttributeName"] for d in schema.create_table_arguments("x")["AttributeDefinitions"]
        }
        assert not keys & set(schema.encrypted), schema.name


EXPECTED = {
    "accounts": {"customer-index", "status-index", "number-index"},
    "transfers": {"customer-index", "merchant-index", "status-index", "expiry-index"},
    "entries": {"transfer-index"},
    "payments": {
        "gsi-merchant",
        "gsi-merchant-status",
        "gsi-customer",
        "gsi-idempotency",
        "gsi-open",
        "gsi-reference",
    },
    "transactions": {"gsi-merchant", "gsi-open", "gsi-processor", "gsi-unsettled"},
    "customers": {"gsi-merchant", "gsi-email"},
    "merchants": {"gsi-email", "gsi-list"},
    "idempotency": {"gsi-merchant"},
    "settlements": {"gsi-merchant"},
    "settlement_lines": {"gsi-exception", "gsi-transaction"},
    "webhook_endpoints": {"gsi-merchant"},
    "webhooks": {"gsi-merchant", "gsi-retry", "gsi-undelivered"},
    "audit_log": {"action-index", "user-index", "gsi-merchant", "gsi-request"},
    "exports": {"gsi-merchant", "gsi-status"},
}
"""The tables and indexes of the data model that clients, operators and the audit rely on."""


@pytest.mark.parametrize("table", list(EXPECTED))
def test_the_data_models_tables_have_the_data_models_indexes(table: str) -> None:
    (schema,) = [schema for schema in ALL_TABLES if schema.name == table]
    assert {index.name for index in schema.indexes} == EXPECTED[table]


@pytest.mark.parametrize("table", ["idempotency", "webhooks", "exports", "limits"])
def test_every_table_with_expiring_rows_has_a_ttl(table: str) -> None:
    (schema,) = [schema for schema in ALL_TABLES if schema.name == table]
    assert schema.ttl_attribute == "expires_at"


def test_the_audit_log_is_kept_for_ever() -> None:
    (schema,) = [schema for schema in ALL_TABLES if schema.name == "audit_log"]
    assert schema.ttl_attribute is None
