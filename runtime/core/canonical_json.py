"""Canonical JSON: one text per value, so that anyone can recompute a hash over it.

The JSON Canonicalization Scheme (RFC 8785) for the types in stored rows: strings, integers,
booleans, null, arrays, and objects sorted by their names' UTF-16 code units. Integers are written
in full, where the RFC would round beyond 2^53.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """UTF-8 text of a JSON value. Raises TypeError for a float or a type that JSON lacks."""
    return json.dumps(
        _ordered(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _ordered(value: Any) -> Any:
    if isinstance(value, float):
        raise TypeError(f"{value!r}: floats have no canonical form; use integers or strings")
    if isinstance(value, dict):
        # For ASCII, the order of code points equals that of UTF-16 code units.
        is_ascii = all(map(str.isascii, value))
        names = sorted(value, key=None if is_ascii else _utf_16)
        return {name: _ordered(value[name]) for name in names}
    if isinstance(value, (list, tuple)):
        return [_ordered(member) for member in value]
    return value


def _utf_16(name: str) -> bytes:
    return name.encode("utf-16-be")
