"""docs/audit.md explains verification: its example is correct, and its code matches ours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.audit.archive.rules import tree_of
from runtime.audit.chain import check_chain, hash_of
from runtime.audit.models import AuditRow
from runtime.core.canonical_json import canonical_json

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "audit.md").read_text()


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def code() -> dict[str, Callable[..., Any]]:
    """The functions defined in the page's Python."""
    defined: dict[str, Any] = {}
    exec(_block("python"), defined)  # noqa: S102 - our own page
    return defined


def test_the_example_is_a_row_with_the_hash_on_the_page() -> None:
    line = _block("json").strip()
    row = AuditRow.model_validate_json(line)
    assert canonical_json(row.model_dump(mode="json")).decode() == line
    assert hash_of(row) == row.hash
    assert check_chain([row]).valid
    assert f"hashed gives `{row.hash}`" in PAGE


def test_the_pages_code_hashes_a_row_like_ours(code: dict[str, Callable[..., Any]]) -> None:
    line = _block("json").strip()
    assert code["row_hash"](line) == json.loads(line)["hash"]


@pytest.mark.parametrize("count", range(1, 18))
def test_the_pages_code_builds_our_tree(code: dict[str, Callable[..., Any]], count: int) -> None:
    names = [f"rows/{number}" for number in range(count)]
    assert code["tree"]("ab" * 32, names) == tree_of("ab" * 32, names)
