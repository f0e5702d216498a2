"""Every list, asked by an operator: what it has without `merchant_id`, and acting for a merchant.

And what can be searched for by any id that a person may have at hand, by a merchant and for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import pytest

from local.api_client import ApiClient, Reply
from runtime.api.document.operators import LISTS, WithoutMerchant
from runtime.api.endpoints import ENDPOINTS
from tests.e2e.conftest import Deployment, Shop
from tests.e2e.test_isolation import NEEDED_QUERY
from tests.support.stages.patience import PATIENCE_SECONDS

PATHS: Final = {each.operation: each.path for each in ENDPOINTS}
FOR_OPERATORS_ONLY: Final = {"listMerchants", "listProcessorEvents"}


@pytest.fixture(scope="module")
def paying(deployment: Deployment) -> Shop:
    shop = deployment.shop()
    sale = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}
    shop.client.post("/v1/payments", sale, key=uuid4().hex).require(201)
    shop.summary(1)
    return shop


def settles(read: Callable[[], Any], expected: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE_SECONDS
    while (found := read()) != (wanted := expected()):
        assert time.monotonic() < until, f"{found} is not {wanted}"
        time.sleep(0.3)
    return found


@pytest.mark.parametrize("operation", LISTS)
def test_a_list_has_for_an_operator_what_the_document_says(
    operation: str, deployment: Deployment, paying: Shop
) -> None:
    path, query = PATHS[operation], NEEDED_QUERY.get(operation, {})
    operator, merchant = deployment.operator, paying.merchant_id
    without = operator.get(path, **query)
    if LISTS[operation][0] is WithoutMerchant.REQUIRED or operation == "listTransactions":
        assert (without.status, without.body["param"]) == (422, "merchant_id"), without.text
    elif LISTS[operation][0] is WithoutMerchant.PLATFORMS:
        assert merchant not in {row.get("merchant_id") for row in without.require(200)["data"]}
    else:
        without.require(200)
    if operation in FOR_OPERATORS_ONLY:
        assert paying.client.get(path, **query).status == 403
        operator.get(path, **query, merchant_id=merchant).require(200)
        return
    assert paying.client.get(path, **query, merchant_id=merchant).status == 403
    settles(
        lambda: shown(operator.get(path, **query, merchant_id=merchant)),
        lambda: shown(paying.client.get(path, **query)),
    )


def shown(reply: Reply) -> Any:
    """The rows of a list, or the figures of the summary, whose end is the time of the request."""
    answer = reply.require(200)
    return answer["data"] if "data" in answer else answer["by_currency"]


def members(client: ApiClient, path: str, query: dict[str, str], member: str) -> set[str]:
    return {row[member] for row in client.get(path, **query).require(200)["data"]}


@pytest.mark.parametrize("way", ["processor_id", "idempotency_key", "request_id"])
def test_a_payment_is_found_by_any_of_its_ids_by_its_merchant_and_for_it(
    way: str, deployment: Deployment, shop: Shop
) -> None:
    key, sale = uuid4().hex, {"amount": 700, "currency": "USD", "payment_method": "tok_approved"}
    reply = shop.client.post("/v1/payments", sale, key=key)
    payment, request_id = reply.require(201)["id"], reply.headers["x-request-id"]
    [transaction] = shop.client.get(f"/v1/payments/{payment}").require(200)["transactions"]
    path, value, member = {
        "processor_id": ("/v1/transactions", transaction["processor_id"], "payment_id"),
        "idempotency_key": ("/v1/payments", key, "id"),
        "request_id": ("/v1/audit", request_id, "entity_id"),
    }[way]
    query = {way: value}
    acting = {**query, "merchant_id": shop.merchant_id}
    settles(lambda: payment in members(shop.client, path, query, member), lambda: True)
    assert payment in members(deployment.operator, path, acting, member)
    stranger = deployment.shop()
    assert members(stranger.client, path, query, member) == set()
    other = {**query, "merchant_id": stranger.merchant_id}
    assert members(deployment.operator, path, other, member) == set()
