"""Internal errors, temporary errors, and errors between services."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from runtime.core.errors.base import PlatformError, Retry

if TYPE_CHECKING:
    from runtime.idempotency.models import IdempotencyRecord
    from runtime.ledger.accounts.models import Account


class Internal(PlatformError):
    """An internal error; the detail is logged, not returned."""


@dataclass(frozen=True, slots=True)
class EncryptedField:
    """Location of an encrypted field: key parts joined by `/`. `owner` is a merchant id."""

    table: str
    key: str
    attribute: str
    owner: str | None


class IntegrityError(Internal):
    """A ciphertext does not match its location, or its key is missing."""

    code = "integrity_error"
    retry = Retry.NO
    advice = "Report the `request_id`: the data must be examined."
    place: EncryptedField | None = None


class KeyForgotten(Internal):
    """The data key of `subject` was deleted: its fields cannot be decrypted anymore."""

    code = "key_forgotten"
    retry = Retry.NO
    advice = "Report the `request_id`: the data was erased."
    place: EncryptedField | None = None
    subject: str | None = None


DecryptionFailure = IntegrityError | KeyForgotten
"""A field or a data key cannot be decrypted; `place` is its location, if known."""


class Unavailable(PlatformError):
    """Busy or throttled for longer than the request's time. Retry with the same idempotency key."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    title = "The service is temporarily unavailable"
    retry = Retry.SAME_KEY
    advice = (
        "Repeat the request with the same Idempotency-Key after Retry-After, with growing pauses."
    )
    retry_after_seconds = 1


class KeysUnavailable(Unavailable):
    """KMS does not respond or the key is disabled: encryption and decryption fail for now."""

    code = "keys_unavailable"
    title = "The encryption keys are temporarily unavailable"
    retry = Retry.SAME_KEY
    advice = (
        "Repeat the request with the same Idempotency-Key after Retry-After; nothing was written."
    )


class AlreadyClaimed(Exception):
    """Another request holds or held this idempotency key. `record` is its stored claim."""

    def __init__(self, record: IdempotencyRecord) -> None:
        super().__init__("the idempotency key is claimed")
        self.record = record


class StaleWrite(Exception):
    """A condition failed on `table`: the row changed since it was read, or its lease was taken."""

    def __init__(self, table: str, detail: str) -> None:
        super().__init__(f"{table}: {detail}")
        self.table = table


class ProcessorUnknown(Exception):
    """The processor's response was lost: only the processor knows whether it charged."""


class TouchesHotAccounts(Exception):
    """A transfer touches hot accounts, which are updated differently. `accounts`: current rows."""

    def __init__(self, accounts: tuple[Account, ...]) -> None:
        super().__init__(f"hot accounts: {', '.join(account.id for account in accounts)}")
        self.accounts = accounts


class FailedBefore(Exception):
    """The customer's last attempt failed: a successful payment must reset the counter."""
