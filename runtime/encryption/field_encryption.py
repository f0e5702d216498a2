"""Field encryption: AES-256-GCM with the subject's data key, bound to table, key and attribute.

Layout: version (1 byte), key id (10), nonce (12), ciphertext, tag (16): 39 bytes more than the
plaintext. A ciphertext moved to another row, attribute or table cannot be decrypted. Nonces are
random: NIST SP 800-38D section 8.3 allows 2^32 of them per key, and a key serves one subject.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runtime.core.errors import IntegrityError
from runtime.dynamodb.codec import FieldLocation
from runtime.dynamodb.schema import Purpose
from runtime.encryption.key_ring import FIRST_KEY_ID, KeyRing

VERSION: Final = b"\x01"
_KEY_ID_BYTES: Final = len(FIRST_KEY_ID)
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEADER_BYTES: Final = len(VERSION) + _KEY_ID_BYTES + _NONCE_BYTES
_BLIND_INDEX_BYTES: Final = 16
BLIND_INDEX_SUBJECT: Final = "blind-index"


class FieldEncryption:
    """Encrypts and decrypts single attributes, and computes blind indexes for lookups.

    `entropy` returns unpredictable bytes, for the nonces.
    """

    def __init__(self, keys: KeyRing, entropy: Callable[[int], bytes]) -> None:
        self._keys = keys
        self._entropy = entropy

    def prepare(self, purpose: Purpose, subject: str) -> None:
        """Load the subject's key, or create it. Raises KeysUnavailable."""
        self._keys.key_for_writing(purpose, subject)

    def encrypt(self, place: FieldLocation, plaintext: bytes) -> bytes:
        """Encrypt for `place`."""
        key_id, key = self._keys.key_for_writing(place.purpose, place.subject)
        nonce = self._entropy(_NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, plaintext, _bound_to(place, key_id))
        return VERSION + key_id.encode() + nonce + sealed

    def decrypt(self, place: FieldLocation, ciphertext: bytes) -> bytes:
        """Decrypt a ciphertext made by `encrypt` for the same place. Raises IntegrityError."""
        where = f"{place.table} {'/'.join(place.key)} {place.attribute}"
        if len(ciphertext) < _HEADER_BYTES + _TAG_BYTES or ciphertext[:1] != VERSION:
            raise IntegrityError(f"{where} has no ciphertext of this version")
        key_id = ciphertext[1 : 1 + _KEY_ID_BYTES].decode("ascii", "replace")
        key = self._keys.key_for_reading(place.purpose, place.subject, key_id)
        nonce = ciphertext[1 + _KEY_ID_BYTES : _HEADER_BYTES]
        try:
            return AESGCM(key).decrypt(nonce, ciphertext[_HEADER_BYTES:], _bound_to(place, key_id))
        except InvalidTag as error:
            raise IntegrityError(f"{where} has a ciphertext that was not made for it") from error

    def blind_index(self, scope: str, text: str) -> str:
        """A keyed hash (128 bits, hex) of the normalised `text` in `scope` (a merchant's id)."""
        _, key = self._keys.key_for_writing("index", BLIND_INDEX_SUBJECT)
        return _blind(key, scope, text)

    def blind_indexes(self, scope: str, text: str) -> list[str]:
        """Every hash under which `text` may be stored, newest first: two during key rotation."""
        keys = self._keys.keys_to_find_by(BLIND_INDEX_SUBJECT)
        return [_blind(key.plaintext, scope, text) for key in keys]

    def is_current(self, place: FieldLocation, ciphertext: bytes) -> bool:
        """Whether the current key made `ciphertext`; does not decrypt or call KMS."""
        key_id = self._keys.current_id(place.purpose, place.subject)
        return key_id is not None and ciphertext[1 : 1 + _KEY_ID_BYTES] == key_id.encode()

    def forget(self, subject: str) -> None:
        """Remove a subject's keys from memory."""
        self._keys.forget(subject)


def normalised(text: str) -> str:
    """The form in which texts are compared: NFKC, trimmed, case-folded."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _blind(key: bytes, scope: str, text: str) -> str:
    message = _length_prefixed(scope, normalised(text))
    return hmac.new(key, message, hashlib.sha256).digest()[:_BLIND_INDEX_BYTES].hex()


def _bound_to(place: FieldLocation, key_id: str) -> bytes:
    parts = (VERSION.hex(), key_id, place.table, *place.key, place.attribute)
    return _length_prefixed(*parts)


def _length_prefixed(*parts: str) -> bytes:
    encoded = (part.encode() for part in parts)
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
