"""Converts rows to DynamoDB items and back; encrypts the fields the model marks Encrypted."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Final, NoReturn, Protocol, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from runtime.core.errors import EncryptedField, IntegrityError, KeyForgotten
from runtime.dynamodb.packing import (
    CorruptDocument,
    deflated_if_shorter,
    inflated_if_deflated,
    pack,
    unpack,
)
from runtime.dynamodb.schema import NO_MEMBERS, PACKED, Purpose, Row, TableSchema
from runtime.dynamodb.typed_json import from_typed, to_typed

Item = Mapping[str, Any]
RowT = TypeVar("RowT", bound=BaseModel)
_encoder: Final = json.JSONEncoder(separators=(",", ":"))

_PLAIN_TYPES: Final = frozenset({str, int, bool, bytes})
"""Types of values that are stored as they are; those derived from them, such as enums, are not."""
OWNER = "merchant_id"
"""The attribute with a row's owner."""


@dataclass(frozen=True, slots=True)
class FieldLocation:
    """The location of an encrypted value; a ciphertext can only be decrypted at its location."""

    purpose: Purpose
    subject: str
    table: str
    key: tuple[str, ...]
    attribute: str


class FieldCipher(Protocol):
    """Encrypts single attributes; the implementation holds the keys."""

    def prepare(self, purpose: Purpose, subject: str) -> None:
        """Load the subject's key. Raises KeysUnavailable."""
        ...

    def encrypt(self, place: FieldLocation, plaintext: bytes) -> bytes:
        """Encrypt for `place`."""
        ...

    def decrypt(self, place: FieldLocation, ciphertext: bytes) -> bytes:
        """Decrypt a ciphertext made by `encrypt` for the same place. Raises IntegrityError."""
        ...

    def is_current(self, place: FieldLocation, ciphertext: bytes) -> bool:
        """Whether `ciphertext` was made with the current key; does not decrypt."""
        ...


class NoCipher:
    """For functions without keys: accessing an encrypted field is a bug and fails."""

    def prepare(self, purpose: Purpose, subject: str) -> NoReturn:
        """Always fails."""
        raise AssertionError(f"this function has no {purpose} key of {subject}")

    def encrypt(self, place: FieldLocation, plaintext: bytes) -> NoReturn:
        """Always fails."""
        raise AssertionError(f"{place.table}.{place.attribute} is encrypted; the key is missing")

    def decrypt(self, place: FieldLocation, ciphertext: bytes) -> NoReturn:
        """Always fails."""
        raise AssertionError(f"{place.table}.{place.attribute} is encrypted; the key is missing")

    def is_current(self, place: FieldLocation, ciphertext: bytes) -> NoReturn:
        """Always fails."""
        raise AssertionError(f"{place.table}.{place.attribute} is encrypted; the key is missing")


def serialize(value: Any) -> Any:
    """One attribute value in DynamoDB's typed JSON."""
    # Most values are strings and integers: not calling two functions for each takes half off.
    kind = type(value)
    if kind is str:
        return {"S": value}
    if kind is int:
        return {"N": str(value)}
    return to_typed(_plain(value))


def deserialize_key(key: Item | None) -> dict[str, Any] | None:
    """A key in DynamoDB's typed JSON, such as LastEvaluatedKey, as plain values."""
    return None if not key else {name: from_typed(value) for name, value in key.items()}


class Codec:
    """Converts rows of any table."""

    def __init__(self, cipher: FieldCipher) -> None:
        self._cipher = cipher

    def prepare(self, row: Row) -> None:
        """Load every key needed to store `row`. Raises KeysUnavailable."""
        for mark in TableSchema.of(type(row)).encrypted.values():
            self._cipher.prepare(mark.purpose, str(getattr(row, mark.subject)))

    def to_item(self, row: Row) -> dict[str, Any]:
        """The item for `row`, without None and empty sets.

        Fields marked UnlessDefault, Encrypted or Packed are omitted while they have their default.
        """
        schema = TableSchema.of(type(row))
        values = row.__dict__
        omitted = _defaults(type(row))
        item = {
            name: serialize(value)
            for name in _always_stored(type(row))
            if (value := values[name]) is not None and value != NO_MEMBERS
        }
        packed: dict[str, Any] = {}
        for name, default in omitted.items():
            value = values[name]
            if value is None or value in (NO_MEMBERS, default):
                continue
            if name in schema.packed:
                packed[name] = _plain(value)
            elif name in schema.encrypted:
                item[name] = {"B": self._seal(schema, name, row)}
            else:
                item[name] = serialize(value)
        if packed:
            item[PACKED] = {"B": pack(packed, schema.packing_dictionary)}
        return item

    def seal(self, schema: TableSchema, row: BaseModel, names: Iterable[str]) -> dict[str, bytes]:
        """The encrypted attributes `names` of `row`, encrypted for its place in the table."""
        return {name: self._seal(schema, name, row) for name in names}

    def stale(self, schema: TableSchema, item: Item) -> tuple[str, ...]:
        """The encrypted attributes of an item that were not encrypted with the current key."""
        values = {name: from_typed(value) for name, value in item.items()}
        return tuple(
            name
            for name in schema.encrypted
            if name in values
            and not self._cipher.is_current(_place(schema, name, values), bytes(values[name]))
        )

    def _seal(self, schema: TableSchema, name: str, row: BaseModel) -> bytes:
        document = _encoder.encode(_plain(getattr(row, name))).encode()
        packed = deflated_if_shorter(document, schema.encrypted[name].words)
        return self._cipher.encrypt(_place(schema, name, row.__dict__), packed)

    def to_row(self, schema: TableSchema, item: Item, view: type[RowT]) -> RowT:
        """`item` as `view`: the table's model, or a model with fewer of its fields.

        Raises IntegrityError or KeyForgotten, with the location, if a field cannot be decrypted,
        ValidationError if the item is not a row. Packed fields may also be stored unpacked.
        """
        read = _attributes_read(schema.model, view)
        values = {
            # Most attributes are strings: not calling a function for each takes a tenth off.
            name: value["S"] if "S" in value else from_typed(value)
            for name, value in item.items()
            if name in read
        }
        if PACKED in item and schema.packed & view.model_fields.keys():
            values |= _unpacked(schema, item[PACKED], view)
        for name in schema.encrypted:
            if name in view.model_fields and name in values:
                try:
                    document = self._open(schema, name, values)
                except (IntegrityError, KeyForgotten) as error:
                    error.place = _sealed_place(schema, name, item, values)
                    raise
                values[name] = _reader(view, name).validate_json(document)
        return view.model_validate(values)

    def _open(self, schema: TableSchema, name: str, values: Mapping[str, Any]) -> bytes:
        if not isinstance(values[name], bytes):
            raise IntegrityError(f"{schema.name}.{name} is stored in plain text")
        document = self._cipher.decrypt(_place(schema, name, values), values[name])
        try:
            return inflated_if_deflated(document, schema.encrypted[name].words)
        except CorruptDocument as error:
            raise IntegrityError(f"an encrypted document is corrupt: {error}") from error


def _place(schema: TableSchema, attribute: str, values: Mapping[str, Any]) -> FieldLocation:
    mark = schema.encrypted[attribute]
    return FieldLocation(
        purpose=mark.purpose,
        subject=str(values[mark.subject]),
        table=schema.name,
        key=tuple(str(values[name]) for name in schema.key_names),
        attribute=attribute,
    )


def _sealed_place(
    schema: TableSchema, attribute: str, item: Item, values: Mapping[str, Any]
) -> EncryptedField:
    key = "/".join(str(values[name]) for name in schema.key_names)
    return EncryptedField(schema.name, key, attribute, item.get(OWNER, {}).get("S"))


@cache
def _attributes_read(model: type[BaseModel], view: type[BaseModel]) -> frozenset[str]:
    """The fields of `view`, and the table's key, to which a ciphertext is bound."""
    return frozenset({*view.model_fields, *TableSchema.of(model).key_names})


def _unpacked(
    schema: TableSchema, stored: Mapping[str, Any], view: type[BaseModel]
) -> dict[str, Any]:
    """The packed values of an item; in a record of a change stream bytes are base64."""
    packed = stored.get("B", b"")
    try:
        packed = base64.b64decode(packed) if isinstance(packed, str) else packed
        values = unpack(packed, schema.packing_dictionary)
    except ValueError as error:
        corrupt = PydanticCustomError("corrupt", "{reason}", {"reason": str(error)})
        detail = InitErrorDetails(type=corrupt, loc=(PACKED,), input=None)
        raise ValidationError.from_exception_data(view.__name__, [detail]) from error
    return {name: value for name, value in values.items() if name in schema.packed}


@cache
def _always_stored(model: type[Row]) -> tuple[str, ...]:
    """The fields of rows that are stored as they are, also with their default."""
    return tuple(name for name in model.model_fields if name not in _defaults(model))


@cache
def _defaults(model: type[Row]) -> Mapping[str, Any]:
    """Defaults of the fields that are omitted while they have them; to compare with only.

    Cached, because pydantic inspects a default's factory each time: 24 µs for an audit row.
    """
    schema = TableSchema.of(model)
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
        if name in schema.encrypted or name in schema.packed or name in schema.unless_default
    }


@cache
def _reader(view: type[BaseModel], name: str) -> TypeAdapter[Any]:
    """Parses an encrypted field's document; cached, as building it is slower than using it."""
    annotation: Any = view.model_fields[name].annotation
    return TypeAdapter(annotation)


def _plain(value: Any) -> Any:
    if type(value) in _PLAIN_TYPES:
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, BaseModel):
        return {n: _plain(v) for n, v in value.__dict__.items() if v is not None}
    if isinstance(value, dict):
        return {str(_plain(n)): _plain(v) for n, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(member) for member in value]
    if isinstance(value, (set, frozenset)):
        # A set with a stable order: the order of a Python set differs between processes.
        return dict.fromkeys(sorted(_plain(member) for member in value)).keys()
    return value
