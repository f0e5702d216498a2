"""The text of an API key, and the keyed hash that is stored in its place."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final

MARK: Final = "sk_"
"""Every API key begins so, and no JWT does."""
PREFIX_CHARACTERS: Final = 12
PREFIX_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_BYTES: Final = 32
PREFIX_RANDOM_BYTES: Final = 16
"""Of which a prefix is made: so many more bits than it has that no prefix is likelier."""
HASH_SUBJECT: Final = "api-keys"
"""Owner of the data key (purpose index) under which API keys are hashed."""

_FORM: Final = re.compile(rf"{MARK}([0-9A-Za-z]{{{PREFIX_CHARACTERS}}})_[0-9A-Za-z_-]{{43}}")


def prefix_from(random: bytes) -> str:
    """A prefix made of random bytes."""
    assert len(random) == PREFIX_RANDOM_BYTES, "a prefix is made of another number of bytes"
    left, letters = int.from_bytes(random, "big"), ""
    for _ in range(PREFIX_CHARACTERS):
        left, letter = divmod(left, len(PREFIX_ALPHABET))
        letters += PREFIX_ALPHABET[letter]
    return letters


def api_key_text(prefix: str, random: bytes) -> str:
    """The whole key as its owner sends it: `sk_<prefix>_<43 characters>`."""
    assert len(prefix) == PREFIX_CHARACTERS, "the prefix has another length"
    assert len(random) == RANDOM_BYTES, "the key has another length"
    return f"{MARK}{prefix}_{base64.urlsafe_b64encode(random).rstrip(b'=').decode()}"


def prefix_of(text: str) -> str | None:
    """The prefix by which a key is looked up, or None for what has not the form of a key."""
    found = _FORM.fullmatch(text)
    return found.group(1) if found else None


def hash_of(hash_key: bytes, text: str) -> str:
    """HMAC-SHA256 of the whole key, in hex."""
    return hmac.new(hash_key, text.encode(), hashlib.sha256).hexdigest()


def is_hash_of(stored: str, hash_key: bytes, text: str) -> bool:
    """Whether `stored` is the hash of `text`, in a time that does not depend on either."""
    return hmac.compare_digest(stored, hash_of(hash_key, text))
