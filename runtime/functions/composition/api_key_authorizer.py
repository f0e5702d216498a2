"""API keys in the authorizer. Imported and built only for the first API key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from runtime.access.api_key_gate import ApiKeyGate, ApiKeyUse, verify_api_key
from runtime.access.repository import ApiKeyRepository
from runtime.core.echo import safe
from runtime.core.outside import Outside
from runtime.core.request_ids import request_id_of
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from runtime.encryption.key_ring import KeyPurpose, KeyRing
from runtime.encryption.repository import DataKeyRepository
from runtime.http.identity import Identity
from runtime.settings import AuthorizerSettings

BUDGET_SECONDS: Final = 3.0
"""Time to read a key, retries included; below the authorizer's timeout, so that it can respond."""

MAX_USER_AGENT: Final = 256


class ApiKeyAuthorizer:
    """Verifies API keys with the authorizer's tables and keys."""

    def __init__(self, settings: AuthorizerSettings, outside: Outside) -> None:
        self._outside = outside
        self._ends = 0.0
        self.store = Store(
            outside.aws.dynamodb(lean=settings.uses_lean_client),
            settings.tables,
            Codec(NoCipher()),
            lambda: self._ends - outside.monotonic(),
            outside,
        )
        # Recording the use of a key must not retry: the caller is waiting.
        at_once = replace(self.store, remaining_seconds=lambda: 0.0)
        kms = outside.aws.data_key_kms(lean=settings.uses_lean_client)
        arns: dict[KeyPurpose, str] = {"index": settings.index_key_arn}
        self._gate = ApiKeyGate(
            reader=ApiKeyRepository(self.store),
            hash_keys=KeyRing(kms, DataKeyRepository(self.store), arns, outside),
            uses=ApiKeyRepository(at_once),
            outside=outside,
        )

    def judge(self, text: str, event: Mapping[str, Any]) -> Identity:
        """The identity of a valid key. Raises TokenRefused."""
        self._ends = self._outside.monotonic() + BUDGET_SECONDS
        context = event.get("requestContext") or {}
        http = context.get("http") or {}
        presented = ApiKeyUse(
            now=self._outside.now(),
            request_id=request_id_of(context.get("requestId") or "unknown"),
            ip_address=http.get("sourceIp") or "",
            user_agent=safe((http.get("userAgent") or "")[:MAX_USER_AGENT]),
        )
        return verify_api_key(text, presented, self._gate)
