"""A person at the console: signs in, looks, and acts."""

from __future__ import annotations

from urllib.parse import quote

from playwright.sync_api import BrowserContext, Locator, Route, expect

from local.auth import MERCHANT_PERMISSIONS, Grant, token
from runtime.core.errors import IdempotencyInFlight
from tests.e2e.conftest import Deployment
from tests.support.console import axe
from tests.support.console.pages.dialog import Dialog
from tests.support.console.pages.shell import Shell, SignInPage
from tests.support.console.watch import Tally, Watch

WIDE = {"width": 1280, "height": 850}
NARROW = {"width": 360, "height": 740}
"""The smallest screens that the console is made for."""


def console_of(deployment: Deployment) -> str:
    """Address of the console's page."""
    return f"{deployment.stack.api_url}/console"


class User:
    """One browser context with one page."""

    def __init__(self, deployment: Deployment, context: BrowserContext, tally: Tally) -> None:
        self.deployment, self.context, self.tally = deployment, context, tally
        self.watch = Watch()
        self.watch.over(context)
        self.page = context.new_page()
        self.page.set_viewport_size(WIDE)
        self.shell = Shell(self.page)

    @property
    def address(self) -> str:
        return console_of(self.deployment)

    def operator(self, place: str = "#/payments") -> Shell:
        """Sign in as an operator, and open a screen."""
        return self._signed_in(token(Grant.operator(), self.deployment.workspace), place)

    def merchant(self, merchant_id: str, place: str = "#/payments", *permissions: str) -> Shell:
        """Sign in as a merchant with these permissions, or with all that merchants may have."""
        granted = permissions or MERCHANT_PERMISSIONS
        return self._signed_in(self.deployment.bearer(merchant_id, *granted), place)

    def unknown(self, place: str = "") -> SignInPage:
        """Open the console without signing in."""
        self.page.goto(self.address + place)
        page = SignInPage(self.page)
        expect(page.heading).to_be_visible()
        return page

    def _signed_in(self, bearer: str, place: str) -> Shell:
        # Another fragment alone would not load the page again.
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}#token={bearer}&{quote(place.removeprefix('#'))}")
        expect(self.shell.navigation).to_be_visible()
        return self.shell.loaded()

    def act(self, button: Locator, title: str, *shown: str) -> Dialog:
        """Open an action's dialog, which must show these texts and its idempotency key."""
        dialog = Dialog.opened(self.page, button, title).must_show(*shown)
        self.tally.actions.append(title)
        return dialog

    def lose_next_answer(self, pattern: str, *, then_in_flight: bool = False) -> list[str]:
        """Drop the next answer of such an address, after the API has made the change.

        `then_in_flight`: the one after it is 409, as while the first request still runs.
        Returns the list of the idempotency keys of these requests, which grows.
        """
        keys: list[str] = []

        def pass_on(route: Route) -> None:
            keys.append(route.request.headers["idempotency-key"])
            if len(keys) == 1:
                assert route.fetch().ok
                route.abort("connectionreset")
            elif len(keys) == 2 and then_in_flight:
                body = {"title": "The first request is in flight", "code": IdempotencyInFlight.code}
                route.fulfill(status=409, json=body)
            else:
                route.continue_()

        self.page.route(pattern, pass_on)
        return keys

    def glance(self, screen: str) -> None:
        """The screen that is shown has no error, and fits a narrow screen."""
        self.tally.screens.add(screen)
        expect(self.shell.alerts).to_have_count(0)
        self.page.set_viewport_size(NARROW)
        self._fits(screen)
        self.page.set_viewport_size(WIDE)

    def look(self, screen: str, alerts: int = 0) -> None:
        """The screen that is shown is accessible in both modes and on a narrow screen.

        It has so many alerts: errors of what it loads, or what is broken in what it shows.
        """
        self.tally.screens.add(screen)
        expect(self.shell.alerts).to_have_count(alerts)
        self._accessible(f"{screen}, light")
        self.page.emulate_media(color_scheme="dark")
        self._accessible(f"{screen}, dark")
        self.page.set_viewport_size(NARROW)
        self._accessible(f"{screen}, narrow")
        self._fits(screen)
        self.page.set_viewport_size(WIDE)
        self.page.emulate_media(color_scheme="light")

    def _fits(self, screen: str) -> None:
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= NARROW["width"], f"{screen} is {wide} px wide"

    def _accessible(self, what: str) -> None:
        found = axe.violations(self.page)
        self.tally.axe_runs += 1
        self.tally.axe_violations += len(found)
        assert not found, f"{what}: {found}"
