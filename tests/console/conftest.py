"""One deployed stage and one browser for all tests of the console, a context for each test."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from local.emulator.aws import Clients
from local.stackfile import require_stack
from local.workspace import PROJECT_ROOT, Workspace
from tests.console.user import User, console_of
from tests.e2e.conftest import Deployment, Shop
from tests.support.console.chromium import ARGUMENTS, MISSING, chromium
from tests.support.console.kept_files import KeptFiles
from tests.support.console.watch import Tally
from tests.support.console.world import World, made_world
from tests.support.stages.shared_stage import ALONE, SharedStage

STATE_DIRECTORY: Final = Path(".local-console")
STAGE_VARIABLE: Final = "CONSOLE_STAGE"
"""State directory of a running stage to use instead of one of the run's own, for work on a test."""
PICTURES: Final = PROJECT_ROOT / ".local" / "console-screenshots"
"""Where each test leaves a picture of the last page that it saw."""
WAIT_MS: Final = 30_000
"""How long the browser is waited for: far longer than it takes on a busy machine."""
FIRST: Final = "test_fresh_stage.py"
"""Needs a stage on which nothing has happened."""
FROM_STAGE: Final = "files_from_stage"
"""Marks a test whose pages load the console's files from the stage, each time anew."""
TALLY: Final = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{FROM_STAGE}: loads the console's files from the stage")
    config.stash[TALLY] = Tally()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The stage has no merchant when the first file runs."""
    items.sort(key=lambda item: item.path.name != FIRST)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if chromium() is None:
        terminalreporter.write_line(f"WARNING: {MISSING}", red=True, bold=True)
    terminalreporter.write_line(f"Console: {terminalreporter.config.stash[TALLY]}")


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Tally:
    return request.config.stash[TALLY]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def deployment(browser: Browser, testrun_uid: str) -> Iterator[Deployment]:
    running = os.environ.get(STAGE_VARIABLE)
    if running:
        workspace = Workspace.find(Path(running))
        stack = require_stack(workspace)
        yield Deployment(workspace, stack, Clients(stack.aws_endpoint_url), 0)
        return
    stage = SharedStage(Workspace.find(STATE_DIRECTORY), testrun_uid, ALONE, stripe=False)
    with stage.used() as (stack, _):
        yield Deployment(stage.workspace, stack, Clients(stack.aws_endpoint_url), 0)


@pytest.fixture(scope="session")
def world(deployment: Deployment) -> World:
    """A merchant with some of everything."""
    return made_world(deployment)


@pytest.fixture
def shop(deployment: Deployment) -> Shop:
    return deployment.shop()


@pytest.fixture
def contexts(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    opened: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        context = browser.new_context(locale="en-US", timezone_id="UTC", **options)
        context.set_default_timeout(WAIT_MS)
        opened.append(context)
        return context

    yield make
    for context in opened:
        context.close()


@pytest.fixture(scope="session")
def kept_files(deployment: Deployment) -> KeptFiles:
    return KeptFiles(console_of(deployment))


@pytest.fixture
def user(
    deployment: Deployment,
    contexts: Callable[..., BrowserContext],
    kept_files: KeptFiles,
    tally: Tally,
    request: pytest.FixtureRequest,
) -> Iterator[User]:
    """A person at the console. Any error of the browser that was not expected fails the test."""
    context = contexts()
    if request.node.get_closest_marker(FROM_STAGE) is None:
        kept_files.over(context)
    user = User(deployment, context, tally)
    yield user
    _picture(user.page, request.node.name)
    tally.policy_violations += len(user.watch.policy_violations)
    user.watch.require_clean()


def _picture(page: Page, test: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{re.sub(r'[^a-z0-9_]+', '-', test)}.png")
