"""Stream images (DynamoDB JSON): their hash, and their attributes for display.

A typed value is an object whose only name is its type (DynamoDB API reference, AttributeValue).
Nothing is decrypted: encrypted attributes are bytes, shown only as changed.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import Any, Final

from runtime.core.canonical_json import digest

CHANGED: Final = "changed"
"""Replaces values that must not be shown."""
STAMP: Final = frozenset(
    {"version", "updated_at", "changed_by", "request_id", "ip_address", "user_agent", "cause"}
)
"""The stamp of a change; an audit row has its own attributes for these."""

Image = Mapping[str, Any]
_SETS: Final = frozenset({"SS", "NS", "BS"})


def image_hash(image: Image | None) -> str:
    """SHA-256 of a whole item, hex; empty for None. Bytes may be raw or base64."""
    return "" if image is None else digest(_comparable({"M": image})["M"])


def text_of(image: Image, name: str) -> str:
    """A string attribute; empty if it is missing or has another type."""
    value = image.get(name, {}).get("S", "")
    return value if isinstance(value, str) else ""


def number_of(image: Image, name: str) -> int | None:
    """An integer attribute; None if it is missing or not an integer."""
    try:
        return int(image[name]["N"])
    except (KeyError, TypeError, ValueError):
        return None


def shown(image: Image, hidden: Collection[str]) -> dict[str, Any]:
    """The attributes except the stamp as JSON values; `hidden` ones and bytes are CHANGED."""
    return {
        name: CHANGED if name in hidden else plain(value)
        for name, value in image.items()
        if name not in STAMP
    }


def plain(value: Mapping[str, Any]) -> Any:
    """A typed value as JSON. Sets become sorted lists, bytes become CHANGED."""
    ((kind, content),) = value.items()
    if kind == "S":
        return content
    if kind == "N":
        return _number(content)
    if kind == "M":
        return {name: plain(member) for name, member in content.items()}
    if kind == "L":
        return [plain(member) for member in content]
    if kind == "NULL":
        return None
    if kind in ("B", "BS"):
        return CHANGED
    if kind in _SETS:
        values = (_number(member) if kind == "NS" else member for member in content)
        return sorted(values, key=lambda value: (isinstance(value, str), value))
    return content


def changed_attributes(old: Image, new: Image) -> tuple[str, ...]:
    """Names of the attributes that differ, sorted, without the stamp."""
    return tuple(sorted(name for name in {*old, *new} - STAMP if _differ(old, new, name)))


def _differ(old: Image, new: Image, name: str) -> bool:
    if name not in old or name not in new:
        return True
    return old[name] != new[name] and bool(_comparable(old[name]) != _comparable(new[name]))


def _number(text: Any) -> int | str:
    try:
        return int(text)
    except ValueError:
        return str(text)


def _comparable(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A typed value in a canonical form: equal values compare equal.

    Sets are sorted and bytes encoded as base64; names in a map are not treated as types.
    """
    ((kind, content),) = value.items()
    if type(content) is str:
        return value
    if kind == "M":
        return {kind: {name: _comparable(member) for name, member in content.items()}}
    if kind == "L":
        return {kind: [_comparable(member) for member in content]}
    if kind in _SETS:
        return {kind: sorted(map(_text, content))}
    return {kind: _text(content)}


def _text(scalar: Any) -> Any:
    return base64.b64encode(scalar).decode() if isinstance(scalar, (bytes, bytearray)) else scalar
