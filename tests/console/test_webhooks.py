"""Webhook endpoints and deliveries."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.console.user import User
from tests.e2e.conftest import Shop
from tests.support.console.pages.lists import ListPage
from tests.support.console.world import World, made, until
from tests.support.webhooks.receiver import Receiver


def test_deliveries_are_filtered_and_one_shows_its_attempts(user: User, world: World) -> None:
    shell = user.merchant(world.merchant_id, "#/webhooks")
    expect(ListPage(user.page, "Endpoints").row(world.ids["webhook_endpoint"])).to_be_visible()
    deliveries = ListPage(user.page, "Deliveries")
    deliveries.filter(Status="delivered")
    expect(shell.main).to_contain_text("No deliveries found.")
    deliveries.filter(Status="pending")
    deliveries.link(world.ids["webhook"]).click()
    expect(shell.loaded().fact("URL")).to_have_text("http://127.0.0.1:9/hooks")
    expect(shell.fact("Attempts")).to_have_text(re.compile(r"^[1-9]"))
    user.look("webhook")


def test_a_test_event_is_sent_and_arrives(user: User, shop: Shop) -> None:
    with Receiver().running() as receiver:
        endpoint = made(shop.client, "/v1/webhook-endpoints", {"url": receiver.url})["id"]
        shell = user.merchant(shop.merchant_id, "#/webhooks")
        row = ListPage(user.page, "Endpoints").row(endpoint)
        button = row.get_by_role("button", name="Send a test event")
        dialog = user.act(button, "Send a test event?", endpoint, receiver.url)
        dialog.confirm("Send a test event").succeeded("on its way")
        delivery = dialog.outcome.get_by_role("link").inner_text()
        dialog.close()
        until(lambda: receiver.received)
        assert receiver.received[0].headers["webhook-id"]
        shell.open(f"#/webhooks/{delivery}")
        expect(shell.fact("Endpoint")).to_have_text(endpoint)


def test_a_failed_delivery_is_sent_again(user: User, shop: Shop) -> None:
    # Its own retry must not come before the person's.
    with Receiver(script=[(503, {"retry-after": "1000"})]).running() as receiver:
        made(shop.client, "/v1/webhook-endpoints", {"url": receiver.url})
        sale = {"amount": 1_000, "currency": "USD", "payment_method": "tok_approved"}
        made(shop.client, "/v1/payments", sale)
        delivery = until(lambda: _delivery(shop, "pending"))
        shell = user.merchant(shop.merchant_id, f"#/webhooks/{delivery}")
        expect(shell.fact("Response code")).to_have_text("503")
        button = shell.main.get_by_role("button", name="Redeliver")
        dialog = user.act(button, "Send this event again?", delivery, receiver.url)
        dialog.confirm("Redeliver").succeeded("sent again").close()
        until(lambda: _delivery(shop, "delivered"))
        shell.main.get_by_role("button", name="Refresh", exact=True).click()
        expect(shell.fact("Status")).to_have_text("Delivered")
        assert len(receiver.received) == 2


def _delivery(shop: Shop, status: str) -> str | None:
    """A delivery that has been tried and has this status."""
    found = shop.client.get("/v1/webhooks").require(200)["data"]
    tried = [each for each in found if each["attempts"] and each["status"] == status]
    return str(tried[0]["id"]) if tried else None
