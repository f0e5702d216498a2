"""Several webhook endpoints of one merchant over an hour of virtual time."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from standardwebhooks import Webhook as Verifier

from runtime.core.timestamps import to_timestamp
from simulation.outside import BEGINNING
from simulation.partners.receivers import Endpoints
from simulation.platform.history import WebhookReceived
from simulation.platform.http import EVERYTHING, OPERATOR, HttpRequest, token
from simulation.platform.plan import Plan
from simulation.platform.world import Platform

ENDPOINTS: Final = "/v1/webhook-endpoints"
SALE: Final = {"amount": 1_000, "currency": "USD", "payment_method": "tok_approved"}
ROUNDS: Final = 6
ROUND_SECONDS: Final = 600.0


class Shop:
    """A merchant without a first endpoint, and its two others: for sales, and for refunds."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.who = OPERATOR
        self.endpoints: dict[str, Any] = {}
        self.expected: dict[str, set[str]] = defaultdict(set)
        """Ids of what each endpoint must receive."""
        self.posts = self.refunds_before = 0
        self.recovered: Any = None

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        self.posts += 1
        headers = {"idempotency-key": f"post-{self.posts}"}
        request = HttpRequest(
            "shop/1.0", "POST", path, body=body, headers=headers, credential=self.who
        )
        answer = self.platform.api(request)
        assert answer.is_success, answer.text
        return answer.body

    def trade(self) -> None:
        """Create the endpoints, sell and refund for an hour in which one is down, recover it."""
        shop = self.post("/v1/merchants", {"name": "Shop", "email": "shop@shops.example"})
        self.who = token(shop["id"], *EVERYTHING, subject="user-of-the-shop")
        for name, event in (("sales", "payment.succeeded"), ("refunds", "refund.succeeded")):
            body = {"url": Endpoints.url_of(name), "events": [event]}
            self.endpoints[name] = self.post(ENDPOINTS, body)
        self.platform.endpoints.down.add("refunds")
        for _ in range(ROUNDS):
            self._sell_and_refund()
        self.refunds_before = sum(
            each.merchant_id == "refunds" for each in self.platform.deliveries
        )
        self.platform.endpoints.down.clear()
        path = f"{ENDPOINTS}/{self.endpoints['refunds']['id']}/recover"
        self.recovered = self.post(path, {"since": to_timestamp(BEGINNING)})
        self.platform.sleep(30.0)

    def _sell_and_refund(self) -> None:
        payment = self.post("/v1/payments", SALE)
        self.expected["sales"].add(payment["id"])
        refunded = self.post(f"/v1/payments/{payment['id']}/refund", {"amount": 300})
        self.expected["refunds"].add(refunded["transactions"][-1]["id"])
        self.platform.sleep(ROUND_SECONDS)


def _is_signed(received: WebhookReceived, headers: Mapping[str, str], secret: str) -> bool:
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    signature = Verifier(secret).sign(received.webhook_id, at, received.body.decode())
    return signature in headers["webhook-signature"].split()


def test_an_endpoint_that_was_down_for_an_hour_is_recovered_and_others_notice_nothing() -> None:
    platform = Platform("endpoints", Plan("endpoints", (), frozenset()))
    requests: list[tuple[WebhookReceived, Mapping[str, str]]] = []
    platform.endpoints.on_received = lambda one, headers: requests.append((one, headers))
    shop = Shop(platform)
    task = platform.scheduler.spawn(shop.trade, "shop")
    platform.scheduler.run(until=lambda: task.done)
    task.outcome()
    platform.scheduler.close()
    assert platform.log.defects == []
    assert shop.refunds_before == 0, "an endpoint that is down receives nothing"
    assert shop.recovered == {"recovered": ROUNDS, "has_more": False}
    ids: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for received, headers in requests:
        ids[received.merchant_id][json.loads(received.body)["data"]["id"]].add(received.webhook_id)
        for name, endpoint in shop.endpoints.items():
            assert _is_signed(received, headers, endpoint["secret"]) == (
                name == received.merchant_id
            )
    assert {name: set(found) for name, found in ids.items()} == shop.expected
    webhook_ids = [each for found in ids.values() for each in found.values()]
    assert all(len(each) == 1 for each in webhook_ids), "one id for each event and endpoint"
    assert len(set.union(*webhook_ids)) == 2 * ROUNDS
