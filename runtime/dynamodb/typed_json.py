"""Plain values as DynamoDB's typed JSON, and back (API reference, AttributeValue).

boto3's serializers do the same for more types, ten times slower. A test compares both.
"""

from __future__ import annotations

from collections.abc import Callable, KeysView, Mapping
from decimal import Decimal
from typing import Any, Final

_ORDERED_SET: Final[type] = type({}.keys())


def to_typed(value: Any) -> dict[str, Any]:
    """One attribute value. The keys of a dict stand for a set, in their order.

    Raises TypeError for a type that no row has, floats and decimals among them.
    """
    kind = type(value)
    if kind is str:  # the most frequent ones first
        return {"S": value}
    if kind is int:
        return {"N": str(value)}
    if kind is dict:
        return {"M": {name: to_typed(member) for name, member in value.items()}}
    if kind is list:
        return {"L": [to_typed(member) for member in value]}
    if kind is bool:
        return {"BOOL": value}
    if kind is bytes:
        return {"B": value}
    if value is None:
        return {"NULL": True}
    if kind is _ORDERED_SET:
        return _typed_set(value)
    raise TypeError(f"{kind.__name__} cannot be stored in DynamoDB")


def _typed_set(members: KeysView[Any]) -> dict[str, Any]:
    kinds = {type(member) for member in members}
    if kinds == {str}:
        return {"SS": list(members)}
    if kinds == {int}:
        return {"NS": [str(member) for member in members]}
    if kinds == {bytes}:
        return {"BS": list(members)}
    raise TypeError("a set is stored with members of one type, and not without any")


def from_typed(value: Mapping[str, Any]) -> Any:
    """The plain value of an attribute. Numbers that are not whole are decimals."""
    ((kind, content),) = value.items()
    if kind == "S":
        return content
    return _PLAIN[kind](content)


def _number(text: str) -> int | Decimal:
    try:
        return int(text)
    except ValueError:
        return Decimal(text)


_PLAIN: Final[Mapping[str, Callable[[Any], Any]]] = {
    "N": _number,
    "M": lambda members: {name: from_typed(member) for name, member in members.items()},
    "L": lambda members: [from_typed(member) for member in members],
    "BOOL": bool,
    "B": bytes,
    "NULL": lambda _: None,
    "SS": set,
    "NS": lambda members: {_number(member) for member in members},
    "BS": lambda members: {bytes(member) for member in members},
}
