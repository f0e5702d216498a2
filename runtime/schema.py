"""Markers that declare a DynamoDB table on a pydantic model, and the schema read from them.

A table's keys, indexes, projections, TTL and encrypted fields are said once, on the field:

    class Payment(Record, table="payments", stream=True):
        id: Annotated[str, partition()]
        merchant_bucket: Annotated[str | None, partition("gsi-merchant")] = None
        status: Annotated[PaymentStatus, shown_in("gsi-merchant")]
        expires_at: Annotated[int, Ttl()]

CDK tables, test tables, repositories and docs/data-model.md all read `TableSchema.of(model)`. A
contradictory declaration raises `SchemaError` while the model's module is being imported.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

Purpose = Literal["pii", "pci"]
AttributeType = Literal["S", "N"]
KeyKind = Literal["HASH", "RANGE"]

MAX_INDEXES_PER_TABLE = 20
"""DynamoDB service quota: global secondary indexes per table."""
MAX_PROJECTED_ATTRIBUTES = 100
"""DynamoDB service quota: attributes named in INCLUDE projections, over all indexes of a table."""


class SchemaError(TypeError):
    """A model declares a table that cannot exist or would lose a marker."""


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
    """The field is stored enciphered by the data key of `subject`, wrapped by KMS key `purpose`.

    `subject` names the field whose value owns the data key: deleting that key forgets the value.
    """

    purpose: Purpose
    subject: str = "id"


@dataclass(frozen=True, slots=True)
class BlindIndex:
    """The field holds a keyed hash of the encrypted field `source`, for exact look-ups."""

    source: str


@dataclass(frozen=True, slots=True)
class ShownIn:
    """The field is copied into the named indexes (an INCLUDE projection)."""

    indexes: tuple[str, ...]


Marker = Key | Ttl | Encrypted | BlindIndex | ShownIn
_MARKERS = (Key, Ttl, Encrypted, BlindIndex, ShownIn)


def partition(index: str | None = None) -> Key:
    """Partition key of the table, or of `index`."""
    return Key("HASH", index)


def sort(index: str | None = None) -> Key:
    """Sort key of the table, or of `index`."""
    return Key("RANGE", index)


def shown_in(*indexes: str) -> ShownIn:
    """Project the field into `indexes`. Every update of it then costs a write there too."""
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
        """DynamoDB's name of the projection."""
        return "INCLUDE" if self.projected else "KEYS_ONLY"


@dataclass(frozen=True, slots=True)
class TableSchema:
    """Everything that DynamoDB and the repositories must know about one table."""

    name: str
    model: type[BaseModel]
    partition_key: KeyAttribute
    sort_key: KeyAttribute | None
    indexes: tuple[IndexSchema, ...]
    ttl_attribute: str | None
    encrypted: Mapping[str, Encrypted]
    blind_indexes: Mapping[str, BlindIndex]
    stream: bool

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
        """The index called `name`. Raises SchemaError if there is none."""
        for index in self.indexes:
            if index.name == name:
                return index
        raise SchemaError(
            f"table {self.name} has no index {name}: {[i.name for i in self.indexes]}"
        )

    @property
    def key_names(self) -> tuple[str, ...]:
        """The table's own key attributes, partition key first."""
        keys = (self.partition_key, self.sort_key)
        return tuple(key.name for key in keys if key is not None)

    def create_table_arguments(self, table_name: str) -> dict[str, Any]:
        """Arguments of the DynamoDB CreateTable call that makes this table in a test engine."""
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


class Row(BaseModel, frozen=True, extra="ignore", use_enum_values=False):
    """Base of everything stored. `table=` names the table; `stream=` turns its change stream on.

    Unknown attributes are ignored when reading, so that an older runtime can read a newer row.
    """

    table_schema: ClassVar[TableSchema]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        table = kwargs.get("table")
        if table is not None:
            cls.table_schema = _read_schema(cls, table, stream=bool(kwargs.get("stream", False)))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(
            **{k: v for k, v in kwargs.items() if k not in ("table", "stream")}
        )


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


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    annotation: Any
    markers: tuple[Marker, ...]

    def first(self, kind: type[Any]) -> Any:
        found = [marker for marker in self.markers if isinstance(marker, kind)]
        if len(found) > 1:
            raise SchemaError(
                f"{self.name} carries {len(found)} {kind.__name__} markers; one is meant"
            )
        return found[0] if found else None


def _read_schema(model: type[BaseModel], table: str, *, stream: bool) -> TableSchema:
    fields = list(_fields(model))
    where = f"{model.__name__} (table {table})"
    partition_key = _key(fields, "HASH", None, where)
    if partition_key is None:
        raise SchemaError(f"{where} has no partition key: mark one field with partition()")
    schema = TableSchema(
        name=table,
        model=model,
        partition_key=partition_key,
        sort_key=_key(fields, "RANGE", None, where),
        indexes=_indexes(fields, where),
        ttl_attribute=_ttl(fields, where),
        encrypted={f.name: f.first(Encrypted) for f in fields if f.first(Encrypted)},
        blind_indexes={f.name: f.first(BlindIndex) for f in fields if f.first(BlindIndex)},
        stream=stream,
    )
    _refuse_contradictions(schema, fields, where)
    return schema


def _fields(model: type[BaseModel]) -> Iterator[_Field]:
    hints = get_type_hints(model, include_extras=True)
    for name in model.model_fields:
        hint = hints[name]
        markers: tuple[Marker, ...] = ()
        if get_origin(hint) is Annotated:
            hint, *extras = get_args(hint)
            markers = tuple(extra for extra in extras if isinstance(extra, _MARKERS))
        if lost := list(_nested_markers(hint)):
            raise SchemaError(
                f"{model.__name__}.{name} hides {lost[0]} inside a union or container, "
                "where it would be lost: "
                "write Annotated[... | None, marker], not Annotated[..., marker] | None"
            )
        yield _Field(name, hint, markers)


def _nested_markers(hint: Any) -> Iterator[Marker]:
    for argument in get_args(hint):
        if isinstance(argument, _MARKERS):
            yield argument
        yield from _nested_markers(argument)


def _key(fields: list[_Field], kind: KeyKind, index: str | None, where: str) -> KeyAttribute | None:
    wanted = Key(kind, index)
    marked = [field for field in fields if wanted in field.markers]
    place = f"index {index}" if index else "the table"
    if len(marked) > 1:
        raise SchemaError(
            f"{where}: {[f.name for f in marked]} are all the {kind} key of {place}; one is meant"
        )
    if not marked:
        return None
    field = marked[0]
    if index is None and type(None) in get_args(field.annotation):
        raise SchemaError(f"{where}: {field.name} is a key of the table and so cannot be optional")
    return KeyAttribute(field.name, _attribute_type(field, where))


def _attribute_type(field: _Field, where: str) -> AttributeType:
    base = field.annotation
    if get_origin(base) in (Union, types.UnionType):
        members = [member for member in get_args(base) if member is not type(None)]
        base = members[0] if len(members) == 1 else base
    while get_origin(base) is Annotated:
        base = get_args(base)[0]
    if get_origin(base) is Literal:
        base = type(get_args(base)[0])
    base = getattr(base, "__supertype__", base)
    if isinstance(base, type) and issubclass(base, (str, enum.StrEnum)):
        return "S"
    if isinstance(base, type) and issubclass(base, int) and not issubclass(base, bool):
        return "N"
    raise SchemaError(
        f"{where}: key {field.name} must be a string or an integer, not {field.annotation!r}"
    )


def _indexes(fields: list[_Field], where: str) -> tuple[IndexSchema, ...]:
    names: dict[str, None] = {}
    for field in fields:
        for marker in field.markers:
            if isinstance(marker, Key) and marker.index is not None:
                names.setdefault(marker.index)
    indexes = []
    for name in names:
        partition_key = _key(fields, "HASH", name, where)
        if partition_key is None:
            raise SchemaError(f"{where}: index {name} has a sort key but no partition key")
        shown = tuple(f.name for f in fields if name in _shown_in(f))
        indexes.append(IndexSchema(name, partition_key, _key(fields, "RANGE", name, where), shown))
    return tuple(indexes)


def _shown_in(field: _Field) -> tuple[str, ...]:
    marker: ShownIn | None = field.first(ShownIn)
    return marker.indexes if marker else ()


def _ttl(fields: list[_Field], where: str) -> str | None:
    marked = [field for field in fields if field.first(Ttl)]
    if len(marked) > 1:
        raise SchemaError(
            f"{where}: {[f.name for f in marked]} are all marked Ttl; DynamoDB knows one"
        )
    if marked and _attribute_type(marked[0], where) != "N":
        raise SchemaError(
            f"{where}: {marked[0].name} is marked Ttl and so must be an int of epoch seconds"
        )
    return marked[0].name if marked else None


def _refuse_contradictions(schema: TableSchema, fields: list[_Field], where: str) -> None:
    by_name = {field.name: field for field in fields}
    keys = {field.name for field in fields if any(isinstance(m, Key) for m in field.markers)}
    for field in fields:
        _refuse_needless_projection(field, schema, where)
    for name, mark in schema.encrypted.items():
        _refuse_exposed_secret(by_name[name], mark, keys, by_name.keys(), where)
    for name, blind in schema.blind_indexes.items():
        _refuse_useless_blind_index(name, blind, schema, keys, where)
    _refuse_above_quota(schema, where)


def _refuse_needless_projection(field: _Field, schema: TableSchema, where: str) -> None:
    known = {index.name for index in schema.indexes}
    for index_name in _shown_in(field):
        if index_name not in known:
            raise SchemaError(
                f"{where}: {field.name} is shown in {index_name}, which has no partition key"
            )
        index = schema.index(index_name)
        own = {key.name for key in (index.partition_key, index.sort_key) if key is not None}
        if field.name in own.union(schema.key_names):
            raise SchemaError(
                f"{where}: {field.name} is a key of {index_name} and so projected already"
            )


def _refuse_exposed_secret(
    field: _Field, mark: Encrypted, keys: Set[str], names: Set[str], where: str
) -> None:
    if field.name in keys:
        raise SchemaError(
            f"{where}: {field.name} is encrypted and a key; put a BlindIndex field beside it"
        )
    if _shown_in(field):
        raise SchemaError(
            f"{where}: {field.name} is encrypted and shown in an index; read it from the table"
        )
    if mark.subject not in names:
        raise SchemaError(
            f"{where}: {field.name} is encrypted for {mark.subject}, which is no field"
        )


def _refuse_useless_blind_index(
    name: str, blind: BlindIndex, schema: TableSchema, keys: Set[str], where: str
) -> None:
    if blind.source not in schema.encrypted:
        raise SchemaError(
            f"{where}: {name} indexes {blind.source}, which is not an encrypted field"
        )
    if name not in keys:
        raise SchemaError(f"{where}: {name} is a blind index but no key; mark it partition(index)")


def _refuse_above_quota(schema: TableSchema, where: str) -> None:
    if len(schema.indexes) > MAX_INDEXES_PER_TABLE:
        raise SchemaError(
            f"{where}: {len(schema.indexes)} indexes; DynamoDB allows {MAX_INDEXES_PER_TABLE}"
        )
    projected = sum(len(index.projected) for index in schema.indexes)
    if projected > MAX_PROJECTED_ATTRIBUTES:
        raise SchemaError(
            f"{where}: {projected} projected attributes; the quota is {MAX_PROJECTED_ATTRIBUTES}"
        )
