"""The frame around every screen, and the page before signing in."""

from __future__ import annotations

import re
from typing import Final

from playwright.sync_api import Locator, Page, expect

LOADING: Final = "Loading…"


class SignInPage:
    """The page of a user who is not signed in."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.heading = page.get_by_role("heading", name="Payments console")
        self.message = page.get_by_role("status")
        self.token = page.get_by_label("Token")
        self.button = page.get_by_role("button", name="Sign in")

    def sign_in(self, token: str) -> Shell:
        self.token.fill(token)
        self.button.click()
        shell = Shell(self.page)
        expect(shell.navigation).to_be_visible()
        return shell


class Shell:
    """Search, merchant, navigation, and the screen of the address."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.main = page.get_by_role("main")
        self.heading = self.main.get_by_role("heading", level=1)
        self.navigation = page.get_by_role("navigation", name="Screens")
        self.links = self.navigation.get_by_role("link")
        self.search_field = page.get_by_role("searchbox", name="Search by any id")
        self.merchant = page.get_by_role("combobox", name="Merchant")
        self.sign_out = page.get_by_role("button", name="Sign out")
        self.alerts = self.main.get_by_role("alert")

    def screens(self) -> list[tuple[str, str]]:
        """Title and address of each screen in the navigation."""
        return [(link.inner_text(), str(link.get_attribute("href"))) for link in self.links.all()]

    def open(self, place: str) -> Shell:
        """Go to an address such as `#/payments/pay_…`, and wait until its screen is loaded."""
        self.page.evaluate("(place) => { location.hash = place; }", place)
        return self.loaded()

    def follow(self, title: str) -> Shell:
        """Choose a screen in the navigation."""
        link = self.navigation.get_by_role("link", name=title, exact=True)
        link.click()
        expect(link).to_have_attribute("aria-current", "page")
        return self.loaded()

    def loaded(self) -> Shell:
        """Wait until the screen and all its parts are there."""
        expect(self.heading).to_be_visible()
        expect(self.main.get_by_text(LOADING)).to_have_count(0)
        return self

    def search(self, wanted: str) -> Shell:
        self.search_field.fill(wanted)
        self.search_field.press("Enter")
        return self.loaded()

    def choose_merchant(self, merchant_id: str) -> Shell:
        self.merchant.select_option(merchant_id)
        return self.loaded()

    def section(self, title: str) -> Locator:
        """The part of the screen with this heading."""
        heading = self.page.get_by_role("heading", name=title, exact=True)
        return self.main.locator("section").filter(has=heading)

    def fact(self, name: str) -> Locator:
        """The value beside a name, such as a payment's status."""
        term = self.page.get_by_role("term").filter(has_text=re.compile(f"^{re.escape(name)}$"))
        return self.main.locator("dl > div").filter(has=term).get_by_role("definition")
