"""Items as the change streams tell them (DynamoDB JSON): their hash, and what of them may be shown.

Nothing is deciphered here: enciphered attributes are bytes, and only that they changed is told.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import Any, Final

from runtime.domain.canonical import digest

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
    return "" if image is None else digest(_comparable(dict(image)))


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
        return sorted(_number(member) if kind == "NS" else member for member in content)
    return content


def changed_attributes(old: Image, new: Image) -> tuple[str, ...]:
    """Names of the attributes that differ, but the stamp, sorted."""
    names = {*old, *new} - STAMP
    return tuple(
        sorted(name for name in names if _comparable(old.get(name)) != _comparable(new.get(name)))
    )


def _number(text: Any) -> int | str:
    try:
        return int(text)
    except ValueError:
        return str(text)


def _comparable(value: Any) -> Any:
    """The same for what is the same to DynamoDB: sets have no order, bytes have two spellings."""
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {
            name: sorted(map(_comparable, member)) if name in _SETS else _comparable(member)
            for name, member in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_comparable(member) for member in value]
    return value
