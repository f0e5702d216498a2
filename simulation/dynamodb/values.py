"""Attribute values in DynamoDB's typed JSON: what is accepted, in which one spelling it is kept.

A kept value is never changed, only replaced: items, their earlier states and stream records share
the same values, and answers share them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from simulation.dynamodb.errors import invalid
from simulation.dynamodb.numbers import canonical_number, number

Value = Mapping[str, Any]
"""One attribute value: its type, and its content."""
Item = dict[str, Value]
Plain = Any
"""A scalar that can be compared: text, a number, bytes."""

SCALARS: Final = ("S", "N", "B")
SETS: Final = ("SS", "NS", "BS")
MAX_DEPTH: Final = 31
"""Lists and maps inside one another, below an attribute (Developer Guide, "Constraints": 32)."""

_SET_NAMES: Final = {"SS": "string", "NS": "number", "BS": "binary"}
_SUPPORTED = "must contain exactly one of the supported datatypes"


def canonical_item(item: Mapping[str, Value]) -> Item:
    """The attributes as DynamoDB keeps them. Raises ValidationException for what it refuses."""
    kept: Item = {}
    for name, value in item.items():
        if len(value) == 1 and "S" in value:
            kept[name] = value
        else:
            kept[name] = canonical(value)
        if not name:
            raise invalid("Empty attribute name")
    return kept


def canonical(value: Value, depth: int = 0) -> Value:
    """One value as DynamoDB keeps it. Raises ValidationException for what it refuses."""
    if len(value) != 1:
        state = "has more than one datatypes set" if value else "is empty"
        raise invalid(f"Supplied AttributeValue {state}, {_SUPPORTED}")
    ((kind, content),) = value.items()
    match kind:
        case "N":
            text = canonical_number(content)
            return value if text == content else {"N": text}
        case "S" | "BOOL":
            return value
        case "B":
            return value if type(content) is bytes else {"B": bytes(content)}
        case "NULL":
            if content is not True:
                raise invalid(
                    "One or more parameter values were invalid: Null attribute value types must "
                    "have the value of true"
                )
            return value
        case "L" | "M":
            return _document(kind, content, depth + 1)
        case "SS" | "NS" | "BS":
            return _set(kind, list(content))
    raise invalid(f"Supplied AttributeValue is empty, {_SUPPORTED}")


def _document(kind: str, content: Any, depth: int) -> Value:
    if depth > MAX_DEPTH:
        raise invalid(
            "Nesting Levels have exceeded supported limits: Attributes in the item have nested "
            "levels beyond supported limit"
        )
    if kind == "L":
        return {"L": [canonical(member, depth) for member in content]}
    return {"M": {name: canonical(member, depth) for name, member in content.items()}}


def _set(kind: str, members: list[Any]) -> Value:
    if not members:
        raise invalid(
            f"One or more parameter values were invalid: An {_SET_NAMES[kind]} set  may not be "
            "empty"
        )
    if kind == "NS":
        members = [canonical_number(each) for each in members]
    elif kind == "BS":
        members = [bytes(each) for each in members]
    if len(set(members)) != len(members):
        raise invalid(
            "One or more parameter values were invalid: Input collection "
            f"[{', '.join(map(str, members))}] contains duplicates."
        )
    return set_of(kind, members)


def set_of(kind: str, members: Any) -> Value:
    """A set whose members have their one spelling already: kept in order, so that equal is same."""
    return {kind: sorted(members, key=number) if kind == "NS" else sorted(members)}


def kind_of(value: Value) -> str:
    """The type of a value, such as S."""
    (kind,) = value
    return kind


def plain(value: Value) -> Plain:
    """What a scalar says, to be compared with others of its type."""
    ((kind, content),) = value.items()
    return number(content) if kind == "N" else content


def ordered(value: Value) -> tuple[str, Plain]:
    """Type and content of a scalar; the type is empty for what has no order."""
    ((kind, content),) = value.items()
    if kind == "N":
        return kind, number(content)
    if kind in SCALARS:
        return kind, content
    return "", None
