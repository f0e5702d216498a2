"""Data keys: generated and wrapped by KMS, one per purpose and subject, cached for minutes.

A warm function does not call KMS. Deleting a subject's wrapped key makes its fields unreadable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from runtime.core.cache import Cache
from runtime.core.errors import IntegrityError, KeyForgotten, KeysUnavailable
from runtime.core.fields import Timestamp
from runtime.core.outside import Outside
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.encryption.kms_port import DataKeyKms
from runtime.encryption.models import DataKey, key_owner

KeyPurpose = Literal["pii", "pci", "index"]

FIRST_KEY_ID: Final = "k000000001"
MAX_CACHED_KEYS = 1_000
_WRONG_KEY: Final = frozenset({"IncorrectKeyException", "InvalidCiphertextException"})
MAX_CACHE_SECONDS = 300.0
ROTATE_AFTER: Final = timedelta(days=365)
"""A customer's or merchant's data key is replaced when used after this time: PCI DSS 4.0
requirement 3.7.4 demands a cryptoperiod for each key, and KMS rotates its own yearly."""
_CURRENT: Final = ""
"""Cache entry of the current encryption key."""


class KeyStore(Protocol):
    """Storage of wrapped keys."""

    def get(self, subject: str, key_id: str) -> DataKey | None:
        """A subject's wrapped key."""
        ...

    def all_of(self, subject: str) -> list[DataKey]:
        """All of a subject's keys, newest first."""
        ...

    def create(self, key: DataKey, *, token: str) -> DataKey:
        """Store `key`. Returns the existing key if another caller stored one first."""
        ...


@dataclass(frozen=True, slots=True)
class OpenKey:
    """A decrypted data key."""

    key_id: str
    plaintext: bytes = field(repr=False)


class KeyRing:
    """Plaintext data keys by purpose and subject, wrapped under the KMS keys in `key_arns`."""

    def __init__(
        self,
        kms: DataKeyKms,
        store: KeyStore,
        key_arns: Mapping[KeyPurpose, str],
        outside: Outside,
    ) -> None:
        self._kms = kms
        self._store = store
        self._key_arns = key_arns
        self._outside = outside
        self._cache: Cache[tuple[KeyPurpose, str, str], OpenKey] = Cache(
            MAX_CACHED_KEYS, outside, seconds=MAX_CACHE_SECONDS
        )
        self._found_by: Cache[str, list[OpenKey]] = Cache(1, outside, seconds=MAX_CACHE_SECONDS)

    def __repr__(self) -> str:
        return f"KeyRing({len(self._cache)} cached)"

    def key_for_writing(self, purpose: KeyPurpose, subject: str) -> tuple[str, bytes]:
        """Id and plaintext (32 bytes) of the current encryption key.

        Creates the first key of a subject, and the successor of a personal key that is too old.
        """
        place = (purpose, subject, _CURRENT)
        cached = self._cache.get(place)
        if cached is None:
            cached = self._cache.keep(place, self._current(purpose, subject))
        return cached.key_id, cached.plaintext

    def key_for_reading(self, purpose: KeyPurpose, subject: str, key_id: str) -> bytes:
        """The plaintext of a key.

        Raises KeyForgotten if the key was deleted, and its fields are therefore unreadable.
        """
        cached = self._cache.get((purpose, subject, key_id))
        if cached is None:
            row = self._store.get(key_owner(purpose, subject), key_id)
            if row is None or row.wrapped is None:
                raise _forgotten(
                    f"the {purpose} data key {key_id} of {subject} does not exist", subject
                )
            cached = self._unwrap(purpose, subject, row)
        return cached.plaintext

    def keys_to_find_by(self, subject: str) -> list[OpenKey]:
        """Active index keys under which a value may be stored: newest first, at least one."""
        keys = self._found_by.get(subject)
        if keys is None:
            self.key_for_writing("index", subject)  # creates the first key
            rows = self._store.all_of(key_owner("index", subject))
            keys = [self._opened("index", subject, row) for row in rows if row.retired_at is None]
            self._found_by.keep(subject, keys)
        return keys

    def succeed(
        self, purpose: KeyPurpose, subject: str, *, active_from: Timestamp | None
    ) -> DataKey:
        """Create the successor of a subject's newest key; writers use it from `active_from` on."""
        rows = self._store.all_of(key_owner(purpose, subject))
        return self._make(purpose, subject, _next_id(rows), active_from)[0]

    def forget(self, subject: str) -> None:
        """Remove a subject's keys from memory. Other functions do so within MAX_CACHE_SECONDS."""
        self._cache.forget(lambda place: place[1] == subject)

    def current_id(self, purpose: KeyPurpose, subject: str) -> str | None:
        """Id of the current encryption key; None if one must be created. Does not call KMS."""
        cached = self._cache.get((purpose, subject, _CURRENT))
        if cached is not None:
            return cached.key_id
        current = self._youngest(purpose, self._store.all_of(key_owner(purpose, subject)))
        return None if current is None else current.key_id

    def _current(self, purpose: KeyPurpose, subject: str) -> OpenKey:
        rows = self._store.all_of(key_owner(purpose, subject))
        current = self._youngest(purpose, rows)
        if current is None:
            return self._make(purpose, subject, _next_id(rows), None)[1]
        return self._opened(purpose, subject, current)

    def _youngest(self, purpose: KeyPurpose, rows: list[DataKey]) -> DataKey | None:
        """The newest active key; None if there is none or it must be replaced."""
        now = self._outside.now()
        active = [
            row for row in rows if row.wrapped and (row.active_from or "") <= to_timestamp(now)
        ]
        # Index keys are only replaced by `succeed`: stored hashes must stay findable.
        too_old = purpose != "index" and active and _age(active[0], now) >= ROTATE_AFTER
        return None if not active or too_old else active[0]

    def _opened(self, purpose: KeyPurpose, subject: str, row: DataKey) -> OpenKey:
        cached = self._cache.get((purpose, subject, row.key_id))
        return cached or self._unwrap(purpose, subject, row)

    def _make(
        self, purpose: KeyPurpose, subject: str, key_id: str, active_from: Timestamp | None
    ) -> tuple[DataKey, OpenKey]:
        with _kms_errors(purpose, subject):
            made = self._kms.generate_data_key(
                KeyId=self._arn(purpose),
                KeySpec="AES_256",
                EncryptionContext=_context(purpose, subject),
            )
        now = self._outside.now()
        row = DataKey(
            subject=key_owner(purpose, subject),
            key_id=key_id,
            wrapped=made["CiphertextBlob"].hex(),
            created_at=to_timestamp(now),
            active_from=active_from,
        )
        stored = self._store.create(row, token=self._outside.new_id("key", now))
        if stored.wrapped != row.wrapped:
            return stored, self._unwrap(purpose, subject, stored)
        place = (purpose, subject, key_id)
        return row, self._cache.keep(place, OpenKey(key_id, made["Plaintext"]))

    def _unwrap(self, purpose: KeyPurpose, subject: str, row: DataKey) -> OpenKey:
        if row.wrapped is None:
            raise _forgotten(
                f"the {purpose} data key {row.key_id} of {subject} was erased", subject
            )
        with _kms_errors(purpose, subject):
            opened = self._kms.decrypt(
                KeyId=self._arn(purpose),
                CiphertextBlob=bytes.fromhex(row.wrapped),
                EncryptionContext=_context(purpose, subject),
            )
        key = OpenKey(row.key_id, opened["Plaintext"])
        return self._cache.keep((purpose, subject, row.key_id), key)

    def _arn(self, purpose: KeyPurpose) -> str:
        if purpose not in self._key_arns:
            raise IntegrityError(f"this function has no {purpose} key")
        return self._key_arns[purpose]


def _forgotten(detail: str, subject: str) -> KeyForgotten:
    error = KeyForgotten(detail)
    error.subject = subject
    return error


def _age(row: DataKey, now: datetime) -> timedelta:
    return now - to_datetime(row.created_at)


def _next_id(rows: list[DataKey]) -> str:
    """Key ids sort as text in order of creation."""
    return f"k{int(rows[0].key_id[1:]) + 1:09d}" if rows else FIRST_KEY_ID


@contextmanager
def _kms_errors(purpose: KeyPurpose, subject: str) -> Iterator[None]:
    """A key mismatch is an internal error; every other KMS failure is treated as temporary."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _WRONG_KEY:
            raise IntegrityError(f"KMS rejects the {purpose} key of {subject}: {code}") from error
        raise KeysUnavailable(
            f"The encryption keys are not available ({code}); try again"
        ) from error
    except BotoCoreError as error:
        lost = type(error).__name__
        raise KeysUnavailable(
            f"The encryption keys are not available ({lost}); try again"
        ) from error


def _context(purpose: KeyPurpose, subject: str) -> dict[str, str]:
    return {"purpose": purpose, "subject": subject}
