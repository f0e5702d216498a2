"""CPU time of what is derived from a transfer: the projections of its rows, and the archive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.bill.counted_stage import ARCHIVE, PROJECT, CountedStage
from benchmarks.requests.client_cpu import client_cpu_seconds
from simulation.platform.http import EVERYTHING, OPERATOR, HttpRequest, token

WARMING_TRANSFERS: Final = 10
CLIENT_CALLS: Final = 300
ROUNDS: Final = 3
"""The best of so many rounds counts: other processes can only make a round slower."""
TITLES: Final = {
    PROJECT: "derived later: entries, balances, audit rows",
    ARCHIVE: "derived later: the archive of audit rows",
}


class Shop:
    """A merchant with two accounts, on a stage of its own, without a webhook endpoint.

    No rival sends webhooks.
    """

    def __init__(self) -> None:
        self.stage = CountedStage()
        self._requests = 0
        merchant = self._post(
            "/v1/merchants", {"name": "Bench Shop", "email": "bench@shops.example"}, OPERATOR
        )
        self._caller = token(merchant, *EVERYTHING, subject="shop-backend@7d1f0c2a")
        wallet = {"account_type": "wallet", "currency": "USD", "merchant_id": merchant}
        self._source = self._post("/v1/accounts", {**wallet, "opening_balance": 10**9}, OPERATOR)
        self._target = self._post("/v1/accounts", wallet, OPERATOR)

    def transfer(self) -> None:
        """One transfer."""
        body = {
            "from_account_id": self._source,
            "to_account_id": self._target,
            "amount": 1,
            "currency": "USD",
            "description": "Invoice 2026-0042",
        }
        self._post("/v1/transfers", body, self._caller)

    def _post(self, path: str, body: Mapping[str, Any], caller: Any) -> str:
        self._requests += 1
        headers = {"idempotency-key": f"{self._requests:036d}", "user-agent": "shop/1.0"}
        request = HttpRequest("bench", "POST", path, dict(body), headers=headers, credential=caller)
        response = self.stage.api(request)
        if response.status != 201:
            raise RuntimeError(f"{path} was answered {response.status}: {response.text}")
        identifier: str = response.body["id"]
        return identifier


def derived_seconds(transfers: int) -> dict[str, float]:
    """Seconds of CPU time of a transfer by what they are for, in batches, with the lean client."""
    shop = Shop()
    for _ in range(WARMING_TRANSFERS):
        shop.transfer()
    shop.stage.drain()
    lean = shop.stage.has_lean_client
    a_call = min(client_cpu_seconds(CLIENT_CALLS, lean=lean) for _ in range(ROUNDS))
    rounds = [_round(shop, transfers, a_call) for _ in range(ROUNDS)]
    return {title: min(each[name] for each in rounds) for name, title in TITLES.items()}


def _round(shop: Shop, transfers: int, a_call: float) -> dict[str, float]:
    shop.stage.forget_uses()
    for _ in range(transfers):
        shop.transfer()
    shop.stage.drain()
    uses = shop.stage.uses
    return {name: (uses[name].cpu + uses[name].calls * a_call) / transfers for name in TITLES}
