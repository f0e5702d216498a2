"""Reads a model's markers into its TableSchema and rejects contradictions."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from runtime.dynamodb.table_schema import (
    MARKERS,
    MAX_INDEXES_PER_TABLE,
    MAX_PROJECTED_ATTRIBUTES,
    PACKED,
    AttributeType,
    BlindIndex,
    Encrypted,
    IndexSchema,
    Key,
    KeyAttribute,
    KeyKind,
    Marker,
    Packed,
    SchemaError,
    ShownIn,
    TableSchema,
    Ttl,
    UnlessDefault,
)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    annotation: Any
    markers: tuple[Marker, ...]

    def first(self, kind: type[Any]) -> Any:
        found = [marker for marker in self.markers if isinstance(marker, kind)]
        if len(found) > 1:
            raise SchemaError(
                f"{self.name} has {len(found)} {kind.__name__} markers; only one is allowed"
            )
        return found[0] if found else None


def read_schema(model: type[BaseModel], table: str, *, stream: bool) -> TableSchema:
    """The table that `model`'s markers declare. Raises SchemaError for a contradiction."""
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
        unless_default=frozenset(f.name for f in fields if f.first(UnlessDefault)),
        packed=frozenset(f.name for f in fields if f.first(Packed)),
        packing_dictionary=_dictionary(fields, where),
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
            markers = tuple(extra for extra in extras if isinstance(extra, MARKERS))
        if lost := list(_nested_markers(hint)):
            raise SchemaError(
                f"{model.__name__}.{name} has {lost[0]} inside a union or container, "
                "where it would be ignored: "
                "write Annotated[... | None, marker], not Annotated[..., marker] | None"
            )
        yield _Field(name, hint, markers)


def _nested_markers(hint: Any) -> Iterator[Marker]:
    for argument in get_args(hint):
        if isinstance(argument, MARKERS):
            yield argument
        yield from _nested_markers(argument)


def _key(fields: list[_Field], kind: KeyKind, index: str | None, where: str) -> KeyAttribute | None:
    wanted = Key(kind, index)
    marked = [field for field in fields if wanted in field.markers]
    place = f"index {index}" if index else "the table"
    if len(marked) > 1:
        raise SchemaError(
            f"{where}: {[f.name for f in marked]} are all the {kind} key of {place}; mark only one"
        )
    if not marked:
        return None
    field = marked[0]
    if index is None and type(None) in get_args(field.annotation):
        raise SchemaError(f"{where}: {field.name} is a key of the table and cannot be optional")
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
            f"{where}: {[f.name for f in marked]} are all marked Ttl; DynamoDB supports one"
        )
    if marked and _attribute_type(marked[0], where) != "N":
        raise SchemaError(
            f"{where}: {marked[0].name} is marked Ttl and must be an int of epoch seconds"
        )
    return marked[0].name if marked else None


def _dictionary(fields: list[_Field], where: str) -> bytes:
    markers = {field.first(Packed) for field in fields} - {None}
    if len(markers) > 1:
        raise SchemaError(f"{where}: packed fields share one dictionary, not {len(markers)}")
    return markers.pop().dictionary if markers else b""


def _refuse_contradictions(schema: TableSchema, fields: list[_Field], where: str) -> None:
    by_name = {field.name: field for field in fields}
    keys = {field.name for field in fields if any(isinstance(m, Key) for m in field.markers)}
    for field in fields:
        _refuse_needless_projection(field, schema, where)
    for name, mark in schema.encrypted.items():
        _refuse_exposed_secret(by_name[name], mark, keys, by_name.keys(), where)
    for name, blind in schema.blind_indexes.items():
        _refuse_useless_blind_index(name, blind, schema, keys, where)
    for name in schema.unless_default:
        if name in keys or schema.model.model_fields[name].is_required():
            raise SchemaError(
                f"{where}: {name} is omitted while it has its default, "
                "so it must have a default and cannot be a key"
            )
    for name in schema.packed:
        if any(isinstance(marker, (Key, Ttl, ShownIn)) for marker in by_name[name].markers):
            raise SchemaError(f"{where}: {name} is packed, so DynamoDB cannot read it")
        if name in {*schema.encrypted, *schema.blind_indexes, PACKED}:
            raise SchemaError(f"{where}: {name} is packed and cannot be encrypted or {PACKED}")
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
                f"{where}: {field.name} is a key of {index_name} and already projected"
            )


def _refuse_exposed_secret(
    field: _Field, mark: Encrypted, keys: AbstractSet[str], names: AbstractSet[str], where: str
) -> None:
    if field.name in keys:
        raise SchemaError(
            f"{where}: {field.name} is encrypted and a key; add a BlindIndex field instead"
        )
    if _shown_in(field):
        raise SchemaError(
            f"{where}: {field.name} is encrypted and shown in an index; read it from the table"
        )
    if mark.subject not in names:
        raise SchemaError(
            f"{where}: {field.name} is encrypted for {mark.subject}, which is not a field"
        )


def _refuse_useless_blind_index(
    name: str, blind: BlindIndex, schema: TableSchema, keys: AbstractSet[str], where: str
) -> None:
    if blind.source not in schema.encrypted:
        raise SchemaError(
            f"{where}: {name} indexes {blind.source}, which is not an encrypted field"
        )
    if name not in keys:
        raise SchemaError(f"{where}: {name} is a blind index, not a key; mark it partition(index)")


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
