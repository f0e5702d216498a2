"""Cursors: positions in lists, sealed so that they are valid only for their list and filters."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from runtime.core.errors import BadCursor

_MAC_BYTES = 16
MAX_CURSOR_CHARACTERS = 1_024
"""More than the longest cursor of any list: that of a request with a long Idempotency-Key."""


def seal(key: bytes, binding: str, position: str) -> str:
    """An opaque cursor for `position`, valid only with `binding` (route, merchant, filters)."""
    sealed = _mac(key, binding, position) + position.encode()
    return _text(sealed)


def unseal(key: bytes, binding: str, cursor: str) -> str:
    """The position in a cursor of ours. Raises BadCursor for any other text."""
    refusal = BadCursor(
        "The cursor belongs to another list or other filters; start again without a cursor",
        param="cursor",
    )
    if len(cursor) > MAX_CURSOR_CHARACTERS or not cursor.isascii():
        raise refusal
    try:
        sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position = sealed[_MAC_BYTES:].decode()
    except (binascii.Error, UnicodeDecodeError):
        raise refusal from None
    if _text(sealed) != cursor:
        # Base64 has several encodings of one value, and only one of them is accepted.
        raise refusal
    if not hmac.compare_digest(sealed[:_MAC_BYTES], _mac(key, binding, position)):
        raise refusal
    return position


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _mac(key: bytes, binding: str, position: str) -> bytes:
    message = f"{len(binding)}:{binding}{position}".encode()
    return hmac.new(key, message, hashlib.sha256).digest()[:_MAC_BYTES]
