"""Notifications of the sandbox processor, as `make trigger` sends them to the API."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from local.api_client import Reply
from local.errors import LocalError
from local.webhooks.fixtures import Fixtures
from runtime.payments.disputes.api import EventResult
from runtime.payments.processors.sandbox.events import SIGNATURE_HEADER, sign_sandbox_event

SECRET: Final = "make-trigger-sandbox-secret"  # noqa: S105 - of merchants of the local stage alone
DISPUTE_FEE: Final = 1500
"""Minor units, unless the caller gives another fee."""
KNOWN_AFTER_SECONDS: Final = 10.0
"""How long functions may keep a merchant's earlier configuration (`merchant_cache_seconds`: 5)."""
POLL_SECONDS: Final = 0.5


def dispute(fixtures: Fixtures, outcome: str | None = None) -> str:
    """Open a dispute of a new payment, and decide it: `won`, `lost` or not at all.

    The caller's data are merged into the last notification. Returns the payment's id.

    Raises:
        LocalError: the API refused the request, which includes the caller's data.
    """
    currency = fixtures.data.get("currency")
    more = {} if currency is None else {"currency": currency}
    payment = fixtures.payment(with_data=False, amount=fixtures.amount(), **more)
    about = {
        "reference": payment["id"],
        "dispute_id": f"dp_{uuid4().hex[:12]}",
        "amount": payment["amount"],
        "currency": payment["currency"],
        "fee": DISPUTE_FEE,
    }
    types = ["dispute_opened", *([f"dispute_{outcome}"] if outcome is not None else [])]
    for number, each in enumerate(types, start=1):
        said = fixtures.data if number == len(types) else {}
        _notify(fixtures, {"type": each, **about, **said})
    return str(payment["id"])


def _notify(fixtures: Fixtures, event: Mapping[str, Any]) -> None:
    """Send a notification, after configuring the merchant's sandbox if it has another secret."""
    reply = _sent(fixtures, event)
    if reply.status == HTTPStatus.UNAUTHORIZED:
        _configure(fixtures)
        deadline = time.monotonic() + KNOWN_AFTER_SECONDS
        while reply.status == HTTPStatus.UNAUTHORIZED and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            reply = _sent(fixtures, event)
    if reply.status == HTTPStatus.BAD_REQUEST:
        raise LocalError(
            f"The API refused the notification: {reply.body['detail']}.",
            hint="Change DATA, or leave it out.",
        )
    result = reply.require(HTTPStatus.OK)["result"]
    if result != EventResult.APPLIED:
        raise LocalError(
            f"The notification of {event['type']} changed nothing: it is {result}.",
            hint="Change DATA, or leave it out.",
        )


def _sent(fixtures: Fixtures, event: Mapping[str, Any]) -> Reply:
    now = int(time.time())
    body = json.dumps({"id": f"evt_{uuid4().hex}", "created": now, **event}).encode()
    return fixtures.client.send(
        "POST",
        "/v1/processor-events/sandbox",
        params={"merchant_id": fixtures.merchant_id},
        content=body,
        headers={
            "content-type": "application/json",
            SIGNATURE_HEADER: sign_sandbox_event(body, SECRET, now),
        },
    )


def _configure(fixtures: Fixtures) -> None:
    path = f"/v1/merchants/{fixtures.merchant_id}"
    version = fixtures.operator.get(path).require(HTTPStatus.OK)["version"]
    change = {"version": version, "processor_config": {"webhook_secret": SECRET}}
    fixtures.operator.send("PATCH", path, json=change).require(HTTPStatus.OK)
    fixtures.progress.say("The merchant's sandbox now has the webhook secret of make trigger.")
