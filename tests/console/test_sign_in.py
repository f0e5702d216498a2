"""Signing in at an identity provider, with OpenID Connect."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Route, expect

from local.auth import MERCHANT_PERMISSIONS
from tests.console.user import User
from tests.support.console.identity_provider import (
    CLIENT,
    CONTINUE,
    LOGOUT,
    IdentityProvider,
    fields_of,
)
from tests.support.console.pages.shell import Shell, SignInPage
from tests.support.console.world import World


@pytest.fixture
def provider(user: User, world: World) -> Iterator[IdentityProvider]:
    """A provider that the console is set up for."""
    bearer = user.deployment.bearer(world.merchant_id, *MERCHANT_PERMISSIONS)
    with IdentityProvider(bearer).running() as provider:
        # The policy of a stage with a provider names its token endpoint. This stage has none, so
        # that the endpoint has to be on the page's own origin.
        endpoint = f"{user.address}/token-endpoint"

        def configured(route: Route) -> None:
            route.fulfill(json={"stage": "local", "sign_in": provider.settings(endpoint)})

        def exchanged(route: Route) -> None:
            status, answer = provider.exchange(fields_of(route.request.post_data or ""))
            route.fulfill(status=status, json=answer)

        user.page.route("**/console/config.json", configured)
        user.page.route(endpoint, exchanged)
        yield provider


def test_signing_in_leads_back_to_the_address_that_was_asked_for(
    user: User, world: World, provider: IdentityProvider
) -> None:
    place = f"#/payments/{world.ids['paid']}"
    page = user.unknown(place)
    user.look("sign-in-at-provider")
    page.button.click()
    user.page.get_by_role("link", name=CONTINUE).click()
    shell = Shell(user.page)
    expect(shell.navigation).to_be_visible()
    expect(shell.loaded().fact("Id")).to_have_text(world.ids["paid"])
    expect(user.page).to_have_url(user.address + place)
    (asked,), (exchanged,) = provider.asked, provider.exchanged
    assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
    assert exchanged["code_verifier"] not in json.dumps(asked)
    assert user.page.evaluate("sessionStorage.length + localStorage.length") == 0
    user.page.get_by_role("button", name="Sign out").click()
    expect(user.page).to_have_url(re.compile(f"^{re.escape(provider.url)}{LOGOUT}"))
    user.page.get_by_role("link", name=CONTINUE).click()
    expect(SignInPage(user.page).button).to_be_visible()


def test_a_link_with_a_token_does_not_sign_in(user: User, provider: IdentityProvider) -> None:
    user.page.goto(f"{user.address}#token={provider.access_token}&/payments")
    expect(SignInPage(user.page).button).to_be_visible()
    expect(Shell(user.page).navigation).to_have_count(0)
    expect(user.page).to_have_url(f"{user.address}#/payments")


def test_a_refusal_of_the_provider_is_shown(user: User, provider: IdentityProvider) -> None:
    provider.refuses = True
    user.unknown().button.click()
    user.page.get_by_role("link", name=CONTINUE).click()
    page = SignInPage(user.page)
    expect(page.message).to_have_text("The identity provider refused: No access to this console")
    expect(user.page).to_have_url(user.address)
    assert provider.exchanged == []


def test_a_code_that_this_page_did_not_ask_for_is_not_exchanged(
    user: User, provider: IdentityProvider
) -> None:
    user.page.goto(f"{user.address}?code=stolen&state=guessed")
    page = SignInPage(user.page)
    expect(page.message).to_contain_text("was not begun on this page")
    assert provider.exchanged == []
