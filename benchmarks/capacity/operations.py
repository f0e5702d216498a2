"""The operations of the load, each recorded once on the simulated platform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from random import Random
from typing import Any, Final

from benchmarks.capacity.footprint import Footprint, footprint_of, opened_balance_rows
from benchmarks.capacity.recording import RecordedPlatform, UnexpectedAnswer
from runtime.core.ids import RANDOM_BYTES, id_at
from runtime.ledger.rules import receivable_account
from simulation.outside import BEGINNING
from simulation.partners.receivers import Endpoints
from simulation.platform.http import EVERYTHING, OPERATOR, HttpRequest, token

SEED: Final = "capacity"
CURRENCY: Final = "USD"
USER: Final = "shop-backend"
"""One machine client makes all requests of a merchant: the worst case for the index by user."""
USER_AGENT: Final = "shop-backend/4.2.1 (python-requests/2.32.3; Linux x86_64)"
LIST_LIMIT: Final = 20
MOST_TRIES: Final = 80
"""Recordings of one operation until no balance shard is new: one of 16, or of 64, is written."""
SALE: Final[Mapping[str, Any]] = {
    "amount": 4999,
    "currency": CURRENCY,
    "payment_method": "tok_approved",
    "description": "Order 2026-004217: two tickets, row 12",
    "metadata": {"order_id": "2026-004217", "channel": "web"},
}
TRANSFER: Final[Mapping[str, Any]] = {
    "amount": 7,
    "currency": CURRENCY,
    "description": "Invoice 2026-0042",
    "metadata": {"invoice": "2026-0042"},
}


@dataclass
class Shop:
    """A merchant with a webhook endpoint, a customer and two accounts, on a recorded platform."""

    platform: RecordedPlatform
    index_buckets: int
    merchant: str = ""
    customer: str = ""
    source: str = ""
    target: str = ""
    _credential: Any = None
    _dice: Random = field(default_factory=lambda: Random(SEED))

    @staticmethod
    def opened(index_buckets: int) -> Shop:
        """A new shop on a platform of its own."""
        shop = Shop(RecordedPlatform(SEED), index_buckets)
        shop.platform.record(shop._register)
        return shop

    def footprints(self) -> dict[str, Footprint]:
        """The footprint of each operation, by its name. Raises KeyRuleDiffers."""
        return {
            "sale": self._recorded("sale", self.sell),
            "sale to a customer": self._recorded(
                "sale to a customer", lambda: self.sell(customer_id=self.customer)
            ),
            "authorization": self._recorded("authorization", self._authorize),
            "capture": self._recorded("capture", self._operate("capture"), self._authorize),
            "refund": self._recorded("refund", self._operate("refund"), self.sell),
            "transfer": self._recorded("transfer", self._transfer),
            "balance": self._recorded("balance", self._get(f"/v1/accounts/{self.source}")),
            "balance of a hot account": self._recorded(
                "balance of a hot account",
                self._get(f"/v1/accounts/{receivable_account(self.merchant, CURRENCY)}"),
            ),
            "list": self._recorded("list", self._get("/v1/payments", limit=str(LIST_LIMIT))),
        }

    def sell(self, **changes: Any) -> str:
        """Id of a new payment."""
        made = self._post("/v1/payments", {**SALE, **changes}, 201)
        return str(made["id"])

    # ------------------------------------------------------------ requests

    def _register(self) -> None:
        shop = {
            "name": "Shop",
            "email": "owner@shop.example",
            "processor": "sandbox",
            "processor_config": {"webhook_secret": "a-secret-of-the-sandbox"},
            "webhook_url": Endpoints.url_of("shop"),
            "index_buckets": self.index_buckets,
        }
        self._credential = OPERATOR
        self.merchant = self._post("/v1/merchants", shop, 201)["id"]
        account = {"account_type": "wallet", "currency": CURRENCY, "merchant_id": self.merchant}
        rich = {**account, "opening_balance": 10**9}
        self.source = self._post("/v1/accounts", rich, 201)["id"]
        self.target = self._post("/v1/accounts", account, 201)["id"]
        self._credential = token(self.merchant, *EVERYTHING, subject=USER)
        who = {"name": "Jane Doe", "email": "jane@mail.example"}
        self.customer = self._post("/v1/customers", who, 201)["id"]

    def _authorize(self) -> str:
        return self.sell(capture_method="manual")

    def _operate(self, what: str) -> Callable[[str], object]:
        return lambda payment: self._post(f"/v1/payments/{payment}/{what}", {}, 200)

    def _transfer(self) -> object:
        accounts = {"from_account_id": self.source, "to_account_id": self.target}
        return self._post("/v1/transfers", {**TRANSFER, **accounts}, 201)

    def _get(self, path: str, **query: str) -> Callable[[], object]:
        request = HttpRequest("load", "GET", path, query=query, credential=self._credential)
        return lambda: self.platform.ask(request, 200)

    def _post(self, path: str, body: Mapping[str, Any], status: int) -> dict[str, Any]:
        key = id_at("key", BEGINNING, self._dice.randbytes(RANDOM_BYTES))
        headers = {"idempotency-key": key, "user-agent": USER_AGENT}
        request = HttpRequest(
            "load", "POST", path, body, headers=headers, credential=self._credential
        )
        return self.platform.ask(request, status)

    # ------------------------------------------------------------ recording

    def _recorded(
        self,
        name: str,
        action: Callable[..., object],
        before: Callable[[], str] | None = None,
    ) -> Footprint:
        """The footprint of `action`, which gets what `before` returns.

        It is repeated until caches are filled and no balance shard is written for the first time.
        """
        for attempt in range(MOST_TRIES):
            given = [] if before is None else [self._before(before)]
            try:
                recording = self.platform.record(partial(action, *given))
            except UnexpectedAnswer as error:
                if error.status != HTTPStatus.PAYMENT_REQUIRED:
                    raise
                continue  # the simulated sandbox refuses some captures
            if attempt > 0 and not opened_balance_rows(recording):
                break
        else:
            raise RuntimeError(f"{name} went on opening balance shards")
        known = {
            self.merchant: "{merchant}",
            self.customer: "{customer}",
            self.source: "{source}",
            self.target: "{target}",
            USER: f"{USER}@{{merchant}}",
        }
        return footprint_of(name, recording, known, self.index_buckets)

    def _before(self, make: Callable[[], str]) -> str:
        made: list[str] = []
        self.platform.record(lambda: made.append(make()))
        return made[0]
