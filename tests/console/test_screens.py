"""Every screen of the navigation with data on it, for a merchant and for an operator."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from playwright.sync_api import expect

from tests.console.user import User
from tests.support.console.world import World

SCREENS: Final = (
    "home",
    "payments",
    "accounts",
    "transfers",
    "customers",
    "settlements",
    "exceptions",
    "webhooks",
    "audit",
    "exports",
    "alerts",
    "api-keys",
    "operations",
)
FOR_OPERATORS: Final = ("operations",)


def _walk(user: User, check: Callable[[str], None]) -> list[str]:
    """Through the navigation, with a check of each screen; their names."""
    names = []
    for title, address in user.shell.screens():
        name = address.removeprefix("#/")
        user.shell.follow(title)
        expect(user.page).to_have_title(re.compile(r"\w · Payments console \(local\)$"))
        check(name)
        names.append(name)
    return names


def test_a_merchant_sees_its_screens_without_an_error(user: User, world: World) -> None:
    user.merchant(world.merchant_id, "#/home")
    assert _walk(user, user.look) == [name for name in SCREENS if name not in FOR_OPERATORS]


def test_an_operator_sees_all_screens_without_an_error(user: User, world: World) -> None:
    user.operator("#/home")
    user.shell.choose_merchant(world.merchant_id)
    assert _walk(user, user.glance) == list(SCREENS)
