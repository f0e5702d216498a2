"""Each code block of a page says what a test does with it; what no test executes is listed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from local.workspace import PROJECT_ROOT
from tests.support.pages.blocks import (
    KNOWN_MARK,
    MARKED,
    Use,
    all_blocks,
    blocks_of,
    pages,
)
from tests.support.pages.shell import shows

AWS = "needs a stage in AWS"
NOT_RUN = {
    "README.md": {"make demo is run by tests/e2e/test_demo.py, and make test runs that": 1},
    "docs/audit.md": {
        AWS: 1,
        "it needs a bucket in AWS; tests/integration/audit verifies the same": 1,
        "tests/unit/audit/test_records.py and tests/e2e/test_audit.py execute it": 1,
    },
    "docs/clients.md": {
        "needs the built clients; tests/e2e/test_clients.py makes such calls": 7,
    },
    "docs/guides/going-live.md": {
        "it takes a minute; tests/infrastructure synthesizes every stage": 1,
        "it synthesizes a stage; tests/infrastructure calculates the bills": 1,
        "needs an AWS account": 2,
    },
    "docs/guides/reconciliation.md": {
        "other tests plant errors in the stage that they share; tests/e2e/test_ledger.py runs it": 1
    },
    "docs/operations.md": {
        AWS: 8,
        "tests/e2e/test_audit.py runs it; the id is that of a finding": 1,
        "the guide First payment runs it; with STAGE it needs a stage in AWS": 1,
    },
    "docs/performance.md": {
        "tests/e2e/test_load.py runs it on the local stage; the others need a stage in AWS": 1,
        "it clones and builds another repository": 1,
    },
    "docs/runbooks/restore.md": {AWS: 3},
    "docs/testing.md": {
        "it changes permissions/calls.jsonl": 1,
        "make test-console runs these tests": 1,
        "tests/e2e/test_deployed_stage.py runs some of these tests so": 1,
    },
}
"""Blocks with commands or programs that no test executes, by page and reason."""


def test_blocks_that_are_not_executed_are_listed_with_their_reason() -> None:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for block in all_blocks():
        if block.use is Use.NOT_RUN and not block.detail.endswith("is not installed"):
            found[block.page][block.detail] += 1
    assert found == NOT_RUN


def test_a_block_that_needs_a_tool_names_go_alone() -> None:
    missing = {block.detail for block in all_blocks() if block.detail.endswith("is not installed")}
    assert missing <= {"go is not installed"}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_mark_before_a_block_is_known(page: Path) -> None:
    marks = [found["mark"] for found in MARKED.finditer(page.read_text("utf-8")) if found["mark"]]
    generated = ("Made by `make", "make docs: ")
    assert [
        mark for mark in marks if not KNOWN_MARK.match(mark) and not mark.startswith(generated)
    ] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_an_output_follows_its_command_and_commands_are_fenced(page: Path) -> None:
    before = None
    for block in blocks_of(page):
        if block.use is Use.OUTPUT:
            assert before is not None, block
            assert before.use is Use.RUN, f"{block}: the command before it is not executed"
        before = block
    indented = r"^    (?:aws|curl|jq|make|openssl) "
    assert re.findall(indented, MARKED.sub("", page.read_text("utf-8")), re.MULTILINE) == []


def test_commands_are_executed_without_a_mark() -> None:
    page = PROJECT_ROOT / "docs" / "guides" / "first-payment.md"
    assert Use.RUN in {block.use for block in blocks_of(page) if block.detail == ""}


@pytest.mark.parametrize(
    ("expected", "printed", "is_shown"),
    [
        ("a …\n b", "x a  1 2 b y", True),
        ('{"id":"pay_…",…"amount":7,…}', '{"id":"pay_1","x":1,"amount":7,"y":2}', True),
        ('{"id":"pay_…",…"amount":7,…}', '{"id":"pay_1","x":1,"amount":8,"y":2}', False),
        ("a.c", "abc", False),
        ("a … b", "a b", True),
    ],
)
def test_an_output_is_compared_with_what_is_masked_left_out(
    expected: str, printed: str, is_shown: bool
) -> None:
    assert shows(expected, printed) == is_shown
