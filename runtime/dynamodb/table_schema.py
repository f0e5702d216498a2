"""The building blocks of a schema: field markers, and the tables they declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel

Purpose = Literal["pii", "pci"]
AttributeType = Literal["S", "N"]
KeyKind = Literal["HASH", "RANGE"]

MAX_INDEXES_PER_TABLE = 20
"""DynamoDB service quota: global secondary indexes per table."""
MAX_PROJECTED_ATTRIBUTES = 100
"""DynamoDB service quota: attributes named in INCLUDE projections, over all indexes of a table."""


class SchemaError(TypeError):
    """A model declares an impossible table, or a marker would be ignored."""


@dataclass(frozen=True, slots=True)
class Key:
    """The field is a key attribute: of the table (`index` is None) or of the named index."""

    kind: KeyKind
    index: str | None


@dataclass(frozen=True, slots=True)
class Ttl:
    """The field holds the epoch second after which DynamoDB may delete the item."""


@dataclass(frozen=True, slots=True)
class Encrypted:
    """The field is encrypted with the data key of `subject`, wrapped by the KMS key for `purpose`.

    `subject` names the field whose value owns the data key; deleting that key destroys the value.
    `words`: text that values have in common, for compressing them (RFC 1950, preset dictionary).
    Stored values cannot be read without it, so it never changes.
    """

    purpose: Purpose
    subject: str = "id"
    words: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class BlindIndex:
    """The field holds a keyed hash of the encrypted field `source`, for exact lookups."""

    source: str


@dataclass(frozen=True, slots=True)
class ShownIn:
    """The field is copied into the named indexes (an INCLUDE projection)."""

    indexes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnlessDefault:
    """A new row is stored without the field while it has its default; readers get the default.

    It takes no space until it is set. Only `Update.count` may add to it, and conditions on it must
    treat a missing attribute as the default.
    """


@dataclass(frozen=True, slots=True)
class Packed:
    """The field is stored compressed, together with all others that have this marker.

    They share the attribute `PACKED`, a zlib stream of a JSON object. `dictionary` contains what
    such objects usually contain (RFC 1950, preset dictionary); stored rows need it for ever.
    """

    dictionary: bytes


PACKED = "packed"
"""The attribute with a row's packed fields."""
NO_MEMBERS: Final[frozenset[Any]] = frozenset()
"""A set without members is not stored: DynamoDB has no empty sets."""

Marker = Key | Ttl | Encrypted | BlindIndex | ShownIn | UnlessDefault | Packed
MARKERS = (Key, Ttl, Encrypted, BlindIndex, ShownIn, UnlessDefault, Packed)


def partition(index: str | None = None) -> Key:
    """Partition key of the table, or of `index`."""
    return Key("HASH", index)


def sort(index: str | None = None) -> Key:
    """Sort key of the table, or of `index`."""
    return Key("RANGE", index)


def shown_in(*indexes: str) -> ShownIn:
    """Project the field into `indexes`. Each update of the field then also costs a write there."""
    return ShownIn(indexes)


@dataclass(frozen=True, slots=True)
class KeyAttribute:
    """A key attribute's name and DynamoDB type."""

    name: str
    type: AttributeType


@dataclass(frozen=True, slots=True)
class IndexSchema:
    """A global secondary index; no `projected` attributes means KEYS_ONLY."""

    name: str
    partition_key: KeyAttribute
    sort_key: KeyAttribute | None
    projected: tuple[str, ...]

    @property
    def projection_type(self) -> Literal["KEYS_ONLY", "INCLUDE"]:
        """DynamoDB's name for the projection."""
        return "INCLUDE" if self.projected else "KEYS_ONLY"


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The declaration of one table, for CDK, test engines and repositories."""

    name: str
    model: type[BaseModel]
    partition_key: KeyAttribute
    sort_key: KeyAttribute | None
    indexes: tuple[IndexSchema, ...]
    ttl_attribute: str | None
    encrypted: Mapping[str, Encrypted]
    blind_indexes: Mapping[str, BlindIndex]
    unless_default: frozenset[str]
    packed: frozenset[str]
    packing_dictionary: bytes
    stream: bool
    key_names: tuple[str, ...] = field(init=False)
    """The table's key attributes, partition key first."""

    def __post_init__(self) -> None:
        keys = (self.partition_key, self.sort_key)
        object.__setattr__(self, "key_names", tuple(key.name for key in keys if key is not None))

    @staticmethod
    def of(model: type[BaseModel]) -> TableSchema:
        """The schema that `model` declares. Raises SchemaError if it declares none."""
        schema = model.__dict__.get("table_schema")
        if not isinstance(schema, TableSchema):
            raise SchemaError(
                f'{model.__name__} declares no table: write class …(Row, table="name")'
            )
        return schema

    def index(self, name: str) -> IndexSchema:
        """The index named `name`. Raises SchemaError if there is none."""
        for index in self.indexes:
            if index.name == name:
                return index
        raise SchemaError(
            f"table {self.name} has no index {name}: {[i.name for i in self.indexes]}"
        )

    def create_table_arguments(self, table_name: str) -> dict[str, Any]:
        """Arguments of the CreateTable call that creates this table in a test engine."""
        keys = {key.name: key.type for key in self._all_keys()}
        arguments: dict[str, Any] = {
            "TableName": table_name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": _key_schema(self.partition_key, self.sort_key),
            "AttributeDefinitions": [
                {"AttributeName": name, "AttributeType": kind}
                for name, kind in sorted(keys.items())
            ],
        }
        if self.indexes:
            arguments["GlobalSecondaryIndexes"] = [
                _index_arguments(index) for index in self.indexes
            ]
        if self.stream:
            arguments["StreamSpecification"] = {
                "StreamEnabled": True,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            }
        return arguments

    def _all_keys(self) -> Iterator[KeyAttribute]:
        holders: tuple[TableSchema | IndexSchema, ...] = (self, *self.indexes)
        for holder in holders:
            yield holder.partition_key
            if holder.sort_key is not None:
                yield holder.sort_key


def _key_schema(partition_key: KeyAttribute, sort_key: KeyAttribute | None) -> list[dict[str, str]]:
    schema = [{"AttributeName": partition_key.name, "KeyType": "HASH"}]
    if sort_key is not None:
        schema.append({"AttributeName": sort_key.name, "KeyType": "RANGE"})
    return schema


def _index_arguments(index: IndexSchema) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": index.projection_type}
    if index.projected:
        projection["NonKeyAttributes"] = list(index.projected)
    return {
        "IndexName": index.name,
        "KeySchema": _key_schema(index.partition_key, index.sort_key),
        "Projection": projection,
    }
