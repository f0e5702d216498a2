"""Every screen where there is nothing to show yet: a stage without merchants, a new merchant."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.console.conftest import STAGE_VARIABLE
from tests.console.user import User
from tests.e2e.conftest import Deployment, Shop


def _walk(user: User, check: Callable[[str], None]) -> None:
    """Through the navigation, from the first screen to the last."""
    screens = user.shell.screens()
    assert screens, "the navigation is empty"
    for title, address in screens:
        user.shell.follow(title)
        expect(user.page).to_have_url(f"{user.address}{address}")
        check(address.removeprefix("#/"))


@pytest.mark.files_from_stage
@pytest.mark.skipif(STAGE_VARIABLE in os.environ, reason="a stage in use has merchants")
def test_no_screen_has_an_error_on_a_stage_without_merchants(
    user: User, deployment: Deployment
) -> None:
    assert deployment.operator.get("/v1/merchants").require(200)["data"] == []
    user.operator()
    expect(user.shell.merchant).to_be_disabled()
    _walk(user, user.look)


def test_no_screen_has_an_error_for_a_merchant_without_anything(user: User, shop: Shop) -> None:
    user.merchant(shop.merchant_id)
    expect(user.shell.merchant).to_have_count(0)
    _walk(user, user.look)


def test_no_screen_has_an_error_for_an_operator_who_chose_such_a_merchant(
    user: User, shop: Shop
) -> None:
    user.operator()
    user.shell.choose_merchant(shop.merchant_id)
    _walk(user, user.glance)


def test_the_page_names_an_icon_that_exists(user: User) -> None:
    page = user.unknown().page
    icon = page.locator("link[rel=icon]").evaluate("(link) => link.href")
    answer = user.context.request.get(icon)
    assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")


def test_kept_files_have_the_headers_of_the_stage(user: User) -> None:
    """Such as the page's policy, which all other tests watch."""
    shown = user.unknown().page.reload()
    assert shown is not None
    asked = user.context.request.get(user.address)
    names = ("content-security-policy", "cache-control", "content-type", "etag")
    kept = shown.headers
    assert {name: kept[name] for name in names} == {name: asked.headers[name] for name in names}
    assert shown.text() == asked.text()
