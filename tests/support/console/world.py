"""A merchant with some of everything that the console's screens show."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from uuid import uuid4

from local.api_client import ApiClient
from tests.e2e.conftest import Deployment
from tests.support.stages.patience import PATIENCE_SECONDS

Found = TypeVar("Found")
SETTLEMENT_HEADER: Final = (
    "payment_id,transaction_id,status,amount,fee,net,currency,processed_date,settlement_date"
)
_USD: Final = {"currency": "USD"}


@dataclass
class World:
    """Ids by name, and a client that may do all that merchants may."""

    merchant_id: str
    client: ApiClient
    operator: ApiClient
    ids: dict[str, str] = field(default_factory=dict)


def until(read: Callable[[], Found | None]) -> Found:
    """What `read` returns, once it returns something: streams and queues take their time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := read()):
        assert time.monotonic() < deadline, f"nothing within {PATIENCE_SECONDS} s"
        time.sleep(0.2)
    return found


def made(client: ApiClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What a POST creates; a declined payment too."""
    reply = client.post(path, body, key=uuid4().hex)
    answer: dict[str, Any] = reply.require(200, 201, 202, 402)
    return answer


def made_world(deployment: Deployment) -> World:
    """Create it through the API, as a shop and an operator do."""
    shop = deployment.shop(name="Alpine Bikes")
    world = World(shop.merchant_id, shop.client, deployment.operator)
    _people(world)
    _sales(world)
    _money(world)
    _settlement(world, deployment)
    _rest(world)
    return world


def _people(world: World) -> None:
    person = {"name": "Ada Byron", "email": "ada@riders.example", "phone": "+44 20 7946 0001"}
    world.ids["customer"] = made(world.client, "/v1/customers", person)["id"]
    card = {"type": "card", "token": "tok_approved", "last4": "4242", "brand": "visa"}
    methods = f"/v1/customers/{world.ids['customer']}/payment-methods"
    world.ids["payment_method"] = made(world.client, methods, card)["id"]


def _sales(world: World) -> None:
    def sale(name: str, amount: int, currency: str, **given: Any) -> None:
        body = {"amount": amount, "currency": currency, "payment_method": "tok_approved", **given}
        paid = made(world.client, "/v1/payments", body)
        world.ids[name] = str(paid.get("payment_id") or paid["id"])

    buyer = {"customer_id": world.ids["customer"], "metadata": {"frame": "54 cm"}}
    sale("paid", 123_456, "USD", reference="order-1001", description="A road bike", **buyer)
    sale("yen", 84_000, "JPY", reference="order-1002", **buyer)
    sale("dinar", 75_500, "KWD", reference="order-1003")
    sale("authorized", 64_900, "EUR", reference="order-1004", capture_method="manual", **buyer)
    sale("declined", 5_000, "USD", reference="order-1005", payment_method="tok_declined")
    sale("refunded", 20_000, "USD", reference="order-1006")
    refund = {"amount": 2_500, "reason": "a scratch"}
    made(world.client, f"/v1/payments/{world.ids['refunded']}/refund", refund)


def _money(world: World) -> None:
    owned = {"merchant_id": world.merchant_id, "account_type": "wallet", **_USD}
    funded = made(world.operator, "/v1/accounts", {**owned, "opening_balance": 500_000})
    wallet = {"account_type": "wallet", "customer_id": world.ids["customer"], **_USD}
    world.ids["account"] = funded["id"]
    world.ids["wallet"] = made(world.client, "/v1/accounts", wallet)["id"]
    moved = {
        "from_account_id": world.ids["account"],
        "to_account_id": world.ids["wallet"],
        "amount": 12_000,
        "description": "Store credit",
        **_USD,
    }
    world.ids["transfer"] = made(world.client, "/v1/transfers", moved)["id"]
    world.ids["hold"] = made(world.client, "/v1/transfers", {**moved, "hold": True})["id"]


def _settlement(world: World, deployment: Deployment) -> None:
    """A file with a line that matches, one of another amount, and one of nothing that we know."""
    paid, refunded = (
        next(each for each in _transactions(world, name) if each["type"] == "capture")
        for name in ("paid", "refunded")
    )
    fee = paid["fee"]
    lines = (
        SETTLEMENT_HEADER,
        f"{world.ids['paid']},{paid['id']},settled,123456,{fee},{123_456 - fee},USD,"
        "2026-01-01,2026-01-02",
        f"{world.ids['refunded']},{refunded['id']},settled,19000,{refunded['fee']},"
        f"{19_000 - refunded['fee']},USD,2026-01-01,2026-01-02",
        "pay_unknown,txn_unknown,settled,500,0,500,USD,2026-01-01,2026-01-02",
        "pay_strange,txn_strange,settled,700,0,700,USD,2026-01-01,2026-01-02",
        "",
    )
    put_settlement_file(deployment, world.merchant_id, "2026-01-02.csv", "\n".join(lines))
    world.ids["settlement"] = settlement_of(world.client)["id"]


def _transactions(world: World, name: str) -> list[dict[str, Any]]:
    payment = world.client.get(f"/v1/payments/{world.ids[name]}").require(200)
    transactions: list[dict[str, Any]] = payment["transactions"]
    return transactions


def put_settlement_file(deployment: Deployment, merchant: str, name: str, text: str) -> None:
    """Put a file into the bucket, as a processor's SFTP connector does."""
    deployment.aws.files.put_object(
        Bucket=deployment.stack.buckets["settlement"],
        Key=f"reconciliation/{merchant}/{name}",
        Body=text.encode(),
    )


def settlement_of(client: ApiClient) -> dict[str, Any]:
    """The merchant's settlement, once its file has been read to the end."""

    def read() -> dict[str, Any] | None:
        found = client.get("/v1/settlements").require(200)["data"]
        return next((each for each in found if each["status"].startswith("completed")), None)

    return until(read)


def _rest(world: World) -> None:
    endpoint = {"url": "http://127.0.0.1:9/hooks", "description": "The shop's server"}
    world.ids["webhook_endpoint"] = made(world.client, "/v1/webhook-endpoints", endpoint)["id"]
    sale = {"amount": 3_000, "payment_method": "tok_approved", "reference": "order-1007", **_USD}
    world.ids["announced"] = made(world.client, "/v1/payments", sale)["id"]
    export = {"kind": "payments", "format": "csv"}
    world.ids["export"] = made(world.client, "/v1/exports", export)["id"]
    machine = {"name": "Warehouse", "permissions": ["reports"]}
    world.ids["api_key"] = made(world.client, "/v1/api-keys", machine)["id"]
    world.ids["webhook"] = until(lambda: _delivery(world))


def _delivery(world: World) -> str | None:
    """A delivery that has been tried: nothing listens at the endpoint."""
    found = world.client.get("/v1/webhooks").require(200)["data"]
    return next((str(each["id"]) for each in found if each["attempts"]), None)
