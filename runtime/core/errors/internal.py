"""Faults of ours, what passes by itself, and what services tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from runtime.core.errors.base import PlatformError

if TYPE_CHECKING:
    from runtime.idempotency.models import IdempotencyRecord
    from runtime.ledger.accounts.models import Account


class Internal(PlatformError):
    """A fault of ours; the detail is in the log, not in the answer."""


@dataclass(frozen=True, slots=True)
class EncryptedField:
    """Where an enciphered field stands: the key's parts joined by `/`. `owner` is a merchant."""

    table: str
    key: str
    attribute: str
    owner: str | None


class IntegrityError(Internal):
    """A ciphertext does not belong where it was found, or its key is gone."""

    code = "integrity_error"
    place: EncryptedField | None = None


class KeyForgotten(Internal):
    """The data key was deleted: what it enciphered cannot be opened any more, by anybody."""

    code = "key_forgotten"
    place: EncryptedField | None = None


DecryptionFailure = IntegrityError | KeyForgotten
"""An enciphered field, or a data key, does not open; `place` is where, as far as is known."""


class Unavailable(PlatformError):
    """Busy or throttled for longer than this request had. Repeat it with the same key."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    title = "The service is temporarily unavailable"
    retry_after_seconds = 1


class KeysUnavailable(Unavailable):
    """KMS does not answer, or the key is switched off: nothing can be enciphered or opened now."""

    code = "keys_unavailable"
    title = "The encryption keys are temporarily unavailable"


class AlreadyClaimed(Exception):
    """Another request holds, or held, this idempotency key. `record` is its claim as stored."""

    def __init__(self, record: IdempotencyRecord) -> None:
        super().__init__("the idempotency key is claimed")
        self.record = record


class StaleWrite(Exception):
    """A condition failed on `table`: the row is not as it was read, or its lease is another's."""

    def __init__(self, table: str, detail: str) -> None:
        super().__init__(f"{table}: {detail}")
        self.table = table


class ProcessorUnknown(Exception):
    """The processor's answer did not arrive: charged or not, only it can say."""


class TouchesHotAccounts(Exception):
    """A transfer met folded accounts, which it must touch otherwise. `accounts` as they stand."""

    def __init__(self, accounts: tuple[Account, ...]) -> None:
        super().__init__(f"folded: {', '.join(account.id for account in accounts)}")
        self.accounts = accounts


class FailedBefore(Exception):
    """The customer's last attempt failed: what begins now must end the count when it succeeds."""
