"""Verification of received webhooks, by the reference library of Standard Webhooks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from payments_client.errors import WebhookVerificationFailed

TOLERANCE_SECONDS: Final = 300
"""How far `webhook-timestamp` may be from this machine's clock; the library's value."""

MAX_BODY_BYTES: Final = 1024 * 1024
MEMBERS: Final[Mapping[str, type]] = {
    "id": str,
    "type": str,
    "created": str,
    "sequence": int,
    "data": dict,
}


@dataclass(frozen=True)
class Event:
    """A verified event.

    `id` is the same at every attempt: remember it, because events can arrive twice. Of two events
    about one object, the one with the higher `sequence` is newer. `data` is the object. Events of
    disputes are about `data["dispute"]["id"]`.
    """

    id: str
    type: str
    created: str
    sequence: int
    data: Mapping[str, Any]


def verified_event(
    body: bytes | str, headers: Mapping[str, str], secrets: str | Sequence[str]
) -> Event:
    """The event in `body`, which must be the raw body as received, before any parsing.

    One of its signatures must be by one of `secrets` (`whsec_…`; two of them while you change
    yours), and its time within five minutes. Signatures are compared in constant time.

    Raises:
        WebhookVerificationFailed: answer 400 or 401, and do nothing else.
        ValueError: a secret of yours is not a webhook secret.
    """
    verifiers = [_verifier(each) for each in ([secrets] if isinstance(secrets, str) else secrets)]
    if not verifiers:
        raise ValueError("verified_event needs at least one secret")
    if len(body) > MAX_BODY_BYTES:
        raise WebhookVerificationFailed(f"The body is larger than {MAX_BODY_BYTES} bytes")
    reason: Exception | None = None
    for verifier in verifiers:
        try:
            verifier.verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as error:
            # ValueError: a header that is not base64, or a body that is not UTF-8.
            reason = error
        else:
            return _event(body)
    said = str(reason) if isinstance(reason, WebhookVerificationError) else "It is malformed"
    raise WebhookVerificationFailed(f"The webhook is not authentic: {said}") from reason


def _verifier(secret: str) -> Webhook:
    try:
        return Webhook(secret)
    except (EmptyWebhookSecretError, ValueError):
        # Without the cause: its message could repeat a part of the secret.
        raise ValueError("A secret is not a webhook secret (whsec_…)") from None


def _event(body: bytes | str) -> Event:
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not all(
        isinstance(document.get(name), kind) for name, kind in MEMBERS.items()
    ):
        raise WebhookVerificationFailed("The webhook is signed, but is not an event")
    return Event(**{name: document[name] for name in MEMBERS})
