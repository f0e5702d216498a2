"""The demo's settlement: Stripe's file explained exactly, an exception resolved, an export."""

from __future__ import annotations

import csv
import hashlib
import io
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
from rich.console import Console

from local.api_client import ApiClient
from local.demo.checks import StoryBroken, hold
from local.demo.payout_file import SHORT_BY, PayoutFile, payout_file
from local.progress import Progress
from operations.settlement_summary import explained
from operations.upload_settlement import Target, upload
from runtime.core.money import format_amount

EXPORTED_WITHIN_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.3
_OK, _ACCEPTED = 200, 202


def settle(
    client: ApiClient, payment_ids: Sequence[str], progress: Progress, console: Console
) -> list[tuple[str, str]]:
    """Upload a payout file, resolve its exception, export its lines; the webhooks to expect.

    Raises:
        LocalError: the result is not the expected one.
    """
    payments = [client.get(f"/v1/payments/{each}").require(_OK) for each in payment_ids]
    file = payout_file(payments)
    console.print(
        f"9. Stripe's file of {len(file.paid)} payouts is uploaded by a signed link: {file.name}, "
        f"{sum(file.lines.values())} lines and the payouts"
    )
    settlements = _uploaded(client, file, progress)
    wrong = settlements[file.wrong_currency]
    _explain(settlements, file, console)
    _resolve(client, wrong, file, console)
    _export(client, wrong, file, console)
    report = client.get(f"/v1/settlements/{wrong['id']}/report").require(_OK)
    console.print(f"    A report to read or print, for 15 minutes:\n    {report['url']}")
    return [
        ("settlement.exceptions", wrong["id"]),
        *(("settlement.completed", each["id"]) for each in settlements.values()),
    ]


def _uploaded(client: ApiClient, file: PayoutFile, progress: Progress) -> dict[str, Any]:
    """The file's settlements by currency."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / file.name
        path.write_bytes(file.content)
        uploaded = upload(path, Target(client, None), progress)
    hold(uploaded.file["format"] == "stripe", f"the file was taken for {uploaded.file['format']}")
    return {next(iter(each["payout"])): each for each in uploaded.settlements}


def _explain(settlements: dict[str, Any], file: PayoutFile, console: Console) -> None:
    paid = {currency: each["payout"][currency] for currency, each in settlements.items()}
    hold(paid == file.paid, f"the payouts are {paid} instead of {file.paid}")
    for currency, each in settlements.items():
        left = each["remainder"][currency]
        hold(left == 0, f"{format_amount(left, currency)} of a payout are not explained")
        wanted = {"matched": file.lines[currency] + 1}
        if currency == file.wrong_currency:
            wanted = {"matched": file.lines[currency], "amount_mismatch": 1}
        hold(each["counts"] == wanted, f"the lines of {currency} are {each['counts']}")
    console.print("10. Each payout is explained to the last unit by its lines; this one of them:")
    console.print(explained(settlements[file.wrong_currency], file.wrong_currency))


def _resolve(client: ApiClient, settlement: Any, file: PayoutFile, console: Console) -> None:
    query: dict[str, str | int] = {"settlement_id": settlement["id"]}
    (line,) = client.get("/v1/settlement-lines", **query).require(_OK)["data"]
    hold(line["transaction_id"] == file.wrong_transaction, "another line is the exception")
    console.print(
        f"11. One exception: line {line['file_line']}, [red]{line['status']}[/], "
        f"{line['reason']}.\n"
        f"    The file is right, so the {format_amount(SHORT_BY, file.wrong_currency)} are the "
        "merchant's: [green]accept[/], with a note"
    )
    path = f"/v1/settlement-lines/{settlement['id']}/{line['line']}/resolve"
    decision = {"action": "accept", "note": "The processor confirmed it by phone"}
    resolved = client.post(path, decision, key=str(uuid4())).require(_OK)
    hold(resolved["resolution"]["action"] == "accept", "the resolution is not in the line")
    after = client.get(f"/v1/settlements/{settlement['id']}").require(_OK)
    hold(after["status"] == "completed", f"the settlement is {after['status']}")
    hold(after["open_exceptions"] == 0, "an exception is still open")
    payment = client.get(f"/v1/payments/{line['payment_id']}").require(_OK)
    statuses = {each["status"] for each in payment["transactions"] if each["type"] == "capture"}
    hold(statuses == {"settled"}, f"the capture is {statuses}")
    console.print("    Its capture is settled, and the settlement is [green]completed[/]")


def _export(client: ApiClient, settlement: Any, file: PayoutFile, console: Console) -> None:
    wanted = {"kind": "settlement_lines", "format": "csv", "settlement_id": settlement["id"]}
    job = client.post("/v1/exports", wanted, key=str(uuid4())).require(_ACCEPTED)
    deadline = time.monotonic() + EXPORTED_WITHIN_SECONDS
    while job["status"] not in ("completed", "failed") and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        job = client.get(f"/v1/exports/{job['id']}").require(_OK)
    if job["status"] != "completed":
        raise StoryBroken(
            f"The export is {job['status']} instead of completed.",
            hint='See the log: make logs ARGS="export"',
        )
    content = httpx.get(job["result_url"], trust_env=False).raise_for_status().content
    hold(hashlib.sha256(content).hexdigest() == job["sha256"], "the export's checksum is wrong")
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    lines = file.lines[file.wrong_currency] + 1
    hold(len(rows) == job["rows"] == lines, f"{len(rows)} lines were exported instead of {lines}")
    console.print(
        f"12. The lines as CSV, downloaded by a signed link: {len(rows)} rows, {len(content)} "
        f"bytes,\n    sha256 {job['sha256']}"
    )
