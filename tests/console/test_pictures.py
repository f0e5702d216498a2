"""The pictures of the README: `make screenshots` puts them into docs/images."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from PIL import Image
from playwright.sync_api import expect

from local.workspace import PROJECT_ROOT
from tests.console.conftest import PICTURES
from tests.console.user import User
from tests.e2e.conftest import Deployment
from tests.e2e.test_audit import Log
from tests.support.console.pages.audit import HistoryPage
from tests.support.console.pages.lists import ListPage
from tests.support.console.world import World, until

DIRECTORY_VARIABLE: Final = "CONSOLE_PICTURES"
LARGEST_BYTES: Final = 150_000
COLOURS: Final = 128
FRAME: Final = {"width": 1280, "height": 900}


@pytest.fixture(autouse=True)
def _frame(user: User) -> None:
    user.page.set_viewport_size(FRAME)


@pytest.fixture
def log(deployment: Deployment) -> Iterator[Log]:
    log = Log(deployment)
    yield log
    log.restore()


def _taken(user: User, name: str) -> None:
    """Keep a picture of the page, in few colours, small enough for the repository."""
    user.page.evaluate("scrollTo(0, 0)")
    shown = Image.open(io.BytesIO(user.page.screenshot(animations="disabled")))
    directory = PROJECT_ROOT / Path(os.environ.get(DIRECTORY_VARIABLE) or PICTURES)
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"console-{name}.png"
    shown.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    assert file.stat().st_size < LARGEST_BYTES


def test_home(user: User, world: World) -> None:
    until(lambda: world.client.get("/v1/payments/summary").require(200)["total_count"] >= 7)
    shell = user.operator("#/home")
    shell.choose_merchant(world.merchant_id)
    shell.open("#/home")
    expect(shell.main.get_by_role("img").first).to_be_visible()
    _taken(user, "home")


def test_the_timeline_of_a_payment(user: User, world: World) -> None:
    shell = user.merchant(world.merchant_id, f"#/payments/{world.ids['refunded']}")
    expect(shell.section("Timeline").get_by_role("listitem").first).to_be_visible()
    _taken(user, "payment")


def test_the_queue_of_exceptions(user: User, world: World) -> None:
    user.merchant(world.merchant_id, "#/exceptions")
    expect(ListPage(user.page, "Exceptions").rows.first).to_be_visible()
    _taken(user, "exceptions")


def test_a_broken_chain(user: User, world: World, log: Log) -> None:
    payment = world.ids["refunded"]
    until(lambda: len(log.rows(payment)) >= 3)
    log.put(log.rows(payment)[1].model_copy(update={"user_id": "intruder"}))
    user.merchant(world.merchant_id, f"#/audit/{payment}")
    expect(HistoryPage(user.page).broken).to_have_count(1)
    _taken(user, "broken-chain")
