"""Signatures, verified by the library that receivers use."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from runtime.merchants.models import PreviousSecret
from runtime.merchants.repository import FirstEndpoint
from runtime.webhooks.signature import signed_headers

OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 64).decode()
BODY = json.dumps({"id": "whk_1", "text": "Zażółć — ✓"}, ensure_ascii=False).encode()


def test_a_receiver_verifies_what_we_sign() -> None:
    headers = signed_headers("whk_1", datetime.now(UTC), BODY, [NEW])
    assert Webhook(NEW).verify(BODY, headers) == json.loads(BODY)
    for secret, body, changed in (
        (OLD, BODY, {}),
        (NEW, BODY + b" ", {}),
        (NEW, BODY, {"webhook-id": "whk_2"}),
        (NEW, BODY, {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, {**headers, **changed})


def test_the_example_of_the_specification_is_reproduced() -> None:
    at = datetime.fromtimestamp(1614265330, UTC)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body, [secret])
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def endpoint(until: str | None) -> FirstEndpoint:
    return FirstEndpoint(
        id="mer_1",
        merchant_id="mer_1",
        webhook_secret=NEW,
        previous_webhook_secrets=(PreviousSecret(secret=OLD, until=until),) if until else (),
    )


def test_during_a_secret_rotation_both_secrets_sign() -> None:
    both = endpoint("2026-03-15T09:00:00.000Z").secrets("2026-03-14T09:00:00.000Z")
    headers = signed_headers("whk_1", datetime.now(UTC), BODY, both)
    assert headers["webhook-signature"].count("v1,") == 2
    for secret in (OLD, NEW):
        Webhook(secret).verify(BODY, headers)
    assert endpoint("2026-03-15T09:00:00.000Z").secrets("2026-03-15T09:00:00.000Z") == (NEW,)
    several = endpoint("2026-03-15T09:00:00.000Z").model_copy(
        update={
            "previous_webhook_secrets": (
                PreviousSecret(secret=OLD, until="2026-03-15T09:00:00.000Z"),
                PreviousSecret(secret="whsec_older", until="2026-03-14T12:00:00.000Z"),
            )
        }
    )
    assert several.secrets("2026-03-14T11:59:59.999Z") == (NEW, OLD, "whsec_older")
    assert several.secrets("2026-03-14T12:00:00.000Z") == (NEW, OLD)
    assert "whsec" not in repr(several)
    assert endpoint(None).secrets("2026-03-14T09:00:00.000Z") == (NEW,)
