"""Exports and API keys."""

from __future__ import annotations

import hashlib
import re

import httpx
from playwright.sync_api import expect

from tests.console.user import User
from tests.e2e.conftest import Shop
from tests.support.console.pages.lists import ListPage
from tests.support.console.world import made
from tests.support.stages.patience import PATIENCE_SECONDS


def test_an_export_is_created_and_downloaded(user: User, shop: Shop) -> None:
    sale = {"amount": 1_000, "currency": "USD", "payment_method": "tok_approved"}
    paid = made(shop.client, "/v1/payments", sale)["id"]
    shell = user.merchant(shop.merchant_id, "#/exports")
    button = shell.main.get_by_role("button", name="Create an export", exact=True)
    dialog = user.act(button, "Create an export?")
    dialog.field("What").select_option("payments")
    dialog.field("Format").select_option("csv")
    user.look("export-dialog")
    dialog.confirm("Create an export").succeeded("Export exp_").close()
    expect(user.page).to_have_url(re.compile(r"#/exports/exp_"))
    expect(shell.fact("Status")).to_have_text("Completed")
    expect(shell.fact("Rows")).to_have_text("1")
    url = shell.main.get_by_role("link", name="Download the file").get_attribute("href")
    assert url is not None
    content = httpx.get(url, trust_env=False, timeout=PATIENCE_SECONDS).raise_for_status().content
    assert paid.encode() in content
    expect(shell.fact("SHA-256")).to_have_text(hashlib.sha256(content).hexdigest())
    user.look("export")
    shell.follow("Exports")
    expect(ListPage(user.page, "Exports").rows).to_have_count(1)


def test_an_api_key_is_created_shown_once_and_revoked(user: User, shop: Shop) -> None:
    shell = user.merchant(shop.merchant_id, "#/api-keys")
    button = shell.main.get_by_role("button", name="Create an API key", exact=True)
    dialog = user.act(button, "Create an API key?")
    dialog.field("Name").fill("Warehouse")
    dialog.field("Permission: reports").check()
    dialog.confirm("Create an API key").succeeded("Warehouse", "not shown again")
    secret = dialog.outcome.locator("code").inner_text()
    user.look("api-key-secret")
    dialog.close()
    expect(user.page.get_by_text(secret)).to_have_count(0)
    assert _status_of(user, secret, "/v1/payments/summary") == 200
    assert _status_of(user, secret, "/v1/payments") == 403
    keys = ListPage(user.page, "API keys")
    row = keys.row("Warehouse")
    expect(row).to_contain_text("reports")
    revoke = row.get_by_role("button", name="Revoke", exact=True)
    user.act(revoke, "Revoke this API key?", "Warehouse").confirm("Revoke").succeeded().close()
    expect(row).to_contain_text("Revoked")
    (stored,) = shop.client.get("/v1/api-keys").require(200)["data"]
    assert stored["revoked_at"] is not None
    user.look("api-keys")


def _status_of(user: User, key: str, path: str) -> int:
    url = user.deployment.stack.api_url + path
    headers = {"authorization": f"Bearer {key}"}
    return httpx.get(url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS).status_code
