"""docs/reconciliation.md matches the code in statuses, limits and postings."""

from __future__ import annotations

import re

import pytest

from local.workspace import PROJECT_ROOT
from runtime.core.signed_links import LINK_SECONDS
from runtime.http.shapes import MAX_PAGE
from runtime.merchants.models import ReconciliationTerms
from runtime.reconciliation.exceptions.api import MAX_BULK
from runtime.reconciliation.files.models import (
    MAX_FILE_BYTES,
    MAX_FILE_LINES,
    MAX_FILE_NAME,
    MAX_FILE_PAYOUTS,
    FileStatus,
)
from runtime.reconciliation.matching.flows import Amounts, accepted, written_off
from runtime.reconciliation.reports.report import MAX_REPORT_LINES, MAX_SHOWN_LINES
from runtime.reconciliation.settlements.models import MAX_NOTE, Flows, LineStatus, ResolutionAction

PAGE = (PROJECT_ROOT / "docs" / "reconciliation.md").read_text("utf-8")
ACCOUNTS = ("receivable", "clearing", "fees", "write_off")
BOOKED = {"receivable": 2505, "clearing": -2600, "fees": 95, "write_off": 0}
OURS, FILE = Amounts(amount=2600, fee=95), Amounts(amount=2500, fee=95)
ROUTES = {
    "net": ("receivable", "clearing"),
    "fee": ("fees", "clearing"),
    "cost": ("receivable", "fees"),
    "adjusted": ("clearing", "receivable"),
    "written_off": ("clearing", "write_off"),
    "written_off_fee": ("write_off", "fees"),
}


def rows(first_cell: str) -> list[list[str]]:
    """Cells of the table rows that begin with a text."""
    found = [line for line in PAGE.splitlines() if line.startswith(f"| {first_cell}")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found]


def after(flows: Flows) -> list[int]:
    balances = dict(BOOKED)
    for name, (source, target) in ROUTES.items():
        amount: int = getattr(flows, name)
        balances[source] -= amount
        balances[target] += amount
    return [balances[each] for each in ACCOUNTS]


def cents(cells: list[str]) -> list[int]:
    return [round(float(cell.replace("−", "-")) * 100) for cell in cells]  # noqa: RUF001


@pytest.mark.parametrize("status", [*LineStatus, *FileStatus])
def test_every_status_is_explained(status: str) -> None:
    assert rows(f"`{status}`"), f"docs/reconciliation.md does not explain {status}"


@pytest.mark.parametrize("action", [*ResolutionAction, "undo"])
def test_every_action_is_explained(action: str) -> None:
    assert rows(f"`{action}`")


@pytest.mark.parametrize(
    ("row", "flows"),
    [
        ("after the capture", Flows()),
        ("the line is settled", Flows(net=FILE.net, fee=FILE.fee)),
        ("**accept**: the missing", accepted(FILE, OURS)),
        ("*or* **write_off**", written_off(FILE, OURS)),
    ],
)
def test_the_example_matches_the_bookings(row: str, flows: Flows) -> None:
    (cells,) = rows(row)
    assert cents(cells[1:]) == after(flows)


def test_the_limits_match_the_code() -> None:
    terms = ReconciliationTerms()
    for said in (
        f"{MAX_FILE_BYTES // 2**30} GiB, {MAX_FILE_LINES:,} lines, {MAX_FILE_PAYOUTS:,} payouts",
        f"name {MAX_FILE_NAME} characters",
        f"{LINK_SECONDS // 60} minutes",
        f"{MAX_REPORT_LINES:,} lines as CSV; {MAX_SHOWN_LINES} open and {MAX_SHOWN_LINES} resolved",
        f"{MAX_BULK} in one request; a note of {MAX_NOTE} characters",
        f"`sla_days` (default {terms.sla_days})",
        f"`tolerance_minor` (default {terms.tolerance_minor})",
    ):
        assert said in PAGE, said
    assert MAX_BULK == MAX_PAGE, "a page of exceptions can be resolved in one request"


def test_every_link_has_a_target() -> None:
    headings = {
        re.sub(r"[^a-z0-9 _-]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in PAGE.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        file, _, anchor = target.partition("#")
        if file:
            assert (PROJECT_ROOT / "docs" / file).is_file(), target
        else:
            assert anchor in headings, target
