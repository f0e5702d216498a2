"""What every run begins with: merchants, accounts with money, customers.

It is made through the API while nothing goes wrong yet, and depends on the seed of the run alone,
so that it stays the same when clients are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Protocol

from runtime.http.authorizer_context import Context
from simulation.partners.receivers import Endpoints
from simulation.platform.http import EVERYTHING, OPERATOR, HttpRequest, HttpResponse, token

CURRENCIES: Final = ("USD", "JPY", "KWD")
SANDBOX_SECRET: Final = "sandbox-secret-of-"  # noqa: S105 - of the simulated sandbox
OPENINGS: Final = (500_000, 100_000, 20_000, 5_000, 0)


@dataclass
class Shop:
    """A merchant, with what it has from the beginning."""

    name: str
    id: str
    processor: str
    webhook_secret: str
    processor_secret: str
    """With it notifications of its processor are signed."""
    processor_key: str
    credential: Context
    wallets: dict[str, list[str]] = field(default_factory=dict)
    """Accounts that change at once, by currency."""
    hot: list[str] = field(default_factory=list)
    """Hot accounts in the first currency; the first one has no money yet."""
    customers: list[str] = field(default_factory=list)


@dataclass
class InitialData:
    """All merchants."""

    shops: list[Shop]
    verdicts: list[tuple[str, Any]] = field(default_factory=list)
    """Answers about chains of the audit log, by the entities that were asked about."""

    def of_key(self, processor_key: str) -> Shop | None:
        """The merchant whose key at its processor this is; None for one that opened later."""
        return next((shop for shop in self.shops if shop.processor_key == processor_key), None)

    def of(self, processor: str) -> list[Shop]:
        """The merchants of a processor."""
        return [shop for shop in self.shops if shop.processor == processor]


class SetUp(Protocol):
    """What the initial data is created with."""

    def api(self, request: HttpRequest, impatience: float | None = None) -> HttpResponse:
        """One request."""
        ...

    def open_stripe_account(self, api_key: str) -> None:
        """An account at Stripe."""
        ...


@dataclass
class Builder:
    """Creates the initial data."""

    platform: SetUp
    seed: str
    _keys: int = 0

    def build(self) -> InitialData:
        """Three merchants at the sandbox and two at Stripe."""
        dice = Random(f"{self.seed}-town")
        shops = [
            self._shop("corner", "sandbox", 1),
            self._shop("bazaar", "sandbox", 4),
            self._shop("kiosk", "sandbox", 2, rate_limits={"payments_per_minute": 60}),
            self._shop("gallery", "stripe", 1),
            self._shop("harbour", "stripe", 2),
        ]
        for shop in shops:
            self._accounts(shop)
            shop.customers = [self._customer(shop, dice) for _ in range(4)]
        self._hook(shops[0], "refunds", "refund.succeeded", "refund.failed")
        self._hook(shops[0], "books")
        self._hook(shops[3], "sales", "payment.succeeded", "payment.failed")
        return InitialData(shops)

    def _shop(self, name: str, processor: str, index_buckets: int, **more: Any) -> Shop:
        key, secret = f"sk_test_{name}", f"{SANDBOX_SECRET}{name}"
        config = {"webhook_secret": secret}
        if processor == "stripe":
            secret = f"whsec_{name}"
            config = {"api_key": key, "webhook_secret": secret}
            self.platform.open_stripe_account(key)
        made = self._post(
            "/v1/merchants",
            {
                "name": name,
                "email": f"{name}@shops.example",
                "processor": processor,
                "processor_config": config,
                "webhook_url": Endpoints.url_of(name),
                "index_buckets": index_buckets,
                **more,
            },
        )
        return Shop(
            name,
            made["id"],
            processor,
            made["webhook_secret"],
            secret,
            key,
            token(made["id"], *EVERYTHING, subject=f"user-of-{name}"),
        )

    def _hook(self, shop: Shop, name: str, *events: str) -> None:
        """Another endpoint, for some events or for all."""
        body = {"url": Endpoints.url_of(f"{shop.name}-{name}"), "events": list(events) or None}
        self._post("/v1/webhook-endpoints", body, credential=shop.credential)

    def _accounts(self, shop: Shop) -> None:
        def opened(currency: str, **more: Any) -> str:
            account = {"account_type": "wallet", "currency": currency, "merchant_id": shop.id}
            return str(self._post("/v1/accounts", {**account, **more})["id"])

        first, *others = CURRENCIES
        shop.wallets[first] = [opened(first, opening_balance=each) for each in OPENINGS]
        shop.wallets[first].append(opened(first, credit_limit=10_000))
        for currency in others:
            shop.wallets[currency] = [
                opened(currency, opening_balance=30_000),
                opened(currency),
            ]
        shop.hot = [
            opened(first, posting="folded"),
            opened(first, posting="folded", opening_balance=50_000),
        ]

    def _customer(self, shop: Shop, dice: Random) -> str:
        number = dice.randrange(10**6)
        body = {"name": f"Customer {number}", "email": f"c{number}@mail.example"}
        made = self._post("/v1/customers", body, credential=shop.credential)
        return str(made["id"])

    def _post(
        self, path: str, body: Mapping[str, Any], credential: Context = OPERATOR
    ) -> dict[str, Any]:
        self._keys += 1
        headers = {"idempotency-key": f"set-up-{self._keys}"}
        answer = self.platform.api(
            HttpRequest("set-up", "POST", path, body, headers=headers, credential=credential)
        )
        assert answer.status == 201, answer.text
        made: dict[str, Any] = answer.body
        return made
