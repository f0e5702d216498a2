"""The frame of the console: signing in and out, tokens, the merchant, the keyboard."""

from __future__ import annotations

from playwright.sync_api import expect

from local.auth import MERCHANT_PERMISSIONS, Grant, token
from tests.console.user import User
from tests.e2e.conftest import Shop
from tests.support.console.pages.lists import ListPage
from tests.support.console.pages.shell import SignInPage
from tests.support.console.world import World

EVERYTHING_STORED = """() => JSON.stringify([
  {...localStorage}, {...sessionStorage}, document.cookie, location.href, document.title,
  history.state, performance.getEntriesByType("navigation").map(({ name }) => name.split("#")[0]),
])"""


def test_a_pasted_token_signs_in_and_signing_out_forgets_it(user: User, world: World) -> None:
    page = user.unknown(f"#/payments/{world.ids['paid']}")
    page.token.fill("not a token")
    page.button.click()
    expect(user.page.get_by_role("alert")).to_contain_text("three parts")
    shell = page.sign_in(user.deployment.bearer(world.merchant_id, *MERCHANT_PERMISSIONS))
    expect(shell.loaded().fact("Id")).to_have_text(world.ids["paid"])
    shell.sign_out.click()
    expect(page.message).to_have_text("You signed out.")
    expect(user.page).to_have_url(f"{user.address}#/payments/{world.ids['paid']}")
    expect(user.page.get_by_text(world.ids["paid"])).to_have_count(0)


def test_the_token_is_in_memory_only(user: User, world: World) -> None:
    bearer = user.deployment.bearer(world.merchant_id, *MERCHANT_PERMISSIONS)
    user.page.goto(f"{user.address}#token={bearer}&/payments")
    ListPage(user.page, "Payments").link(world.ids["paid"]).click()
    expect(user.shell.loaded().fact("Id")).to_have_text(world.ids["paid"])
    stored = user.page.evaluate(EVERYTHING_STORED)
    assert bearer.split(".")[2] not in stored
    assert user.context.cookies() == []
    user.page.go_back()
    expect(user.page).to_have_url(f"{user.address}#/payments")
    user.page.go_back()
    assert user.page.url == "about:blank"
    user.page.go_forward()
    expect(SignInPage(user.page).button).to_be_visible()


def test_an_expired_token_leads_to_the_sign_in_page_and_keeps_the_address(
    user: User, world: World
) -> None:
    grant = Grant(MERCHANT_PERMISSIONS, merchant_id=world.merchant_id, ttl_seconds=-60)
    place = f"#/payments/{world.ids['paid']}"
    expired = token(grant, user.deployment.workspace)
    with user.watch.expecting(401, "/v1/payments/"):
        user.page.goto(f"{user.address}#token={expired}&{place[1:]}")
        page = SignInPage(user.page)
        expect(page.message).to_contain_text("has expired or was refused. Sign in again.")
    expect(user.page).to_have_url(user.address + place)
    shell = page.sign_in(user.deployment.bearer(world.merchant_id, *MERCHANT_PERMISSIONS))
    expect(shell.loaded().fact("Id")).to_have_text(world.ids["paid"])


def test_a_payment_of_another_merchant_is_not_found(user: User, world: World, shop: Shop) -> None:
    identifier = world.ids["paid"]
    with user.watch.expecting(404, f"/v1/payments/{identifier}"):
        user.merchant(shop.merchant_id, f"#/payments/{identifier}")
        expect(user.shell.alerts).to_contain_text(
            "Check the id. A merchant sees only its own data."
        )
    for text in ("1,234.56", "order-1001", "A road bike", world.merchant_id):
        expect(user.page.get_by_text(text)).to_have_count(0)


def test_an_operator_chooses_the_merchant(user: User, world: World, shop: Shop) -> None:
    user.operator("#/payments")
    user.shell.choose_merchant(shop.merchant_id)
    expect(user.shell.main).to_contain_text("No payments found.")
    user.shell.choose_merchant(world.merchant_id)
    expect(ListPage(user.page, "Payments").row(world.ids["paid"])).to_be_visible()


def test_controls_are_shown_only_to_those_whose_token_allows_them(user: User, world: World) -> None:
    place = f"#/payments/{world.ids['paid']}"
    refund = user.page.get_by_role("button", name="Refund", exact=True)
    user.merchant(world.merchant_id, place, "payments", "reports")
    expect(user.shell.fact("Id")).to_have_text(world.ids["paid"])
    expect(refund).to_have_count(0)
    user.merchant(world.merchant_id, place, "payments", "reports", "refunds")
    expect(refund).to_be_visible()


def test_an_unknown_address_says_so(user: User, shop: Shop) -> None:
    user.merchant(shop.merchant_id, "#/no-such-screen")
    expect(user.shell.heading).to_have_text("No such screen")
    user.look("no-such-screen")


def test_the_keyboard_walks_through_the_rows_and_opens_one(user: User, world: World) -> None:
    user.merchant(world.merchant_id)
    payments = ListPage(user.page, "Payments")
    expect(payments.rows.first).to_be_visible()
    first, second = payments.ids()[:2]
    keys = user.page.keyboard
    keys.press("j")
    expect(payments.link(first)).to_be_focused()
    keys.press("j")
    expect(payments.link(second)).to_be_focused()
    keys.press("k")
    expect(payments.link(first)).to_be_focused()
    keys.press("Enter")
    expect(user.page).to_have_url(f"{user.address}#/payments/{first}")
    expect(user.shell.loaded().fact("Id")).to_have_text(first)


def test_a_slash_goes_to_the_search_and_a_question_mark_shows_the_shortcuts(
    user: User, shop: Shop
) -> None:
    shell = user.merchant(shop.merchant_id)
    user.page.keyboard.press("/")
    expect(shell.search_field).to_be_focused()
    expect(shell.search_field).to_have_value("")
    user.page.keyboard.type("?/jk")
    expect(shell.search_field).to_have_value("?/jk")
    shell.heading.click()
    user.page.keyboard.press("?")
    help_text = user.page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(help_text.get_by_role("term")).to_have_text(["/", "j", "k", "Enter", "?"])
    user.look("keyboard-shortcuts")
    switch = help_text.get_by_role("checkbox")
    switch.uncheck()
    user.page.keyboard.press("Escape")
    expect(help_text).to_be_hidden()
    user.page.keyboard.press("?")
    expect(help_text).to_be_hidden()


def test_the_first_link_skips_the_navigation(user: User, shop: Shop) -> None:
    user.merchant(shop.merchant_id)
    skip = user.page.get_by_role("link", name="Skip to content")
    skip.focus()
    user.page.keyboard.press("Enter")
    expect(user.shell.main).to_be_focused()


def test_the_sign_in_page_is_accessible(user: User) -> None:
    user.unknown()
    user.look("sign-in")
