"""Webhook signatures as in Standard Webhooks 1.0 (standardwebhooks.com). Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from runtime.core.timestamps import to_epoch_seconds

_WHSEC: Final = "whsec_"
SCHEME: Final = "v1"
"""HMAC-SHA256; `v1a` would be ed25519."""


def signed_headers(
    webhook_id: str, at: datetime, body: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """The three headers that authenticate `body` and its time.

    One signature per secret (`whsec_` and base64), so that receivers can rotate secrets.
    """
    timestamp = str(to_epoch_seconds(at))
    signatures = (_signature(secret, webhook_id, timestamp, body) for secret in secrets)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def _signature(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_WHSEC))
    message = f"{webhook_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, message, hashlib.sha256).digest()
    return f"{SCHEME},{base64.b64encode(digest).decode()}"
