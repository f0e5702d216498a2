"""Code blocks of a page, and what a test is to do with each.

A comment before a block says what it is for; without one, a block of shell commands is executed:

    <!-- not run: REASON -->                for commands that cannot be executed by a test
    <!-- output -->                         what the block before it prints; `…` is any text
    <!-- save as .local/NAME -->            a file that later commands use
    <!-- in another terminal, until: X -->  goes on while the rest of the page runs; X is printed
                                            once it is ready
    <!-- output of the other terminal -->   what the last of those prints, at the latest now
    <!-- needs TOOL: … -->                  one of the above, or `run`, where the tool is installed
    <!-- code from FILE: NAMES -->          quoted code, compared by another test
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from local.workspace import PROJECT_ROOT

SHELL: Final = frozenset({"sh", "bash", "console"})
PROGRAMS: Final = frozenset({"python", "ts", "typescript", "js", "go"})
MARKED: Final = re.compile(
    r"(?:^[ ]*<!-- (?P<mark>[^\n]*?) -->\n\s*)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)\n(?P<text>.*?)^[ ]*```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
KNOWN_MARK: Final = re.compile(
    r"(?:needs (?P<tool>\w+): )?"
    r"(?P<kind>run$|not run: |output$|output of the other terminal$|save as "
    r"|in another terminal, until: |code from )(?P<detail>.*)"
)


class Use(StrEnum):
    """What a test does with a block."""

    RUN = "run"
    BACKGROUND = "background"
    OUTPUT = "output"
    OTHER_OUTPUT = "output of the other terminal"
    FILE = "file"
    NOT_RUN = "not run"
    SHOWN = "shown"
    """Nothing: it is not code, or another test compares it."""


_USES: Final = {
    "run": Use.RUN,
    "not run: ": Use.NOT_RUN,
    "output": Use.OUTPUT,
    "output of the other terminal": Use.OTHER_OUTPUT,
    "save as ": Use.FILE,
    "in another terminal, until: ": Use.BACKGROUND,
    "code from ": Use.SHOWN,
}


@dataclass(frozen=True)
class Block:
    """`detail`: the reason, the file's name, or what is printed once it is ready."""

    page: str
    line: int
    language: str
    use: Use
    detail: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """README and the pages of docs/, without the records of decisions."""
    below = (
        page for page in (PROJECT_ROOT / "docs").rglob("*.md") if "decisions" not in page.parts
    )
    return [PROJECT_ROOT / "README.md", PROJECT_ROOT / "CONTRIBUTING.md", *sorted(below)]


def blocks_of(page: Path) -> list[Block]:
    """All code blocks, in order. Raises ValueError for a program without a mark."""
    text, name = page.read_text("utf-8"), page.relative_to(PROJECT_ROOT).as_posix()
    return [_block(found, name, text) for found in MARKED.finditer(text)]


def _block(found: re.Match[str], page: str, text: str) -> Block:
    language, indent = found["language"], found["indent"]
    code = re.sub(rf"^{indent}", "", found["text"], flags=re.MULTILINE)
    line = text.count("\n", 0, found.start("language")) + 1
    mark = KNOWN_MARK.match(found["mark"] or "")
    if mark is not None:
        use, detail, tool = _USES[mark["kind"]], mark["detail"], mark["tool"]
        if tool is not None and shutil.which(tool) is None:
            use, detail = Use.NOT_RUN, f"{tool} is not installed"
        return Block(page, line, language, use, detail, code)
    if language in PROGRAMS:
        raise ValueError(f"{page}:{line}: say what this {language} block is for: see {__name__}")
    return Block(page, line, language, Use.RUN if language in SHELL else Use.SHOWN, "", code)


def all_blocks() -> list[Block]:
    """Of all pages."""
    return [block for page in pages() for block in blocks_of(page)]
