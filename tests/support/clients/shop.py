"""A shop that uses the Python client, as its own program: `python shop.py sell|finish`.

It runs on an interpreter that has the client and nothing of the platform. Standard input has the
arguments, standard output the results, both as JSON. `clients/typescript/tests/shop.ts` is the
same in TypeScript.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from payments_client import (
    ApiError,
    RetryPolicy,
    answer,
    connect,
    items,
    items_async,
    verified_event,
    wait_for_outcome,
)
from payments_client.generated.api.payments import create_payment, list_payments, refund_payment
from payments_client.generated.client import AuthenticatedClient
from payments_client.generated.models import (
    CreatedPayment,
    PaymentRefundRequest,
    PaymentRequest,
)

POLICY = RetryPolicy(max_attempts=8)


def sell(api_url: str, token: str, expired: str) -> dict[str, Any]:
    """Pay, refund, list, and meet three errors."""
    with connect(api_url, token, policy=POLICY) as client:
        payments = [_pay(client, 1000 + number, f"sale-{number}") for number in range(3)]
        again = _pay(client, 1000, "sale-0")
        refund = PaymentRefundRequest(amount=300, reason="One was damaged")
        refunded = refund_payment.sync(payments[0].id, client=client, body=refund)
        return {
            "paid": [payment.id for payment in payments],
            "again": again.id,
            "refunded": answer(refunded).amount_refunded,
            "listed": _listed(client, len(payments)),
            "listed_async": asyncio.run(_listed_async(client)),
            "unknown": _pay(client, 5000, "unknown", "tok_timeout").status,
            "declined": _error(lambda: _pay(client, 1, "declined", "tok_insufficient_funds")),
            "invalid": _error(lambda: _pay(client, -1, "invalid")),
            "expired": _error(lambda: _pay(connect(api_url, expired), 1, "expired")),
        }


def finish(api_url: str, token: str, webhook: dict[str, Any]) -> dict[str, Any]:
    """Wait for the outcome of the payment whose answer was lost, and verify a webhook."""
    with connect(api_url, token, policy=POLICY) as client:
        payment = wait_for_outcome(client, _pay(client, 5000, "unknown", "tok_timeout"))
    event = verified_event(webhook["body"], webhook["headers"], webhook["secret"])
    return {"status": payment.status, "event": event.type, "payment": event.data["id"]}


def _pay(
    client: AuthenticatedClient, amount: int, key: str, method: str = "tok_approved"
) -> CreatedPayment:
    sale = PaymentRequest(amount=amount, currency="USD", payment_method=method)
    return answer(create_payment.sync(client=client, body=sale, idempotency_key=key))


def _listed(client: AuthenticatedClient, count: int) -> list[str]:
    """Lists may lag by some seconds."""
    for _ in range(20):
        pages = items(list_payments.sync, client=client, limit=1, status="succeeded")
        found = [payment.id for payment in pages]
        if len(found) == count:
            break
        time.sleep(0.5)
    return found


async def _listed_async(client: AuthenticatedClient) -> list[str]:
    async with client:
        pages = items_async(list_payments.asyncio, client=client, limit=2, status="succeeded")
        return [payment.id async for payment in pages]


def _error(action: Callable[[], object]) -> dict[str, Any]:
    try:
        action()
    except ApiError as error:
        fields = ("status", "code", "param", "decline_code", "payment_id", "request_id")
        return {"type": type(error).__name__} | {name: getattr(error, name) for name in fields}
    raise AssertionError("it was not refused")


if __name__ == "__main__":
    commands: dict[str, Callable[..., dict[str, Any]]] = {"sell": sell, "finish": finish}
    print(json.dumps(commands[sys.argv[1]](**json.load(sys.stdin))))
