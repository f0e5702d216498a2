"""Received webhooks are verified as Standard Webhooks says, with one kind of error."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from payments_client.errors import WebhookVerificationFailed
from payments_client.webhooks import MAX_BODY_BYTES, Event, verified_event

from runtime.webhooks.signature import signed_headers

SECRET = "whsec_" + base64.b64encode(b"a" * 32).decode()
OLD = "whsec_" + base64.b64encode(b"b" * 32).decode()
EVENT = {
    "id": "whk_1",
    "type": "payment.succeeded",
    "created": "2026-12-01T09:00:00.000Z",
    "sequence": 2,
    "data": {"id": "pay_1"},
}
BODY = json.dumps(EVENT).encode()
UNORDERED = json.dumps({**EVENT, "sequence": "2"}).encode()


def signed(body: bytes = BODY, *secrets: str, age: int = 0) -> dict[str, str]:
    """Headers by the platform's own signer."""
    at = datetime.now(UTC) - timedelta(seconds=age)
    return signed_headers("whk_1", at, body, secrets or (SECRET,))


def test_a_signed_event_is_returned_from_text_or_bytes() -> None:
    assert verified_event(BODY, signed(), SECRET) == Event(**EVENT)  # type: ignore[arg-type]
    upper = {name.title(): value for name, value in signed().items()}
    assert verified_event(BODY.decode(), upper, SECRET).data == {"id": "pay_1"}


def test_during_a_rotation_either_signature_and_either_secret_is_enough() -> None:
    assert verified_event(BODY, signed(BODY, SECRET, OLD), OLD).id == "whk_1"
    assert verified_event(BODY, signed(BODY, SECRET, OLD), SECRET).id == "whk_1"
    assert verified_event(BODY, signed(BODY, OLD), [SECRET, OLD]).id == "whk_1"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY + b" ", signed()),
        (BODY, signed(age=301)),
        (BODY, signed(age=-4000)),
        (BODY, signed(BODY, OLD)),
        (BODY, {}),
        (BODY, {**signed(), "webhook-id": "whk_2"}),
        (BODY, {**signed(), "webhook-signature": "v1"}),
        (BODY, {**signed(), "webhook-signature": "v1,é"}),
        (BODY, {**signed(), "webhook-signature": "v2,AAAA"}),
        (BODY, {**signed(), "webhook-timestamp": "nan"}),
        (BODY, {**signed(), "webhook-timestamp": "1e400"}),
        (b"\xff", signed()),
        (b"[]", signed(b"[]")),
        (b"no json", signed(b"no json")),
        (b'{"id": 1}', signed(b'{"id": 1}')),
        (UNORDERED, signed(UNORDERED)),
        (b"x" * (MAX_BODY_BYTES + 1), signed()),
    ],
)
def test_what_is_not_authentic_is_refused(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(WebhookVerificationFailed):
        verified_event(body, headers, SECRET)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_é", "whsec_a"])
def test_a_wrong_secret_is_the_receivers_mistake(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret") as raised:
        verified_event(BODY, signed(), secret)
    assert raised.value.__cause__ is None


def test_without_a_secret_nothing_is_authentic() -> None:
    with pytest.raises(ValueError, match="at least one secret"):
        verified_event(BODY, signed(), [])
