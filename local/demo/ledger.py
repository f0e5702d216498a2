"""The ledger's part of the demo: transfers, a hold, a statement, ledger verification."""

from __future__ import annotations

import time
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

CURRENCY: Final = "EUR"
OPENING: Final = 100_000
SETTLED_WITHIN_SECONDS: Final = 90.0
"""How long the demo waits for the change stream; usually it takes less than one."""
POLL_SECONDS: Final = 0.2
_CREATED, _REFUSED = 201, 422


def keep_books(
    stack: Stack, operator: ApiClient, client: ApiClient, merchant: str, console: Console
) -> None:
    """Move money, refuse a transfer, hold money, read the statement, verify the ledger."""
    wallet = _open(operator, merchant, OPENING)
    savings = _open(operator, merchant, 0)
    console.print(
        f"14. Two accounts: [cyan]{wallet}[/cyan] with "
        f"{format_amount(OPENING, CURRENCY)}, [cyan]{savings}[/cyan] with nothing"
    )
    _move(client, wallet, savings, console)
    _hold_and_post(client, wallet, savings, console)
    _statement(client, wallet, console)
    _prove(stack, operator, console)


def _open(operator: ApiClient, merchant: str, balance: int) -> str:
    body = {
        "account_type": "wallet",
        "currency": CURRENCY,
        "merchant_id": merchant,
        "opening_balance": balance,
    }
    account = operator.post("/v1/accounts", body, key=str(uuid4())).require(_CREATED)
    hold(account["balance"] == balance, f"an account was opened with {account['balance']}")
    found: str = account["id"]
    return found


def _order(source: str, target: str, amount: int, **more: Any) -> dict[str, Any]:
    return {
        "from_account_id": source,
        "to_account_id": target,
        "amount": amount,
        "currency": CURRENCY,
        **more,
    }


def _move(client: ApiClient, wallet: str, savings: str, console: Console) -> None:
    body = _order(wallet, savings, 30_000, expand=["balances_after"])
    moved = client.post("/v1/transfers", body, key=str(uuid4())).require(_CREATED)
    after = moved["balances_after"]
    hold(after == {wallet: 70_000, savings: 30_000}, f"the balances after are {after}")
    short = client.post("/v1/transfers", _order(wallet, savings, 70_001), key=str(uuid4()))
    problem = short.require(_REFUSED)
    hold(problem["code"] == "insufficient_funds", f"the refusal says {problem['code']}")
    recorded = client.get(f"/v1/transfers/{problem['transfer_id']}").require(200)
    hold(recorded["status"] == "failed", "the refused attempt is not recorded")
    console.print(
        f"   {format_amount(30_000, CURRENCY)} moves in one commit; one cent too much is refused "
        f"and recorded:\n   [dim]{problem['detail']}[/dim]"
    )


def _hold_and_post(client: ApiClient, wallet: str, savings: str, console: Console) -> None:
    body = _order(wallet, savings, 50_000, hold=True)
    held = client.post("/v1/transfers", body, key=str(uuid4())).require(_CREATED)
    during = client.get(f"/v1/accounts/{wallet}").require(200)
    hold((during["balance"], during["available"]) == (70_000, 20_000), "the hold has no effect")
    path = f"/v1/transfers/{held['id']}"
    posted = client.post(f"{path}/post", {"amount": 20_000}, key=str(uuid4())).require(200)
    hold(posted["status"] == "processed", f"the posted hold is {posted['status']}")
    late = client.post(f"{path}/cancel", {}, key=str(uuid4())).require(409)
    hold(late["code"] == "already_posted", f"canceling it says {late['code']}")
    console.print(
        f"   {format_amount(50_000, CURRENCY)} are held, {format_amount(20_000, CURRENCY)} of them "
        "posted, the rest released; canceling it now is refused (409)"
    )


def _statement(client: ApiClient, wallet: str, console: Console) -> None:
    lines = _entries(client, wallet, 3)
    table = Table(Column("transfer", no_wrap=True), "amount", "balance after", box=SIMPLE)
    for line in lines:
        amounts = (format_amount(line[name], CURRENCY) for name in ("amount", "balance_after"))
        table.add_row(line["transfer_id"], *amounts)
    console.print("\n15. The wallet's statement, derived from the change stream:")
    console.print(table)
    balances = [line["balance_after"] for line in lines]
    hold(balances == [50_000, 70_000, OPENING], f"the statement's balances are {balances}")


def _entries(client: ApiClient, account: str, expected: int) -> list[Any]:
    until = time.monotonic() + SETTLED_WITHIN_SECONDS
    while True:
        lines: list[Any] = client.get(f"/v1/accounts/{account}/entries").require(200)["data"]
        if len(lines) >= expected or time.monotonic() > until:
            return lines
        time.sleep(POLL_SECONDS)


def _prove(stack: Stack, operator: ApiClient, console: Console) -> None:
    tick(stack, "proof", kind="full")
    proof = operator.get("/v1/proof").require(200)
    table = Table("check", Column("counted", justify="right"), "holds", box=SIMPLE)
    for check in proof["checks"]:
        table.add_row(
            check["name"], str(check["counted"]), "yes" if check["holds"] else "[red]no[/]"
        )
    console.print("16. Ledger verification: every account, entry, transfer and payment is read")
    console.print(table)
    hold(proof["holds"], f"the ledger does not balance: {proof['checks']}")
