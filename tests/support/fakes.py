"""Fakes at the ports: KMS, EventBridge, parked records, and a clock that tests move."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

START = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
_TICK = timedelta(milliseconds=1)


class Clock:
    """Advances by a millisecond at every reading, so that ids are in order of creation."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        with self._lock:
            self._now += _TICK
            return self._now

    def set(self, moment: datetime) -> None:
        """Set the clock to `moment`; the next reading is a millisecond later."""
        with self._lock:
            self._now = moment

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += timedelta(seconds=seconds)


class FakeKms:
    """Wraps data keys as KMS does: a blob is decrypted only with its key and encryption context."""

    def __init__(self) -> None:
        self._wrapped: dict[bytes, tuple[str, Mapping[str, str], bytes]] = {}
        self.generated = 0
        self.decrypted = 0
        self.available = True

    def generate_data_key(
        self, *, KeyId: str, KeySpec: str, EncryptionContext: Mapping[str, str]
    ) -> dict[str, Any]:
        assert KeySpec == "AES_256"
        if not self.available:
            raise client_error("DisabledException", "GenerateDataKey")
        plaintext, blob = os.urandom(32), os.urandom(48)
        self._wrapped[blob] = (KeyId, dict(EncryptionContext), plaintext)
        self.generated += 1
        return {"CiphertextBlob": blob, "Plaintext": plaintext, "KeyId": KeyId}

    def decrypt(
        self, *, KeyId: str, CiphertextBlob: bytes, EncryptionContext: Mapping[str, str]
    ) -> dict[str, Any]:
        if not self.available:
            raise client_error("DisabledException", "Decrypt")
        key_id, context, plaintext = self._wrapped.get(CiphertextBlob, ("", {}, b""))
        if not plaintext or key_id != KeyId or context != EncryptionContext:
            raise client_error("InvalidCiphertextException", "Decrypt")
        self.decrypted += 1
        return {"Plaintext": plaintext, "KeyId": KeyId}


@dataclass
class ParkingLot:
    """Records the parked records and the reasons."""

    parked: dict[tuple[str, str], str] = field(default_factory=dict)
    raw: list[Mapping[str, Any]] = field(default_factory=list)

    def park(self, table: str, sequence_number: str, raw: Mapping[str, Any], reason: str) -> None:
        self.parked[table, sequence_number] = reason
        self.raw.append(raw)


@dataclass
class FakeEvents:
    """EventBridge: records what was put. `refuses` chooses the entries that it does not take."""

    taken: list[dict[str, Any]] = field(default_factory=list)
    refuses: Callable[[Mapping[str, Any]], bool] = lambda entry: False
    available: bool = True

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert 1 <= len(Entries) <= 10, "as many as EventBridge takes"
        if not self.available:
            raise client_error("InternalFailure", "PutEvents", 500)
        answers: list[dict[str, str]] = []
        for entry in Entries:
            if self.refuses(entry):
                answers.append({"ErrorCode": "ThrottlingException", "ErrorMessage": "busy"})
            else:
                self.taken.append(entry)
                answers.append({"EventId": str(len(self.taken))})
        failed = sum("ErrorCode" in answer for answer in answers)
        return {"FailedEntryCount": failed, "Entries": answers}


def client_error(code: str, operation: str, status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": f"fake {code}"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        operation,
    )
