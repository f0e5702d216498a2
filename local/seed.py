"""`make seed`: a merchant, customers and accounts. A second run finds the same ones."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import Any, Final

from local.api_client import ApiClient
from local.deploy import up
from local.emulator.ports import parse_port
from local.progress import Progress
from local.stackfile import Stack
from local.workspace import Workspace

MERCHANT: Final = {
    "name": "Corner Books",
    "email": "owner@corner-books.example",
    "processor": "sandbox",
    "rate_limits": {"max_payment_amount": 5_000_000},
}
CUSTOMERS: Final = (
    {"name": "Ada Byron", "email": "ada@readers.example", "phone": "+44 20 7946 0001"},
    {"name": "Tomoko Sato", "email": "tomoko@readers.example"},
    {"name": "Yusuf Al-Sabah", "email": "yusuf@readers.example"},
)
ACCOUNTS: Final = (
    {"account_type": "wallet", "currency": "USD"},
    {"account_type": "wallet", "currency": "JPY"},
    {"account_type": "savings", "currency": "KWD"},
)
_PERMISSIONS: Final = ("payments", "customers", "accounts", "reports")


def seeded_merchant(stack: Stack, workspace: Workspace) -> dict[str, Any]:
    """The merchant of `make seed`, made if it is missing, as its creation answered.

    So with its webhook secret, which the answers of other requests do not contain.

    Raises:
        UnexpectedAnswer: the API refused.
    """
    operator = ApiClient.of_operator(stack, workspace)
    made = operator.post("/v1/merchants", MERCHANT, key="seed-merchant")
    merchant: dict[str, Any] = made.require(HTTPStatus.CREATED)
    return merchant


def seed(workspace: Workspace, progress: Progress) -> None:
    """Deploy if needed, create them under fixed idempotency keys, and print their ids.

    Also the merchant's webhook secret, which the API shows at its creation alone.

    Raises:
        LocalError: the local stage cannot be started, or its API refused.
    """
    port = os.environ.get("PORT") or None
    stack = up(workspace, None if port is None else parse_port(port), progress)
    merchant = seeded_merchant(stack, workspace)
    client = ApiClient.of_merchant(stack, workspace, merchant["id"], *_PERMISSIONS)
    print(f"merchant  {merchant['id']}  {merchant['name']}")
    print(f"secret    {merchant['webhook_secret']}  signs its webhooks; the API shows it once")
    for number, (customer, account) in enumerate(zip(CUSTOMERS, ACCOUNTS, strict=True)):
        made = client.post("/v1/customers", customer, key=f"seed-customer-{number}").require(201)
        print(f"customer  {made['id']}  {made['name']}")
        wanted: dict[str, Any] = {**account, "customer_id": made["id"]}
        opened = client.post("/v1/accounts", wanted, key=f"seed-account-{number}").require(201)
        print(f"account   {opened['id']}  {opened['account_type']}, {opened['formatted_balance']}")
    progress.say(f'A token for it: make -s token ARGS="--merchant {merchant["id"]}"')
