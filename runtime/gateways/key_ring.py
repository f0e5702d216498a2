"""Data keys: made and wrapped by KMS, one per purpose and subject, kept in memory for minutes.

A warm function calls KMS not at all. Deleting a subject's row in the keys table forgets its fields.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from ulid import ULID

from runtime.domain.instants import to_instant
from runtime.errors import IntegrityError, KeysUnavailable
from runtime.models.data_key import DataKey

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

KeyPurpose = Literal["pii", "pci", "index"]

FIRST_KEY_ID: Final = "k000000001"
MAX_CACHED_KEYS = 1_000
_WRONG_KEY: Final = frozenset({"IncorrectKeyException", "InvalidCiphertextException"})
MAX_CACHE_SECONDS = 300.0


class KeyStore(Protocol):
    """Where wrapped keys are kept."""

    def get(self, subject: str, key_id: str) -> DataKey | None:
        """A subject's wrapped key."""
        ...

    def create(self, key: DataKey, *, token: str) -> DataKey:
        """Store `key`, or return the one that somebody else stored first."""
        ...


class KeyRing:
    """Plaintext data keys by purpose and subject, under the KMS keys that `key_arns` names."""

    def __init__(
        self,
        kms: KMSClient,
        store: KeyStore,
        key_arns: Mapping[KeyPurpose, str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kms = kms
        self._store = store
        self._key_arns = key_arns
        self._monotonic = monotonic
        self._cache: OrderedDict[tuple[KeyPurpose, str, str], tuple[float, bytes]] = OrderedDict()

    def __repr__(self) -> str:
        return f"KeyRing({len(self._cache)} cached)"

    def key_for_writing(self, purpose: KeyPurpose, subject: str) -> tuple[str, bytes]:
        """Id and plaintext (32 bytes) of the subject's key, made now if it has none."""
        cached = self._cached(purpose, subject, FIRST_KEY_ID)
        if cached is None:
            row = self._store.get(_row_subject(purpose, subject), FIRST_KEY_ID)
            cached = self._unwrap(purpose, subject, row) if row else self._make(purpose, subject)
        return FIRST_KEY_ID, cached

    def key_for_reading(self, purpose: KeyPurpose, subject: str, key_id: str) -> bytes:
        """The plaintext of a key in use.

        Raises IntegrityError when the key is gone, and its fields with it.
        """
        cached = self._cached(purpose, subject, key_id)
        if cached is not None:
            return cached
        row = self._store.get(_row_subject(purpose, subject), key_id)
        if row is None:
            raise IntegrityError(f"the {purpose} data key {key_id} of {subject} does not exist")
        return self._unwrap(purpose, subject, row)

    def _make(self, purpose: KeyPurpose, subject: str) -> bytes:
        with _kms_errors(purpose, subject):
            made = self._kms.generate_data_key(
                KeyId=self._arn(purpose),
                KeySpec="AES_256",
                EncryptionContext=_context(purpose, subject),
            )
        row = DataKey(
            subject=_row_subject(purpose, subject),
            key_id=FIRST_KEY_ID,
            wrapped=made["CiphertextBlob"].hex(),
            created_at=to_instant(datetime.now(UTC)),
        )
        stored = self._store.create(row, token=str(ULID()))
        if stored.wrapped != row.wrapped:
            return self._unwrap(purpose, subject, stored)
        return self._keep(purpose, subject, row.key_id, made["Plaintext"])

    def _unwrap(self, purpose: KeyPurpose, subject: str, row: DataKey) -> bytes:
        with _kms_errors(purpose, subject):
            opened = self._kms.decrypt(
                KeyId=self._arn(purpose),
                CiphertextBlob=bytes.fromhex(row.wrapped),
                EncryptionContext=_context(purpose, subject),
            )
        return self._keep(purpose, subject, row.key_id, opened["Plaintext"])

    def _arn(self, purpose: KeyPurpose) -> str:
        if purpose not in self._key_arns:
            raise IntegrityError(f"this function has no {purpose} key")
        return self._key_arns[purpose]

    def _cached(self, purpose: KeyPurpose, subject: str, key_id: str) -> bytes | None:
        place = (purpose, subject, key_id)
        until, key = self._cache.get(place, (0.0, b""))
        if not key or until < self._monotonic():
            self._cache.pop(place, None)
            return None
        self._cache.move_to_end(place)
        return key

    def _keep(self, purpose: KeyPurpose, subject: str, key_id: str, key: bytes) -> bytes:
        self._cache[purpose, subject, key_id] = (self._monotonic() + MAX_CACHE_SECONDS, key)
        if len(self._cache) > MAX_CACHED_KEYS:
            self._cache.popitem(last=False)
        return key


@contextmanager
def _kms_errors(purpose: KeyPurpose, subject: str) -> Iterator[None]:
    """A key that does not fit is a fault of ours; every other failure of KMS may pass."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _WRONG_KEY:
            raise IntegrityError(f"KMS refuses the {purpose} key of {subject}: {code}") from error
        raise KeysUnavailable(
            f"the encryption keys are not available ({code}); try again"
        ) from error
    except BotoCoreError as error:
        lost = type(error).__name__
        raise KeysUnavailable(
            f"the encryption keys are not available ({lost}); try again"
        ) from error


def _row_subject(purpose: KeyPurpose, subject: str) -> str:
    return f"{purpose}#{subject}"


def _context(purpose: KeyPurpose, subject: str) -> dict[str, str]:
    return {"purpose": purpose, "subject": subject}
