"""Canonical JSON: one text per value, so that anyone can recompute a hash over it.

The JSON Canonicalization Scheme (RFC 8785) for the types in stored rows: strings, integers,
booleans, null, arrays, and objects sorted by their names' UTF-16 code units. Integers are written
in full, where the RFC would round beyond 2^53.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

_LEAVES: Final = frozenset({str, int, bool, type(None)})
_format: Final = partial(
    json.JSONEncoder, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
_in_given_order: Final = _format().encode
_by_code_points: Final = _format(sort_keys=True).encode


def canonical_json(value: Any) -> bytes:
    """UTF-8 text of a JSON value. Raises TypeError for a float or a type that JSON lacks."""
    if _is_plain(value):
        return _by_code_points(value).encode()
    return _in_given_order(_ordered(value)).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _is_plain(value: Any) -> bool:
    """Whether all names are ASCII, where code points sort like UTF-16, and no value is a float."""
    if isinstance(value, dict):
        if not all(map(str.isascii, value)):
            return False
        members: Iterable[Any] = value.values()
    elif isinstance(value, (list, tuple)):
        members = value
    else:
        return not isinstance(value, float)
    return all(map(_is_plain, [each for each in members if type(each) not in _LEAVES]))


def _ordered(value: Any) -> Any:
    if isinstance(value, float):
        raise TypeError(f"{value!r}: floats have no canonical form; use integers or strings")
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value, key=_utf_16)}
    if isinstance(value, (list, tuple)):
        return [_ordered(member) for member in value]
    return value


def _utf_16(name: str) -> bytes:
    return name.encode("utf-16-be")
