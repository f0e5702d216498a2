"""The routes that a load test uses, in memory. A subclass plants one fault."""

from __future__ import annotations

import itertools
import json
import threading
from collections import defaultdict
from typing import Any

import httpx

from operations.load.target import OPENING_BALANCE, Target

CURRENCY = "USD"
FEE = 30
MERCHANT = "mer_1"
Made = tuple[int, dict[str, Any]]


class FakeApi:
    """Answers as the API does, at once. `handle` may be overridden to answer wrongly."""

    def __init__(self, wallets: int = 4) -> None:
        self.payments: dict[str, dict[str, Any]] = {}
        self.transfers: dict[str, dict[str, Any]] = {}
        self.balances = {f"acc_{number}": OPENING_BALANCE for number in range(wallets)}
        self.entries: dict[str, list[int]] = defaultdict(list)
        for account, balance in self.balances.items():
            self.entries[account].append(balance)
        self.answers: dict[tuple[str, str], tuple[int, str]] = {}
        self.seen: list[httpx.Request] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def target(self) -> Target:
        return Target(
            "http://api.invalid",
            "sk_1",
            "run-1",
            MERCHANT,
            dict.fromkeys(self.balances, OPENING_BALANCE),
            is_own_merchant=True,
            transport=httpx.MockTransport(self),
        )

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self.seen.append(request)
            return self.handle(request)

    def handle(self, request: httpx.Request) -> httpx.Response:
        """One request, under its key if it has one."""
        key = request.headers.get("idempotency-key")
        if key is None:
            return self.respond(*self.do(request))
        first = self.answers.get((request.url.path, key))
        if first is not None:
            status, text = first
            return httpx.Response(status, text=text, headers={"idempotent-replayed": "true"})
        answer = self.respond(*self.do(request))
        self.answers[request.url.path, key] = answer.status_code, answer.text
        return answer

    def respond(self, status: int, body: dict[str, Any]) -> httpx.Response:
        return httpx.Response(status, json=body)

    def do(self, request: httpx.Request) -> Made:
        """What the route does."""
        parts = request.url.path.split("/")[2:]
        body = json.loads(request.content) if request.content else {}
        match request.method, *parts:
            case "POST", "payments":
                return self.charge(body)
            case "POST", "payments", payment_id, verb:
                return self.operate(self.payments[payment_id], verb, body)
            case "POST", "transfers":
                return self.transfer(body)
            case "GET", "payments", "summary":
                return 200, self.summary()
            case "GET", "payments", payment_id:
                return self.found(self.payments.get(payment_id))
            case "GET", "transfers", transfer_id:
                return self.found(self.transfers.get(transfer_id))
            case "GET", "payments":
                return self.page(request, [*self.payments.values()])
            case "GET", "transfers":
                account = request.url.params["account_id"]
                return self.page(request, self.transfers_of(account))
            case "GET", "accounts", account:
                return 200, {"balance": self.balance(account), "held_out": 0, "held_in": 0}
            case "GET", "accounts", account, "entries":
                return self.page(request, [{"amount": each} for each in self.entries[account]])
        raise AssertionError(f"{request.method} {request.url}")

    def charge(self, body: dict[str, Any]) -> Made:
        declined = body["payment_method"] == "tok_declined"
        manual = body.get("capture_method") == "manual"
        status = "failed" if declined else "requires_capture" if manual else "succeeded"
        row = {
            "id": f"pay_{next(self._numbers)}",
            "amount": body["amount"],
            "currency": body["currency"],
            "status": status,
            "amount_captured": body["amount"] if status == "succeeded" else 0,
            "amount_refunded": 0,
            "metadata": body["metadata"],
        }
        self.payments[row["id"]] = row
        if declined:
            return 402, {"code": "declined", "payment_id": row["id"]}
        return 201, dict(row)

    def operate(self, row: dict[str, Any], verb: str, body: dict[str, Any]) -> Made:
        if verb == "capture":
            row["status"], row["amount_captured"] = "succeeded", body["amount"]
        elif verb == "refund":
            row["amount_refunded"] += body["amount"]
        else:
            row["status"] = "canceled"
        return 200, dict(row)

    def transfer(self, body: dict[str, Any]) -> Made:
        source, target, amount = body["from_account_id"], body["to_account_id"], body["amount"]
        row = {**body, "id": f"trf_{next(self._numbers)}", "status": "processed"}
        self.transfers[row["id"]] = row
        for account, change in ((source, -amount), (target, amount)):
            self.balances[account] += change
            self.entries[account].append(change)
        return 201, dict(row)

    def transfers_of(self, account: str) -> list[dict[str, Any]]:
        ends = ("from_account_id", "to_account_id")
        return [row for row in self.transfers.values() if account in [row[end] for end in ends]]

    def summary(self) -> dict[str, Any]:
        rows = self.payments.values()
        by_status: dict[str, int] = defaultdict(int)
        for row in rows:
            by_status[row["status"]] += 1
        sums = {
            "count": len(rows),
            "captured": sum(row["amount_captured"] for row in rows),
            "refunded": sum(row["amount_refunded"] for row in rows),
            "net": self.net(),
        }
        return {"by_status": by_status, "by_currency": {CURRENCY: sums} if rows else {}}

    def net(self) -> int:
        rows = [row for row in self.payments.values() if row["amount_captured"]]
        return sum(row["amount_captured"] - row["amount_refunded"] - FEE for row in rows)

    def balance(self, account: str) -> int:
        return self.net() if account.startswith("acc_receivable_") else self.balances[account]

    def found(self, row: dict[str, Any] | None) -> Made:
        return (404, {"code": "not_found"}) if row is None else (200, dict(row))

    def page(self, request: httpx.Request, rows: list[dict[str, Any]]) -> Made:
        begin, limit = int(request.url.params.get("cursor", 0)), int(request.url.params["limit"])
        end = begin + limit
        more = str(end) if end < len(rows) else None
        return 200, {"data": rows[begin:end], "next_cursor": more, "has_more": more is not None}
