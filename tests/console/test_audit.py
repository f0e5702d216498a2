"""The audit log: search, and hash chains that the browser verifies by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from runtime.audit.models import AuditRow
from tests.console.user import User
from tests.e2e.conftest import Deployment, Shop
from tests.e2e.test_audit import Log
from tests.support.console.pages.audit import HistoryPage
from tests.support.console.pages.lists import ListPage
from tests.support.console.world import World, made, until


@pytest.fixture
def log(deployment: Deployment) -> Iterator[Log]:
    log = Log(deployment)
    yield log
    log.restore()


@pytest.fixture
def payment(shop: Shop, log: Log) -> str:
    """A payment with a row for each of its versions, so that no row comes during a test."""
    sale = {"amount": 9_000, "currency": "USD", "payment_method": "tok_approved"}
    identifier = str(made(shop.client, "/v1/payments", sale)["id"])
    for _ in range(3):
        made(shop.client, f"/v1/payments/{identifier}/refund", {"amount": 100})
    version = shop.client.get(f"/v1/payments/{identifier}").require(200)["version"]
    until(lambda: len(log.rows(identifier)) == version)
    until(lambda: shop.client.get(f"/v1/audit/{identifier}/verify").require(200)["valid"])
    return identifier


def test_the_browser_verifies_a_chain_as_the_api_does(user: User, shop: Shop, payment: str) -> None:
    user.merchant(shop.merchant_id, f"#/audit/{payment}")
    history = HistoryPage(user.page)
    verdict = shop.client.get(f"/v1/audit/{payment}/verify").require(200)
    expect(history.here).to_contain_text(f"{verdict['length']} rows verified in this browser")
    expect(history.here).to_contain_text(verdict["head_hash"])
    expect(history.there).to_contain_text("the chain is valid")
    expect(history.verified).to_have_count(verdict["length"])
    expect(history.broken).to_have_count(0)
    user.look("history")


def test_a_row_whose_values_were_changed_is_marked_and_so_is_no_other(
    user: User, shop: Shop, payment: str, log: Log
) -> None:
    rows = log.rows(payment)
    forged = rows[2].model_copy(update={"user_id": "an attacker"})
    log.put(forged)
    history = _opened(user, shop, payment)
    expect(history.here).to_contain_text(f"The chain is broken at row 3 of {len(rows)}")
    expect(history.here).to_contain_text(forged.sequence)
    _only_this_is_marked(history, forged, rows)
    expect(history.broken).to_contain_text("an attacker")
    user.look("broken-chain", alerts=1)


def test_a_removed_row_is_marked_where_it_is_missing(
    user: User, shop: Shop, payment: str, log: Log
) -> None:
    rows = log.rows(payment)
    log.delete(rows[2])
    history = _opened(user, shop, payment)
    expect(history.here).to_contain_text(f"The chain is broken at row 3 of {len(rows) - 1}")
    _only_this_is_marked(history, rows[3], rows[:2] + rows[3:])


def test_audit_rows_are_found_by_action_and_lead_to_their_history(user: User, world: World) -> None:
    shell = user.merchant(world.merchant_id, "#/audit")
    shell.main.get_by_role("combobox", name="Search by").select_option("action")
    shell.main.get_by_label("Value", exact=True).fill("payment_succeeded")
    shell.main.get_by_role("button", name="Search", exact=True).click()
    rows = ListPage(user.page, "Audit rows")
    expect(rows.row(world.ids["paid"])).to_be_visible()
    user.look("audit")
    rows.link(world.ids["paid"]).first.click()
    expect(HistoryPage(user.page).here).to_contain_text("verified in this browser")


def _opened(user: User, shop: Shop, payment: str) -> HistoryPage:
    user.merchant(shop.merchant_id, f"#/audit/{payment}")
    return HistoryPage(user.page)


def _only_this_is_marked(history: HistoryPage, row: AuditRow, rows: list[AuditRow]) -> None:
    """The link of `row` is marked as broken, those before it as verified, none after it."""
    expect(history.broken).to_have_count(1)
    expect(history.broken).to_contain_text(row.sequence)
    expect(history.verified).to_have_count(rows.index(row) if row in rows else 2)
