"""The canary's function in process: its clock, its secret and the API stand beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from permissions.actions import Names
from permissions.recording import Caller, record_client
from runtime.canary.client import ApiAnswer, CanaryApi
from runtime.canary.credentials import CanaryCredentials
from runtime.functions.canary import CanaryServices, handler_for
from runtime.settings import CanarySettings
from tests.support.canary_api import ACCOUNT, MERCHANT, FakeApi
from tests.support.http import Context

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
EVENT = {"schedule": "canary", "time": "2026-12-01T12:00:00Z"}
CREDENTIALS = {
    "api_url": "https://api.example",
    "merchant_id": MERCHANT,
    "account_id": ACCOUNT,
    "api_key": "sk_secret",
    "api_key_id": "key_1",
}


@dataclass
class CanaryWorld:
    """Time that passes only while the canary waits, its secret, and the API.

    `answer_seconds`: how long it waits for each answer.
    """

    api: FakeApi = field(default_factory=FakeApi)
    secret: str | None = json.dumps(CREDENTIALS)
    began_after: timedelta = timedelta()
    waited: float = 0.0
    answer_seconds: float = 0.0
    mode: str = "test"
    api_urls: list[str] = field(default_factory=list)
    caller: Caller | None = None

    def run(self, event: dict[str, Any] | None = None) -> dict[str, Any]:
        settings = CanarySettings(
            stage="staging",
            service="canary",
            tables={},
            canary_secret_arn="arn:secret",
            processors=self.mode,  # type: ignore[arg-type]
        )
        self.caller = Caller("canary", Names(settings.environment()))
        services = CanaryServices(settings, self._outside(), self._client)
        handler: Callable[[Any, Any], dict[str, Any]] = handler_for(lambda: services)
        return handler(EVENT if event is None else event, Context(120.0))

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> ApiAnswer:
        """What the canary's client does."""
        self.waited += self.answer_seconds
        return self.api.send(method, path, body, key)

    def _client(self, credentials: CanaryCredentials) -> CanaryApi:
        self.api_urls.append(credentials.api_url)
        return self

    def _outside(self) -> Any:
        def sleep(seconds: float) -> None:
            self.waited += seconds

        return SimpleNamespace(
            now=lambda: NOON + self.began_after + timedelta(seconds=self.waited),
            monotonic=lambda: 1_000.0 + self.waited,
            sleep=sleep,
            aws=SimpleNamespace(secrets_manager=self._secrets_manager),
        )

    def _secrets_manager(self) -> Any:
        client = SimpleNamespace(get_secret_value=self.get_secret_value)
        return record_client(client, "secretsmanager", lambda: self.caller)

    def get_secret_value(self, SecretId: str) -> dict[str, str]:
        assert SecretId == "arn:secret"
        if self.secret is None:
            code = {"Error": {"Code": "ResourceNotFoundException", "Message": "no such secret"}}
            raise ClientError(code, "GetSecretValue")  # type: ignore[arg-type]
        return {"SecretString": self.secret}
