"""EventBridge's default bus, and Secrets Manager."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from simulation.aws.calls import RemoteClient
from simulation.faults import client_error

MAX_ENTRIES: Final = 10


class EventBus:
    """What was put on the default bus, in the order in which it arrived."""

    def __init__(self, seed: str) -> None:
        self._chance = Random(f"{seed}-events")
        self.failing = 0.0
        """The chance that an entry is refused while its call succeeds."""
        self.taken: list[dict[str, Any]] = []

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        """Take the entries, or some of them: each has an answer of its own."""
        if not 0 < len(Entries) <= MAX_ENTRIES:
            raise client_error("ValidationException", "PutEvents", f"{len(Entries)} entries")
        answers: list[dict[str, Any]] = []
        for entry in Entries:
            if self.failing and self._chance.random() < self.failing:
                answers.append({"ErrorCode": "InternalFailure", "ErrorMessage": "injected"})
                continue
            self.taken.append(entry)
            answers.append({"EventId": f"{self._chance.getrandbits(128):032x}"})
        failed = sum("ErrorCode" in answer for answer in answers)
        return {"FailedEntryCount": failed, "Entries": answers}


class EventsClient(RemoteClient):
    """As the platform calls EventBridge."""

    _operations = ("put_events",)
    _refusals = (("ThrottlingException", 400), ("InternalException", 500))


class Secrets:
    """Secrets by ARN."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:
        """A secret's text."""
        if SecretId not in self.texts:
            raise client_error("ResourceNotFoundException", "GetSecretValue")
        return {"ARN": SecretId, "SecretString": self.texts[SecretId]}


class SecretsClient(RemoteClient):
    """As the platform calls Secrets Manager."""

    _operations = ("get_secret_value",)
    _refusals = (("ThrottlingException", 400), ("InternalServiceError", 500))
