"""Every command of README and docs/ is executed, page by page, and prints what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.workspace import PROJECT_ROOT
from tests.e2e.conftest import Deployment
from tests.support.pages.blocks import Use, blocks_of, pages
from tests.support.pages.shell import run_page

pytestmark = pytest.mark.emulator("the commands are for the local stage")

EXECUTED = [page for page in pages() if any(each.use is Use.RUN for each in blocks_of(page))]


@pytest.mark.parametrize(
    "page", EXECUTED, ids=lambda page: page.relative_to(PROJECT_ROOT).as_posix()
)
def test_the_commands_of_a_page_work(page: Path, deployment: Deployment) -> None:
    run_page(blocks_of(page), deployment.workspace.directory)
