"""The text format of API keys, and the keyed hash that is stored instead of the key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final

MARK: Final = "sk_"
"""Every API key begins with it; a JWT never does."""
PREFIX_CHARACTERS: Final = 12
PREFIX_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_BYTES: Final = 32
PREFIX_RANDOM_BYTES: Final = 16
"""Random bytes per prefix: far more than it encodes, so that the modulo bias is negligible."""
HASH_SUBJECT: Final = "api-keys"
"""Owner of the data key (purpose index) under which API keys are hashed."""

_FORM: Final = re.compile(rf"{MARK}([0-9A-Za-z]{{{PREFIX_CHARACTERS}}})_[0-9A-Za-z_-]{{43}}")


def prefix_from(random: bytes) -> str:
    """A prefix encoded from PREFIX_RANDOM_BYTES random bytes."""
    assert len(random) == PREFIX_RANDOM_BYTES, f"expected {PREFIX_RANDOM_BYTES} random bytes"
    number, prefix = int.from_bytes(random, "big"), ""
    for _ in range(PREFIX_CHARACTERS):
        number, digit = divmod(number, len(PREFIX_ALPHABET))
        prefix += PREFIX_ALPHABET[digit]
    return prefix


def api_key_text(prefix: str, random: bytes) -> str:
    """The complete key, as clients send it: `sk_<prefix>_<43 characters>`."""
    assert len(prefix) == PREFIX_CHARACTERS, f"expected {PREFIX_CHARACTERS} characters"
    assert len(random) == RANDOM_BYTES, f"expected {RANDOM_BYTES} random bytes"
    return f"{MARK}{prefix}_{base64.urlsafe_b64encode(random).rstrip(b'=').decode()}"


def prefix_of(text: str) -> str | None:
    """The prefix by which a key is looked up. None if `text` is not a well-formed key."""
    found = _FORM.fullmatch(text)
    return found.group(1) if found else None


def hash_of(hash_key: bytes, text: str) -> str:
    """HMAC-SHA256 of the complete key, in hex."""
    return hmac.new(hash_key, text.encode(), hashlib.sha256).hexdigest()


def is_hash_of(stored: str, hash_key: bytes, text: str) -> bool:
    """Whether `stored` is the hash of `text`, compared in constant time."""
    return hmac.compare_digest(stored, hash_of(hash_key, text))
