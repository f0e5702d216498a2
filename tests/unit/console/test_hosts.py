"""The console names no other host."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from local.workspace import PROJECT_ROOT

CONSOLE: Final = PROJECT_ROOT / "console"
FILES: Final = sorted(path for path in CONSOLE.rglob("*") if path.is_file())
OWN: Final = [path for path in FILES if "vendor" not in path.relative_to(CONSOLE).parts]
NAMESPACES: Final = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink")
"""Names of XML namespaces, which no browser fetches."""
_HOST: Final = re.compile(r"https?://[\w.${][^\s\"'`)<>]*")


def _hosts(text: str) -> list[str]:
    return [found for found in _HOST.findall(text) if found not in NAMESPACES]


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.relative_to(CONSOLE).as_posix())
def test_no_file_of_ours_names_a_host(path: Path) -> None:
    assert _hosts(path.read_text("utf-8")) == []


def test_a_host_would_be_found() -> None:
    assert _hosts('import "https://cdn.test/a.js"') == ["https://cdn.test/a.js"]
    assert _hosts('<svg xmlns="http://www.w3.org/2000/svg">') == []
