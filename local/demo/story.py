"""`make demo`: the whole system step by step, on a real deployment, each step checked."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from local.api_client import ApiClient
from local.demo import audit, ledger, operations, trace, webhooks
from local.demo import settlement as demo_settlement
from local.demo.checks import hold
from local.demo.operations import Operated
from local.demo.webhooks import WebhookReceiver
from local.deploy import up
from local.emulator.ports import parse_port
from local.progress import Progress
from local.stackfile import Stack
from local.workspace import Workspace
from runtime.core.money import format_amount

SAMPLE: Final = Path(__file__).with_name("sample_payments.jsonl")
PAGE: Final = 8
SUMMED_WITHIN_SECONDS: Final = 90.0
"""Totals follow the payments through their stream."""
POLL_SECONDS: Final = 0.5
_PERMISSIONS: Final = (
    "payments",
    "refunds",
    "customers",
    "accounts",
    "transfers",
    "reports",
    "merchant",
)
_SUMMED: Final = ("captured", "refunded", "fees", "net")
_CREATED, _DECLINED = 201, 402


@dataclass(frozen=True)
class Taken:
    """One request of the sample and its result."""

    request: dict[str, Any]
    key: str
    status: int
    text: str

    @property
    def payment_id(self) -> str:
        """Declined ones have an id too."""
        body = json.loads(self.text)
        identifier: str = body["id"] if self.status == _CREATED else body["payment_id"]
        return identifier

    @property
    def news(self) -> tuple[str, str]:
        """The expected webhook: its type, and the id of its subject."""
        outcome = "succeeded" if self.status == _CREATED else "failed"
        return f"payment.{outcome}", self.payment_id


def demo(workspace: Workspace, progress: Progress) -> None:
    """Deploy if needed, then run the demo.

    Raises:
        LocalError: the first step with an unexpected result.
    """
    port = os.environ.get("PORT") or None
    stack = up(workspace, None if port is None else parse_port(port), progress)
    console = _console()
    console.print(f"\n[bold]A payment platform, deployed by the CDK to[/bold] {stack.api_url}\n")
    with webhooks.receiving() as receiver:
        _tell(stack, workspace, receiver, progress, console)


def _tell(
    stack: Stack,
    workspace: Workspace,
    receiver: WebhookReceiver,
    progress: Progress,
    console: Console,
) -> None:
    """The demo, with a merchant whose endpoint listens on this machine."""
    merchant, client = _open_shop(stack, workspace, receiver, console)
    taken = _take_payments(client, console)
    _replay(client, taken, console)
    operated = operations.operate(stack, client, console)
    _list(client, [t.payment_id for t in taken] + [o.payment_id for o in operated], console)
    charged = [one.payment_id for one in operated]
    charged += [one.payment_id for one in taken if one.status == _CREATED]
    reported = demo_settlement.settle(client, charged, progress, console)
    _summary(client, taken, operated, console)
    operator = ApiClient.of_operator(stack, workspace)
    ledger.keep_books(stack, operator, client, merchant, console)
    news = [*(one.news for one in taken), *operations.news_of(operated)]
    webhooks.hear(receiver, [*news, *reported], console)
    trace.follow(stack, client, operated[0].payment_id, console)
    audit.audit(stack, client, operated[0].payment_id, console)
    _where_to_go(stack, merchant, reported[0][1], console)


def _console() -> Console:
    console = Console(highlight=False, soft_wrap=True)
    # Piped into a file or a log, rich assumes 80 columns and would cut every id.
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=120)


def _open_shop(
    stack: Stack, workspace: Workspace, receiver: WebhookReceiver, console: Console
) -> tuple[str, ApiClient]:
    operator = ApiClient.of_operator(stack, workspace)
    body = {
        "name": "Corner Books",
        "email": "owner@corner-books.example",
        "processor": "sandbox",
        "webhook_url": receiver.url,
    }
    merchant = operator.post("/v1/merchants", body).require(_CREATED)
    hold(merchant["webhook_secret"].startswith("whsec_"), "the merchant got no webhook secret")
    again = operator.get(f"/v1/merchants/{merchant['id']}").require(200)
    hold("webhook_secret" not in again, "the webhook secret was shown a second time")
    receiver.secret = merchant["webhook_secret"]
    client = ApiClient.of_merchant(stack, workspace, merchant["id"], *_PERMISSIONS)
    console.print(
        f"1. An operator registers a merchant, [cyan]{merchant['id']}[/cyan], who listens for "
        f"webhooks at\n   {receiver.url}"
    )
    return merchant["id"], client


def _take_payments(client: ApiClient, console: Console) -> list[Taken]:
    customer = client.post(
        "/v1/customers", {"name": "Ada Byron", "email": "ada@readers.example"}
    ).require(_CREATED)
    console.print(
        f"2. The merchant registers a customer: [cyan]{customer['id']}[/cyan] "
        "(name and e-mail are encrypted at rest)"
    )
    requests = [json.loads(line) for line in SAMPLE.read_text().splitlines()]
    console.print(f"3. It takes {len(requests)} payments from {SAMPLE.name}:\n")
    table = Table(Column("payment", no_wrap=True), "amount", "for", "answer", box=SIMPLE)
    taken = []
    for request in requests:
        body = {**request, "customer_id": customer["id"]}
        key = str(uuid4())
        reply = client.post("/v1/payments", body, key=key)
        answer = reply.require(_CREATED, _DECLINED)
        one = Taken(body, key, reply.status, reply.text)
        taken.append(one)
        shown = answer["status"] if reply.status == _CREATED else answer["decline_code"]
        color = "green" if reply.status == _CREATED else "red"
        amount = format_amount(request["amount"], request["currency"])
        table.add_row(
            one.payment_id, amount, request["description"], f"[{color}]{reply.status} {shown}[/]"
        )
    console.print(table)
    declined = sum(one.status == _DECLINED for one in taken)
    expected = sum(request["payment_method"] != "tok_approved" for request in requests)
    hold(declined == expected, f"{declined} payments were declined instead of {expected}")
    return taken


def _replay(client: ApiClient, taken: list[Taken], console: Console) -> None:
    for one in (taken[0], next(each for each in taken if each.status == _DECLINED)):
        reply = client.post("/v1/payments", one.request, key=one.key)
        same = (reply.status, reply.text) == (one.status, one.text)
        hold(same, f"{one.payment_id} was answered differently the second time: {reply.text[:200]}")
        replayed = reply.headers.get("idempotent-replayed")
        hold(replayed == "true", "the replay is not marked")
    other = {**taken[0].request, "amount": taken[0].request["amount"] + 1}
    client.post("/v1/payments", other, key=taken[0].key).require(422)
    console.print(
        "\n4. The first and a declined request are sent again with their keys: the same bytes come "
        "back,\n   nothing is charged twice; another amount under the same key is refused (422)"
    )


def _list(client: ApiClient, payment_ids: list[str], console: Console) -> None:
    listed: list[str] = []
    pages, cursor = 0, ""
    while pages == 0 or cursor:
        query: dict[str, str | int] = {"limit": PAGE, **({"cursor": cursor} if cursor else {})}
        page = client.get("/v1/payments", **query).require(200)
        listed += [payment["id"] for payment in page["data"]]
        pages, cursor = pages + 1, page["next_cursor"]
    hold(listed == sorted(listed, reverse=True), "the list is not newest first")
    hold(sorted(listed) == sorted(payment_ids), "the pages do not show each once")
    console.print(
        f"8. The list, {PAGE} at a time, newest first: {pages} pages show {len(listed)} payments, "
        "each once"
    )


def _summary(
    client: ApiClient, taken: list[Taken], operated: Sequence[Operated], console: Console
) -> None:
    captured: Counter[str] = Counter()
    refunded: Counter[str] = Counter()
    for one in taken:
        if one.status == _CREATED:
            captured[one.request["currency"]] += one.request["amount"]
    for each in operated:
        captured[each.currency] += each.captured
        refunded[each.currency] += each.refunded
    expected = {code: (amount, refunded[code]) for code, amount in captured.items()}
    deadline = time.monotonic() + SUMMED_WITHIN_SECONDS
    while True:
        summary = client.get("/v1/payments/summary").require(200)
        totals = summary["by_currency"]
        found = {code: (total["captured"], total["refunded"]) for code, total in totals.items()}
        if found == expected or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    hold(found == expected, f"the summary says {found} instead of {expected}")
    table = Table("currency", "payments", *_SUMMED, box=SIMPLE)
    for code, total in totals.items():
        amounts = (format_amount(total[name], code) for name in _SUMMED)
        table.add_row(code, str(total["count"]), *amounts)
    counts = ", ".join(f"{count} {status}" for status, count in summary["by_status"].items())
    console.print(f"\n13. The summary: {summary['total_count']} payments ({counts})")
    console.print(table)


def _where_to_go(stack: Stack, merchant: str, settlement: str, console: Console) -> None:
    console.print(
        "\n[bold green]Every step succeeded.[/bold green] The stack is still running:\n"
        f"   API documentation   {stack.api_url}/v1/docs\n"
        f'   a token             make -s token ARGS="--merchant {merchant}"\n'
        f"   the settlement      GET /v1/settlements/{settlement}\n"
        '   run a schedule      make tick ARGS="proof"\n'
        "   stop it             make down\n"
        f"See it in the console: make console opens {stack.api_url}/console and signs you in."
    )
