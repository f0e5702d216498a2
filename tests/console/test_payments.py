"""The list of payments and one payment, with everything that can be done to it."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from local.auth import MERCHANT_PERMISSIONS
from tests.console.user import User
from tests.e2e.conftest import Shop
from tests.support.console.pages.lists import ListPage
from tests.support.console.pages.payment import PaymentPage
from tests.support.console.pages.shell import SignInPage
from tests.support.console.watch import LOST
from tests.support.console.world import World, made


def test_payments_are_listed_newest_first_with_amounts_of_their_currency(
    user: User, world: World
) -> None:
    user.merchant(world.merchant_id)
    payments = ListPage(user.page, "Payments")
    newest = ("announced", "refunded", "declined", "authorized", "dinar", "yen", "paid")
    payments.must_list(*(world.ids[name] for name in newest))
    for name, amount in (
        ("paid", "1,234.56 USD"),
        ("yen", "84,000 JPY"),
        ("dinar", "75.500 KWD"),
        ("authorized", "649.00 EUR"),
    ):
        expect(payments.row(world.ids[name])).to_contain_text(amount)
    user.look("payments")


def test_filters_are_in_the_address_and_can_be_cleared(user: User, world: World) -> None:
    user.merchant(world.merchant_id)
    payments = ListPage(user.page, "Payments")
    payments.filter(Status="requires_capture")
    payments.must_list(world.ids["authorized"])
    expect(user.page).to_have_url(re.compile(r"#/payments\?status=requires_capture"))
    user.page.reload()
    page = SignInPage(user.page)
    page.sign_in(user.deployment.bearer(world.merchant_id, *MERCHANT_PERMISSIONS))
    payments.must_list(world.ids["authorized"])
    payments.clear()
    payments.filter(Reference="order-1003")
    payments.must_list(world.ids["dinar"])
    payments.filter(Currency="EUR")
    expect(user.shell.main).to_contain_text("No payments found.")


def test_pages_are_turned_forward_and_back(user: User, shop: Shop) -> None:
    sales = [_sale(shop, 100 + number)["id"] for number in range(27)]
    user.merchant(shop.merchant_id)
    payments = ListPage(user.page, "Payments")
    expect(payments.rows).to_have_count(25)
    first = payments.ids()
    expect(payments.previous).to_be_disabled()
    payments.next.click()
    expect(payments.rows).to_have_count(2)
    assert [*first, *payments.ids()] == sales[::-1]
    expect(payments.next).to_be_disabled()
    payments.previous.click()
    expect(payments.rows).to_have_count(25)
    assert payments.ids() == first


def test_an_authorization_is_captured_in_part_and_then_refunded_in_part(
    user: User, shop: Shop
) -> None:
    sale = _sale(shop, 64_900, currency="EUR", capture_method="manual")
    payment = _opened(user, shop, sale)
    capture = user.act(payment.capture, "Capture this payment?", sale["id"], "649.00 EUR")
    expect(capture.field("Amount (EUR)")).to_have_value("649.00")
    capture.field("Amount (EUR)").fill("600.001")
    capture.confirm("Capture")
    expect(capture.error).to_contain_text("EUR has 2 decimals.")
    capture.field("Amount (EUR)").fill("600.00")
    user.look("capture-dialog", alerts=1)
    capture.confirm("Capture").succeeded("600.00 EUR").close()
    expect(payment.status).to_have_text("Succeeded")
    refund = user.act(payment.refund, "Refund this payment?", sale["id"])
    expect(refund.field("Amount (EUR)")).to_have_value("600.00")
    refund.field("Amount (EUR)").fill("12.34")
    refund.field("Reason").fill("a scratch")
    refund.confirm("Refund").succeeded("12.34 EUR").close()
    expect(payment.refunded).to_have_text("12.34 EUR")
    after = shop.client.get(f"/v1/payments/{sale['id']}").require(200)
    assert (after["amount_captured"], after["amount_refunded"]) == (60_000, 1_234)


def test_an_authorization_is_canceled(user: User, shop: Shop) -> None:
    sale = _sale(shop, 500, currency="JPY", capture_method="manual")
    payment = _opened(user, shop, sale)
    dialog = user.act(payment.cancel, "Cancel this payment?", sale["id"], "500 JPY")
    dialog.confirm("Cancel payment").succeeded("Canceled").close()
    expect(payment.status).to_have_text("Canceled")
    for button in (payment.capture, payment.cancel, payment.refund):
        expect(button).to_have_count(0)
    assert shop.client.get(f"/v1/payments/{sale['id']}").require(200)["status"] == "canceled"


def test_a_refund_whose_answer_is_lost_is_made_once(user: User, shop: Shop) -> None:
    sale = _sale(shop, 10_000)
    payment = _opened(user, shop, sale)
    dialog = user.act(payment.refund, "Refund this payment?", sale["id"])
    dialog.field("Amount (USD)").fill("40.00")
    keys = user.lose_next_answer("**/refund", then_in_flight=True)
    with user.watch.expecting(LOST, "/refund"):
        dialog.confirm("Refund")
        expect(dialog.error).to_contain_text("The API cannot be reached.")
        expect(dialog.error).to_contain_text("the same key never makes it twice")
    after = shop.client.get(f"/v1/payments/{sale['id']}").require(200)
    assert after["amount_refunded"] == 4_000, "the API had done it"
    expect(dialog.field("Amount (USD)")).to_be_disabled()
    with user.watch.expecting(409, "/refund"):
        dialog.confirm("Try again")
        expect(dialog.error).to_contain_text("The first request is in flight")
    dialog.button("Cancel").click()
    again = user.act(payment.refund, "Refund this payment?", "repeats it, with the same values")
    expect(again.field("Amount (USD)")).to_have_value("40.00")
    again.confirm("Try again").succeeded("40.00 USD").close()
    after = shop.client.get(f"/v1/payments/{sale['id']}").require(200)
    assert after["amount_refunded"] == 4_000
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_a_refused_refund_says_why_and_the_next_try_has_a_key_of_its_own(
    user: User, shop: Shop
) -> None:
    sale = _sale(shop, 10_000)
    payment = _opened(user, shop, sale)
    dialog = user.act(payment.refund, "Refund this payment?", sale["id"])
    key = dialog.key.inner_text()
    dialog.field("Amount (USD)").fill("100.01")
    with user.watch.expecting(422, "/refund"):
        dialog.confirm("Refund")
        expect(dialog.error).to_contain_text("Request")
    expect(dialog.key).not_to_have_text(key)
    dialog.field("Amount (USD)").fill("100.00")
    dialog.confirm("Try again").succeeded("100.00 USD").close()
    expect(payment.refunded).to_have_text("100.00 USD")


def test_a_payment_is_shown_as_a_timeline_whose_entries_are_linked(
    user: User, world: World
) -> None:
    shell = user.merchant(world.merchant_id, f"#/payments/{world.ids['refunded']}")
    entries = shell.section("Timeline").get_by_role("listitem")
    for kind, amount in (("Capture succeeded", "200.00 USD"), ("Posted to the ledger", "200.00")):
        expect(entries.filter(has_text=kind).filter(has_text=amount).first).to_be_visible()
    expect(entries.filter(has_text="25.00 USD").first).to_be_visible()
    user.look("payment")
    posted = entries.filter(has_text="Posted to the ledger").first.get_by_role("link")
    transfer = posted.inner_text()
    posted.click()
    expect(shell.loaded().fact("Id")).to_have_text(transfer)


def _sale(shop: Shop, amount: int, currency: str = "USD", **given: str) -> dict[str, Any]:
    body = {"amount": amount, "currency": currency, "payment_method": "tok_approved", **given}
    return made(shop.client, "/v1/payments", body)


def _opened(user: User, shop: Shop, sale: dict[str, Any]) -> PaymentPage:
    user.merchant(shop.merchant_id, f"#/payments/{sale['id']}")
    return PaymentPage(user.page)
