"""The demo's payments of several steps: authorized, captured, refunded; and a lost answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from local.api_client import ApiClient
from local.demo.checks import hold
from local.schedules import tick
from local.stackfile import Stack
from runtime.core.money import format_amount

CURRENCY: Final = "GBP"
AUTHORIZED: Final = 12_000
CAPTURED: Final = 9_000
REFUNDED: Final = 2_500
LOST: Final = 4_200
"""The amount of the charge whose answer is lost."""
_OK, _CREATED, _ACCEPTED, _CONFLICT, _REFUSED = 200, 201, 202, 409, 422


@dataclass(frozen=True)
class Operated:
    """One payment as the list and the summary must show it; amounts in minor units."""

    payment_id: str
    currency: str
    captured: int
    refunded: int = 0


def operate(stack: Stack, client: ApiClient, console: Console) -> tuple[Operated, ...]:
    """Authorize, capture and refund in part; lose an answer and have it resolved.

    Raises:
        LocalError: a step did not have the expected result.
    """
    authorized = _authorize_and_capture(client, console)
    _refund(client, authorized, console)
    found = _lose_an_answer(stack, client, console)
    return (
        Operated(authorized, CURRENCY, CAPTURED, REFUNDED),
        Operated(found, CURRENCY, LOST),
    )


def news_of(operated: tuple[Operated, ...]) -> list[tuple[str, str]]:
    """The webhooks expected for these payments: their types and payments."""
    authorized, found = operated
    return [
        ("payment.requires_capture", authorized.payment_id),
        ("payment.succeeded", authorized.payment_id),
        ("refund.succeeded", authorized.payment_id),
        ("payment.unknown", found.payment_id),
        ("payment.succeeded", found.payment_id),
    ]


def _order(amount: int, method: str, **more: Any) -> dict[str, Any]:
    return {"amount": amount, "currency": CURRENCY, "payment_method": method, **more}


def _shown(amount: int) -> str:
    return format_amount(amount, CURRENCY)


def _authorize_and_capture(client: ApiClient, console: Console) -> str:
    body = _order(AUTHORIZED, "tok_approved", capture_method="manual", description="Encyclopedia")
    payment = client.post("/v1/payments", body, key=str(uuid4())).require(_CREATED)
    hold(payment["status"] == "requires_capture", f"the authorization is {payment['status']}")
    hold(payment["amount_captured"] == 0, "an authorization has already taken money")
    path = f"/v1/payments/{payment['id']}"
    captured = client.post(f"{path}/capture", {"amount": CAPTURED}, key=str(uuid4())).require(_OK)
    hold(captured["status"] == "succeeded", f"the captured payment is {captured['status']}")
    hold(captured["amount_captured"] == CAPTURED, f"{captured['amount_captured']} were captured")
    hold(captured["amount_capturable"] == 0, "the rest was not released")
    late = client.post(f"{path}/cancel", {}, key=str(uuid4())).require(_CONFLICT)
    hold("succeeded" in late["detail"], f"canceling it says: {late['detail']}")
    console.print(
        f"5. {_shown(AUTHORIZED)} are only authorized; {_shown(CAPTURED)} can be delivered and are "
        "captured,\n   the rest is released; canceling it now is refused (409)"
    )
    identifier: str = payment["id"]
    return identifier


def _refund(client: ApiClient, payment_id: str, console: Console) -> None:
    path, key = f"/v1/payments/{payment_id}/refund", str(uuid4())
    body = {"amount": REFUNDED, "reason": "One volume was damaged"}
    first = client.post(path, body, key=key)
    refunded = first.require(_OK)
    hold(refunded["amount_refunded"] == REFUNDED, f"{refunded['amount_refunded']} were refunded")
    again = client.post(path, body, key=key)
    same = (again.status, again.text) == (first.status, first.text)
    hold(same, f"the refund was answered differently the second time: {again.text[:200]}")
    hold(again.headers.get("idempotent-replayed") == "true", "the replayed refund is not marked")
    left = CAPTURED - REFUNDED
    too_much = client.post(path, {"amount": left + 1}, key=str(uuid4())).require(_REFUSED)
    hold(too_much["code"] == "amount_too_large", f"a too large refund says {too_much['code']}")
    read = client.get(f"/v1/payments/{payment_id}").require(_OK)
    done = [(each["type"], each["amount"], each["status"]) for each in read["transactions"]]
    expected = [
        ("authorization", AUTHORIZED, "succeeded"),
        ("capture", CAPTURED, "succeeded"),
        ("refund", REFUNDED, "succeeded"),
    ]
    hold(done == expected, f"the payment's transactions are {done}")
    console.print(
        f"6. {_shown(REFUNDED)} are refunded; the same request again gets the same bytes and "
        f"gives back\n   nothing more; one penny above what is left is refused (422):\n   "
        f"[dim]{too_much['detail']}[/dim]"
    )
    table = Table("done", "amount", "fee", Column("at the processor", no_wrap=True), box=SIMPLE)
    for each in read["transactions"]:
        amounts = (_shown(each["amount"]), _shown(each["fee"]))
        table.add_row(each["type"], *amounts, each["processor_id"])
    console.print(table)


def _lose_an_answer(stack: Stack, client: ApiClient, console: Console) -> str:
    body, key = _order(LOST, "tok_timeout", description="Globe"), str(uuid4())
    lost = client.post("/v1/payments", body, key=key).require(_ACCEPTED)
    hold(lost["status"] == "unknown", f"a payment without an answer is {lost['status']}")
    tick(stack, "resolver")
    found = client.post("/v1/payments", body, key=key).require(_CREATED)
    hold(found["id"] == lost["id"], "the repeated request became another payment")
    hold(found["status"] == "succeeded", f"the resolved payment is {found['status']}")
    read = client.get(f"/v1/payments/{lost['id']}").require(_OK)
    charges = [each for each in read["transactions"] if each["type"] == "capture"]
    hold(len(charges) == 1, f"{len(charges)} charges were made instead of one")
    console.print(
        f"7. The processor's answer about {_shown(LOST)} gets lost: the payment is "
        f"[yellow]202 unknown[/]: it may be charged or not;\n   the resolver asks what became of "
        f"it, and the same request now says [green]201 succeeded[/]: one payment, one charge"
    )
    identifier: str = found["id"]
    return identifier
