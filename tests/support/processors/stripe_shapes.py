"""Stripe's objects as in its API reference, reduced to what matters; and a fake network."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import stripe

Json = dict[str, Any]


def balance_transaction(amount: int, fee: int, currency: str = "usd") -> Json:
    return {
        "id": "txn_1MiN3gLkdIwHu7ixxapQrznl",
        "object": "balance_transaction",
        "amount": amount,
        "currency": currency,
        "exchange_rate": None,
        "fee": fee,
        "net": amount - fee,
        "status": "pending",
        "type": "charge" if amount > 0 else "adjustment",
    }


def intent(status: str = "succeeded", **members: Any) -> Json:
    return {
        "id": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "object": "payment_intent",
        "amount": 1000,
        "amount_capturable": 0,
        "amount_received": 1000 if status == "succeeded" else 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": "pi_3MtwBwLkdIwHu7ix28a3tqPa_secret_YrKJUKribcBjcG8HVhfZluoGH",
        "currency": "usd",
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {"reference": "pay_1"},
        "next_action": None,
        "payment_method_types": ["card"],
        "status": status,
        **members,
    }


def charge(moved: Json | None) -> Json:
    return {
        "id": "ch_3MmlLrLkdIwHu7ix0snN0B15",
        "object": "charge",
        "amount": 1000,
        "balance_transaction": moved,
        "captured": moved is not None,
        "status": "succeeded",
    }


def refund(status: str = "succeeded", **members: Any) -> Json:
    return {
        "id": "re_1Nispe2eZvKYlo2Cd31jOCgZ",
        "object": "refund",
        "amount": 400,
        "charge": "ch_3MmlLrLkdIwHu7ix0snN0B15",
        "currency": "usd",
        "metadata": {"reference": "txn_1"},
        "payment_intent": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "reason": None,
        "status": status,
        **members,
    }


def dispute(status: str, *moved: Json, **members: Any) -> Json:
    return {
        "id": "du_1MtJUT2eZvKYlo2CNaw2HvEv",
        "object": "dispute",
        "amount": 1000,
        "balance_transactions": list(moved),
        "charge": "ch_3MmlLrLkdIwHu7ix0snN0B15",
        "currency": "usd",
        "is_charge_refundable": False,
        "metadata": {},
        "payment_intent": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "reason": "fraudulent",
        "status": status,
        **members,
    }


def event(type_: str, about: Json, created: int = 1_767_225_600, **members: Any) -> Json:
    return {
        "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": created,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "type": type_,
        **members,
    }


def error(type_: str = "invalid_request_error", **members: Any) -> Json:
    return {"error": {"type": type_, "message": "As Stripe words it.", **members}}


@dataclass(frozen=True)
class Sent:
    """One request as it left."""

    method: str
    path: str
    headers: Mapping[str, str]
    params: Mapping[str, str]


class Recorded(stripe.HTTPClient):
    """A network that gives the prepared answers in order: status and body, or an exception."""

    name = "recorded"

    def __init__(self, *answers: tuple[int, Json | bytes] | Exception) -> None:
        super().__init__()
        self.answers = deque(answers)
        self.sent: list[Sent] = []

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[Any, int, Mapping[str, str]]:
        parts = urlsplit(url)
        params = dict(parse_qsl(post_data or parts.query))
        self.sent.append(Sent(method, parts.path, headers or {}, params))
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return text, status, {"Request-Id": "req_1"}

    def close(self) -> None:
        assert not self.answers, "some answers were not requested"
