"""The demo's settlement: a file as a processor would send it, with one wrong line."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from local.api_client import ApiClient
from local.aws import Clients
from local.demo_checks import StoryBroken, hold
from local.stackfile import Stack
from runtime.domain.money import format_amount
from runtime.domain.settlement_formats.canonical import HEADER

SETTLED_WITHIN_SECONDS: Final = 90.0
POLL_SECONDS: Final = 0.3
SHORT_BY_MINOR: Final = 100
"""What the processor pays too little in the wrong line."""


def settle(
    stack: Stack, client: ApiClient, merchant_id: str, payment_ids: Sequence[str], console: Console
) -> str:
    """Put the file into the bucket, await its settlement, show the wrong line; return its id.

    Raises:
        LocalError: it did not come out as it must.
    """
    day = datetime.now(UTC).date().isoformat()
    rows = [_row(client, payment_id, day) for payment_id in payment_ids]
    wrong = rows[-1]
    wrong["amount"] -= SHORT_BY_MINOR
    wrong["net"] -= SHORT_BY_MINOR
    key = f"reconciliation/{merchant_id}/{day}.csv"
    bucket = stack.buckets["settlement"]
    Clients(stack.aws_endpoint_url).files.put_object(Bucket=bucket, Key=key, Body=_file(rows))
    console.print(f"9. The processor's settlement file arrives: s3://{bucket}/{key}")
    settlement = _await_settlement(client)
    counts = settlement["counts"]
    expected = {"matched": len(rows) - 1, "amount_mismatch": 1}
    hold(settlement["status"] == "completed_with_exceptions", f"it is {settlement['status']}")
    hold(counts == expected, f"the lines' statuses are {counts} instead of {expected}")
    lines = client.get(f"/v1/settlements/{settlement['id']}/lines", status="amount_mismatch")
    _show(settlement, lines.require(200)["data"], console)
    settled = client.get(f"/v1/payments/{rows[0]['payment_id']}").require(200)
    hold(settled["transactions"][0]["status"] == "settled", "a matched line was not settled")
    unsettled = client.get(f"/v1/payments/{wrong['payment_id']}").require(200)
    hold(unsettled["transactions"][0]["status"] == "succeeded", "the wrong line was settled")
    identifier: str = settlement["id"]
    return identifier


def _row(client: ApiClient, payment_id: str, day: str) -> dict[str, Any]:
    transaction = client.get(f"/v1/payments/{payment_id}").require(200)["transactions"][0]
    return {
        "payment_id": payment_id,
        "transaction_id": transaction["id"],
        "status": "settled",
        "amount": transaction["amount"],
        "fee": transaction["fee"],
        "net": transaction["amount"] - transaction["fee"],
        "currency": transaction["currency"],
        "processed_date": transaction["processed_at"][:10],
        "settlement_date": day,
    }


def _file(rows: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _await_settlement(client: ApiClient) -> Any:
    deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        settlements = client.get("/v1/settlements").require(200)["data"]
        if settlements and settlements[0]["status"] != "processing":
            return settlements[0]
        time.sleep(POLL_SECONDS)
    raise StoryBroken(
        f"The settlement file was not reconciled within {SETTLED_WITHIN_SECONDS:.0f} s.",
        hint='The function says more: make logs ARGS="reconcile"',
    )


def _show(settlement: Any, exceptions: Sequence[Any], console: Console) -> None:
    console.print(
        f"10. The reconcile function has judged it: [cyan]{settlement['id']}[/cyan] is "
        f"{settlement['status']}, {settlement['counts']['matched']} lines matched; to look at:"
    )
    table = Table("line", Column("payment", no_wrap=True), "status", "why", box=SIMPLE)
    for line in exceptions:
        table.add_row(
            str(line["line"]), line["payment_id"], f"[red]{line['status']}[/]", line["reason"]
        )
    console.print(table)
    totals = (
        f"{format_amount(total['net'], code)} net"
        for code, total in sorted(settlement["totals"].items())
    )
    console.print("   matched: " + ", ".join(totals))
