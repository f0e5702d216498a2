"""The result of a settlement, for a terminal: payout, remainder, and what is to do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from local.api_client import ApiClient
from runtime.core.money import decimal_text
from runtime.reconciliation.exceptions.guidance import GUIDANCE
from runtime.reconciliation.settlements.models import LineStatus, LineType

MOST_SHOWN: Final = 20
"""Exceptions that are printed; the report has more."""


def print_summary(
    settlement: Any,
    client: ApiClient,
    query: Mapping[str, str | int],
    console: Console | None = None,
) -> None:
    """Print a settlement's payout, its remainder, and its open exceptions with what to do.

    `query` names the merchant if an operator asks.
    """
    out = console or Console(highlight=False, soft_wrap=True)
    name = settlement["payout_reference"] or settlement["source"].rpartition("/")[2]
    out.print(
        f"\n[bold]{escape(name)}[/bold]  {settlement['id']}  {settlement['format']}, "
        f"{settlement['date']}: {settlement['status'].replace('_', ' ')}"
    )
    for currency in _currencies(settlement):
        out.print(explained(settlement, currency))
    counts = ", ".join(f"{count} {status}" for status, count in settlement["counts"].items())
    out.print(f"  Lines: {counts or 'none'}")
    if settlement["open_exceptions"]:
        _print_exceptions(settlement, client, query, out)
    report = f"/v1/settlements/{settlement['id']}/report"
    links = client.get(report).require(HTTPStatus.OK)
    out.print(f"  Report, for 15 minutes: {links['url']}", soft_wrap=True)


def explained(settlement: Any, currency: str) -> Table:
    """The sums of each type, what was paid out, and what is left."""
    table = Table(
        Column(currency),
        *(Column(name, justify="right") for name in ("lines", "gross", "fee", "net")),
        box=SIMPLE,
    )
    net = 0
    for kind, totals in settlement["by_type"].items():
        if kind == LineType.PAYOUT or currency not in totals:
            continue
        total = totals[currency]
        net += total["net"]
        figures = (decimal_text(total[each], currency) for each in ("amount", "fee", "net"))
        table.add_row(escape(kind), str(total["count"]), *figures)
    table.add_row("sum of all lines", "", "", "", decimal_text(net, currency), style="bold")
    if currency in settlement["payout"]:
        table.add_row(
            "paid out", "", "", "", decimal_text(settlement["payout"][currency], currency)
        )
        remainder = settlement["remainder"].get(currency, 0)
        style = "bold red" if remainder else "bold green"
        table.add_row("remainder", "", "", "", decimal_text(remainder, currency), style=style)
    return table


def _currencies(settlement: Any) -> list[str]:
    found = {code for totals in settlement["by_type"].values() for code in totals}
    return sorted(found | set(settlement["payout"]))


def _print_exceptions(
    settlement: Any, client: ApiClient, query: Mapping[str, str | int], out: Console
) -> None:
    wanted = {**query, "settlement_id": settlement["id"], "limit": MOST_SHOWN}
    lines = client.get("/v1/settlement-lines", **wanted).require(HTTPStatus.OK)["data"]
    table = Table("line", "what", "status", "why", "possible", box=SIMPLE)
    for line in sorted(lines, key=lambda each: each["line"]):
        table.add_row(
            _number(line),
            escape(line["type"] or line["category"] or "-"),
            f"[red]{line['status']}[/]",
            escape(line["reason"] or ""),
            ", ".join(line["actions"]),
        )
    out.print(f"  {settlement['open_exceptions']} open exceptions:")
    out.print(table)
    for status in sorted({line["status"] for line in lines}):
        out.print(f"  {status}: {GUIDANCE[LineStatus(status)].to_do}")
    if settlement["open_exceptions"] > len(lines):
        out.print(f"  {len(lines)} are shown; the report and its CSV have more.")
    out.print(f"  Resolve one: POST /v1/settlement-lines/{settlement['id']}/<line>/resolve")


def _number(line: Any) -> str:
    """The line's number in the path to resolve it; and its number in the file, if that differs."""
    number, in_file = line["line"], line["file_line"]
    return str(number) if in_file in (None, number) else f"{number} (file: {in_file})"
