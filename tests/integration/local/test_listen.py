"""Webhooks are shown, verified and forwarded as they arrived."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime

import httpx
import pytest
from rich.console import Console

from local.emulator.ports import free_port
from local.errors import LocalError
from local.webhooks.forwarding import Target
from local.webhooks.listen import Listening
from local.webhooks.receiver import Received, listening, verified
from runtime.webhooks.signature import signed_headers
from tests.support.webhooks.receiver import Receiver

SECRET = "whsec_" + base64.b64encode(b"of this test alone, and long enough").decode()
OTHER = "whsec_" + base64.b64encode(b"of another test, and long enough...").decode()
BODY = json.dumps(
    {"id": "whk_1", "type": "refund.succeeded", "data": {"id": "txn_1", "payment_id": "pay_1"}}
).encode()


def shown_after(state: Listening, body: bytes = BODY, secret: str = SECRET) -> tuple[int, str]:
    """The answer's status to one webhook, and what was printed."""
    headers = signed_headers("whk_1", datetime.now(UTC), body, [secret])
    with listening(state.take) as url:
        answer = httpx.post(url, content=body, headers=headers, trust_env=False)
    assert isinstance(state.console.file, io.StringIO)
    return answer.status_code, state.console.file.getvalue()


def listener(secret: str = SECRET, target: Target | None = None) -> Listening:
    return Listening(secret, target, Console(file=io.StringIO(), width=200), wanted=1)


def test_a_verified_webhook_is_shown_with_its_payment_and_ends_a_counted_command() -> None:
    state = listener()
    status, shown = shown_after(state)
    assert status == 204
    assert shown.split()[1:] == ["refund.succeeded", "pay_1", "whk_1", "verified"]
    assert state.ended.is_set()


def test_a_webhook_with_another_signature_is_refused_with_the_reason() -> None:
    status, shown = shown_after(listener(), secret=OTHER)
    assert status == 400
    assert "not verified: No matching signature found" in shown


def test_what_is_not_an_event_is_shown_as_such() -> None:
    status, shown = shown_after(listener(), body=b"[]")
    assert "not an event" in shown
    assert "2 bytes" in shown
    assert status == 204, "its signature is the platform's"


def test_a_forwarded_webhook_is_unchanged_and_its_answer_is_passed_back() -> None:
    with Receiver(usual=(503, {"retry-after": "7", "x-other": "1"})).running() as receiver:
        state = listener(target=Target.of(receiver.url))
        headers = signed_headers("whk_1", datetime.now(UTC), BODY, [SECRET]) | {"x-mine": "as is"}
        with listening(state.take) as url:
            answer = httpx.post(url, content=BODY, headers=headers, trust_env=False)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert "x-other" not in answer.headers
    (request,) = receiver.received
    assert (request.path, request.body) == ("/hooks?shop=1", BODY)
    assert headers.items() <= request.headers.items()
    assert isinstance(state.console.file, io.StringIO)
    assert "answered 503" in state.console.file.getvalue()


@pytest.mark.parametrize("sent_with", [SECRET, OTHER])
def test_a_verified_webhook_is_passed_on_under_the_merchants_own_secret(sent_with: str) -> None:
    own = "whsec_" + base64.b64encode(b"of the merchant, and long enough....").decode()
    with Receiver().running() as receiver:
        state = listener(target=Target.of(receiver.url))
        state.merchant_secret = own
        shown_after(state, secret=sent_with)
    (request,) = receiver.received
    headers = {name: value for name, value in request.headers.items() if "webhook" in name}
    expected = own if sent_with == SECRET else OTHER
    assert verified(Received(request.body, headers), expected)["id"] == "whk_1"


def test_a_receiver_that_does_not_run_is_answered_as_a_failed_attempt() -> None:
    state = listener(target=Target.of(f"http://127.0.0.1:{free_port()}"))
    status, shown = shown_after(state)
    assert status == 502
    assert "did not answer" in shown


@pytest.mark.parametrize("url", ["", "127.0.0.1:3000", "ftp://h/", "http://", "http://h:x/"])
def test_only_an_http_url_can_be_forwarded_to(url: str) -> None:
    with pytest.raises(LocalError, match="not an http or https URL"):
        Target.of(url)
