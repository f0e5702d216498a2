"""The part of the API that the canary uses, with idempotency keys and a statement that lags."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.canary.client import ApiAnswer

MERCHANT = "mer_canary"
ACCOUNT = "acc_canary"
FEE = 30


class Died(BaseException):
    """The function's process ended; no handler sees it."""


@dataclass
class FakeApi:
    """Payments of one merchant. A key's answer is stored, and repeated for the same body.

    `dies_after`: paths after whose request the client's process ends, once each: the request was
    executed. `answers`: answers given instead, by path, one after the other. `lag`: how many reads
    of the statement do not show the last transfers yet; a first payment's account is absent so
    long.
    """

    payments: dict[str, dict[str, Any]] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)
    stored: dict[str, tuple[Any, ApiAnswer]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    dies_after: set[str] = field(default_factory=set)
    answers: dict[str, list[ApiAnswer]] = field(default_factory=dict)
    lag: int = 0
    account: dict[str, Any] = field(
        default_factory=lambda: {"id": ACCOUNT, "merchant_id": MERCHANT, "balance": 0}
    )
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> ApiAnswer:
        self.sent.append(f"{method} {path}")
        if scripted := self.answers.get(path):
            return scripted.pop(0)
        answer = self._once(key, body, path) if key is not None else self._read(path)
        if path in self.dies_after:
            self.dies_after.discard(path)
            raise Died
        return answer

    def _once(self, key: str, body: Any, path: str) -> ApiAnswer:
        if key in self.stored:
            first, answer = self.stored[key]
            same = first == (path, json.dumps(body))
            return answer if same else ApiAnswer(422, {"code": "idempotency_key_reused"})
        made = self._pay(body) if path == "/v1/payments" else self._refund(path, body)
        self.stored[key] = ((path, json.dumps(body)), made)
        return made

    def _pay(self, body: Any) -> ApiAnswer:
        number = next(self.numbers)
        payment = {
            "id": f"pay_{number}",
            "merchant_id": MERCHANT,
            "amount": body["amount"],
            "currency": body["currency"],
            "amount_captured": body["amount"],
            "amount_refunded": 0,
            "transactions": [self._transaction("capture", body["amount"], FEE)],
        }
        self.payments[payment["id"]] = payment
        return ApiAnswer(201, json.loads(json.dumps(payment)))

    def _refund(self, path: str, body: Any) -> ApiAnswer:
        payment = self.payments[path.split("/")[3]]
        if payment["amount_refunded"]:
            return ApiAnswer(409, {"code": "already_refunded"})
        payment["amount_refunded"] += body["amount"]
        payment["transactions"].append(self._transaction("refund", body["amount"], 0))
        return ApiAnswer(200, json.loads(json.dumps(payment)))

    def _transaction(self, kind: str, amount: int, fee: int) -> dict[str, Any]:
        unique = f"{kind}{next(self.numbers)}"
        net = amount - fee if kind == "capture" else -amount
        self.entries.insert(0, {"transfer_id": f"trf_{unique}", "amount": net})
        return {
            "id": f"txn_{unique}",
            "type": kind,
            "status": "succeeded",
            "amount": amount,
            "fee": fee,
        }

    def _read(self, path: str) -> ApiAnswer:
        if path == "/v1/health":
            return ApiAnswer(200, {"status": "ok", "stage": "test"})
        if path == "/v1/payments/summary":
            return ApiAnswer(200, {"total_count": len(self.payments)})
        if path == f"/v1/accounts/{ACCOUNT}":
            return ApiAnswer(200, dict(self.account))
        if path.startswith("/v1/payments/"):
            found = self.payments.get(path.rpartition("/")[2])
            return ApiAnswer(200, found) if found else ApiAnswer(404, {"code": "not_found"})
        if path.startswith(f"/v1/accounts/acc_receivable_{MERCHANT}_USD/entries"):
            self.lag -= 1
            if self.lag >= 0 and len(self.payments) == 1:
                return ApiAnswer(404, {"code": "not_found"})
            return ApiAnswer(200, {"data": [] if self.lag >= 0 else list(self.entries)})
        return ApiAnswer(404, {"code": "not_found"})
