"""Items as the change streams tell them (DynamoDB JSON): their hash, and what of them may be shown.

A typed value is a map with one name, its type (DynamoDB API reference, AttributeValue). Nothing
is deciphered here: enciphered attributes are bytes, and only that they changed is told.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import Any, Final

from runtime.core.canonical_json import digest

CHANGED: Final = "changed"
"""What stands in the place of a value that must not be shown."""
STAMP: Final = frozenset(
    {"version", "updated_at", "changed_by", "request_id", "ip_address", "user_agent", "cause"}
)
"""Who changed the row, and when: an audit row has attributes of its own for these."""

Image = Mapping[str, Any]
_SETS: Final = frozenset({"SS", "NS", "BS"})


def image_hash(image: Image | None) -> str:
    """SHA-256 of a whole item, hex; empty for none. Bytes may be given as such or as base64."""
    return "" if image is None else digest(_comparable({"M": image})["M"])


def text_of(image: Image, name: str) -> str:
    """A text attribute; empty where the item lacks it, or has another type there."""
    value = image.get(name, {}).get("S", "")
    return value if isinstance(value, str) else ""


def number_of(image: Image, name: str) -> int | None:
    """A whole number; None where the item lacks it, or has something else there."""
    try:
        return int(image[name]["N"])
    except (KeyError, TypeError, ValueError):
        return None


def shown(image: Image, hidden: Collection[str]) -> dict[str, Any]:
    """The attributes as JSON values, but the stamp; those `hidden`, and all bytes, as CHANGED."""
    return {
        name: CHANGED if name in hidden else plain(value)
        for name, value in image.items()
        if name not in STAMP
    }


def plain(value: Mapping[str, Any]) -> Any:
    """A typed value as JSON says it. Sets are sorted lists, bytes are CHANGED."""
    ((kind, content),) = value.items()
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
    """Names of the attributes that differ, but the stamp, sorted."""
    return tuple(sorted(name for name in {*old, *new} - STAMP if _differ(old, new, name)))


def _differ(old: Image, new: Image, name: str) -> bool:
    if name not in old or name not in new:
        return True
    return bool(_comparable(old[name]) != _comparable(new[name]))


def _number(text: Any) -> int | str:
    try:
        return int(text)
    except ValueError:
        return str(text)


def _comparable(value: Mapping[str, Any]) -> dict[str, Any]:
    """A typed value, the same for what is the same to DynamoDB.

    Sets have no order, bytes have two spellings, and names in a map are no types.
    """
    ((kind, content),) = value.items()
    if kind == "M":
        return {kind: {name: _comparable(member) for name, member in content.items()}}
    if kind == "L":
        return {kind: [_comparable(member) for member in content]}
    if kind in _SETS:
        return {kind: sorted(map(_text, content))}
    return {kind: _text(content)}


def _text(scalar: Any) -> Any:
    return base64.b64encode(scalar).decode() if isinstance(scalar, (bytes, bytearray)) else scalar
