"""The platform's transfer: its own services with the lean client, as the process function has them.

Without HTTP: parsing, permissions, the card scan and the log line are in `ways/request.py`.
"""

from __future__ import annotations

import json
import uuid
from contextlib import ExitStack
from typing import Any, Final

import boto3

from benchmarks.requests.request_cpu import HEADERS, answer_to, forget_services, stage
from benchmarks.rivals.worker import GaveUp, Transfer
from runtime.functions.composition.process_services import process_services
from runtime.http.caller import Caller
from runtime.http.request_context import Call
from runtime.idempotency.rules import fingerprint
from runtime.ledger.transfers.api import TransferRequest
from runtime.ledger.transfers.transfers import create_transfer
from tests.support.engines.engine import Engine
from tests.support.http import OPERATOR, Context, http_event

OPENING: Final = 10**9
PATH: Final = "/v1/transfers"
LONG_SECONDS: Final = 600.0


class PlatformWay:
    """The process function's services on an engine."""

    def __init__(self, url: str, accounts: int) -> None:
        self._open = ExitStack()
        self._url, self._count = url, accounts
        self._numbers: list[str] = []
        self._hot = self.merchant = ""

    def prepare(self) -> None:
        """Create the accounts through the API."""
        self._open.enter_context(stage(Engine("rivals", self._url)))
        shop = {"name": "Bench Shop", "email": "bench@shops.example"}
        self.merchant = self._made("/v1/merchants", shop)
        wallet = {"account_type": "wallet", "currency": "USD", "merchant_id": self.merchant}
        rich = {**wallet, "opening_balance": OPENING}
        self._numbers = [self._made("/v1/accounts", rich) for _ in range(self._count)]
        self._hot = self._made("/v1/accounts", {**wallet, "posting": "folded"})

    def connect(self) -> Transfer:
        """New services. Threads share them, which they never do in Lambda."""
        forget_services()
        services = process_services()
        context: Any = Context(LONG_SECONDS)
        services.begin(context)
        dependencies, outside = services.transfer_dependencies, services.outside
        merchant = Caller("user", self.merchant, frozenset({"transfers"}), "request-1")
        operator = Caller("operator", None, frozenset({"admin"}), "request-1")

        def transfer(source: int, target: int | None, _: GaveUp) -> int:
            body = self.body(source, target)
            request = TransferRequest.model_validate(body)
            call = Call(
                operator if target is None else merchant,
                "POST",
                PATH,
                outside.now(),
                fingerprint("POST", PATH, body),
                self.merchant if target is None else None,
                idempotency_key=uuid.uuid4().hex,
                entropy=outside.entropy,
            )
            answer = create_transfer(request, call, dependencies)
            if answer.status != 201:
                raise RuntimeError(answer.body)
            return 1

        return transfer

    def body(self, source: int, target: int | None) -> dict[str, Any]:
        """The request of a transfer."""
        return {
            "from_account_id": self._numbers[source],
            "to_account_id": self._hot if target is None else self._numbers[target],
            "amount": 1,
            "currency": "USD",
            "description": "Invoice 2026-0042",
        }

    def total(self) -> int:
        """Balances, and transfers into the hot account, which the change stream adds to it."""
        tables = process_services().store.tables
        client = boto3.client("dynamodb")
        scan = client.get_paginator("scan")
        opened = set(self._numbers)
        total = 0
        for page in scan.paginate(TableName=tables["accounts"]):
            rows = (row for row in page["Items"] if row["id"]["S"] in opened)
            total += sum(int(row["balance"]["N"]) for row in rows)
        for page in scan.paginate(TableName=tables["transfers"]):
            for row in page["Items"]:
                folded = [each["S"] for each in row.get("folded_accounts", {}).get("L", ())]
                total += int(row["amount"]["N"]) if self._hot in folded else 0
        return total

    def _made(self, path: str, body: dict[str, Any]) -> str:
        headers = {**HEADERS, "idempotency-key": uuid.uuid4().hex}
        answer = answer_to(http_event("POST", path, body, headers=headers, authorizer=OPERATOR))
        if answer["statusCode"] != 201:
            raise RuntimeError(answer["body"])
        identifier: str = json.loads(answer["body"])["id"]
        return identifier


def way(url: str, accounts: int) -> PlatformWay:
    """Transfers by the service."""
    return PlatformWay(url, accounts)
