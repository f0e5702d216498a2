"""Compressed documents within an item: zlib, optionally with a preset dictionary.

DynamoDB charges a write per started KB, so a row that is compressed below 1 KB costs half.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

MAX_DOCUMENT_BYTES: Final = 1024 * 1024
"""Larger than any document that fits into a DynamoDB item (400 KB), even compressed."""
MAX_PACKED_BYTES: Final = 8 * 1024 * 1024
"""Larger than the JSON of two items' values, even if each character is escaped."""
_ZLIB_FIRST_BYTE: Final = b"x"


class CorruptDocument(ValueError):
    """The bytes are not a compressed document."""


def deflated_if_shorter(document: bytes, dictionary: bytes) -> bytes:
    """The document, compressed if that is shorter: a stored response keeps its row below 1 KB.

    A zlib stream begins with 0x78 (RFC 1950), an `x`; a JSON document never does.
    """
    deflated = _deflated(document, dictionary)
    return deflated if len(deflated) < len(document) else document


def inflated_if_deflated(document: bytes, dictionary: bytes) -> bytes:
    """The document that `deflated_if_shorter` was given. Raises CorruptDocument.

    The dictionary is used only if the document was compressed with it.
    """
    if document[:1] != _ZLIB_FIRST_BYTE:
        return document
    return _inflated(document, MAX_DOCUMENT_BYTES, dictionary)


def pack(values: Mapping[str, Any], dictionary: bytes) -> bytes:
    """JSON values by name as a zlib stream, which names its dictionary by checksum (RFC 1950)."""
    document = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    return _deflated(document, dictionary)


def unpack(packed: bytes, dictionary: bytes) -> dict[str, Any]:
    """The values of `pack`. Raises CorruptDocument."""
    try:
        values = json.loads(_inflated(packed, MAX_PACKED_BYTES, dictionary))
    except ValueError as error:
        raise CorruptDocument(str(error)) from error
    if not isinstance(values, dict):
        raise CorruptDocument("it does not contain values by name")
    return values


def _deflated(document: bytes, dictionary: bytes) -> bytes:
    deflater = zlib.compressobj(zdict=dictionary)
    return deflater.compress(document) + deflater.flush()


def _inflated(document: bytes, limit: int, dictionary: bytes) -> bytes:
    inflater = zlib.decompressobj(zdict=dictionary)
    try:
        inflated = inflater.decompress(document, limit)
    except zlib.error as error:
        raise CorruptDocument(str(error)) from error
    if not inflater.eof:
        raise CorruptDocument(f"it has more than {limit} bytes, or ends early")
    return inflated
