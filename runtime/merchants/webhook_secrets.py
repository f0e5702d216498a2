"""Webhook secrets: new ones, and which of the replaced ones still sign."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from runtime.core.errors import SecretsStillSign
from runtime.core.timestamps import to_timestamp
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import ClaimReader, earlier_answer
from runtime.merchants.models import MAX_PREVIOUS_SECRETS, PreviousSecret

WEBHOOK_SECRET_BYTES: Final = 32
"""Standard Webhooks 1.0 requires 24 to 64 random bytes."""
SECRET_OVERLAP: Final = timedelta(hours=24)
"""How long a replaced secret keeps signing, so that receivers can change over."""


def new_webhook_secret(call: Call) -> str:
    """A random secret."""
    return "whsec_" + base64.b64encode(call.entropy(WEBHOOK_SECRET_BYTES)).decode()


def still_signing(
    secret: str, previous: Sequence[PreviousSecret], now: datetime
) -> tuple[PreviousSecret, ...]:
    """The previous secrets that still sign after `secret` is replaced at `now`, newest first.

    Raises SecretsStillSign if MAX_PREVIOUS_SECRETS already do.
    """
    earlier = [each for each in previous if each.until > to_timestamp(now)]
    if len(earlier) >= MAX_PREVIOUS_SECRETS:
        raise SecretsStillSign(
            f"The last {len(earlier)} secrets are valid for a day after their replacement;"
            f' rotate again after {earlier[-1].until}, or send "revoke_old": true to revoke them'
        )
    replaced = PreviousSecret(secret=secret, until=to_timestamp(now + SECRET_OVERLAP))
    return (replaced, *earlier)


def kept_or_repeated(
    secret: str,
    previous: Sequence[PreviousSecret],
    *,
    revoke_old: bool,
    call: Call,
    merchant_id: str,
    claims: ClaimReader,
) -> tuple[PreviousSecret, ...] | StoredAnswer:
    """The replaced secrets that keep signing, or the answer if this request has had one.

    Raises SecretsStillSign, unless this is a repeat of the request that reached the limit.
    """
    if revoke_old:
        return ()
    try:
        return still_signing(secret, previous, call.now)
    except SecretsStillSign:
        repeated = earlier_answer(call, merchant_id, claims)
        if repeated is None:
            raise
        return repeated
