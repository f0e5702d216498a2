"""The runner of pages notices what a reader would."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pages.blocks import Block, Use
from tests.support.pages.shell import PageBroken, run_page


def block(text: str, use: Use = Use.RUN, detail: str = "") -> Block:
    return Block("page.md", 1, "sh", use, detail, text)


def test_commands_share_one_shell_and_outputs_are_compared(tmp_path: Path) -> None:
    shown = [block("NAME=Ada; hello() { echo hello $1; }\n"), block('hello "$NAME"\n')]
    run_page([*shown, block("hello Ada\n", Use.OUTPUT)], tmp_path)
    with pytest.raises(PageBroken, match=r"but this was printed:\nhello Ada"):
        run_page([*shown, block("hello Bob\n", Use.OUTPUT)], tmp_path)


@pytest.mark.parametrize("failing", ["false\n", "false | cat\n", "echo $UNSET_NAME\n", "exit 0\n"])
def test_a_command_that_fails_is_reported_with_its_block(failing: str, tmp_path: Path) -> None:
    with pytest.raises(PageBroken, match=r"page\.md:1: a command failed"):
        run_page([block(f"echo before\n{failing}echo after\n")], tmp_path)


def test_another_terminal_runs_until_the_page_ends(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    other = block(
        f"trap 'touch {ended}; exit' TERM\necho Ready\nwhile :; do sleep 0.1; done\n",
        Use.BACKGROUND,
        "Ready",
    )
    run_page([other, block("Ready\n", Use.OTHER_OUTPUT), block("true\n")], tmp_path)
    assert ended.exists()


def test_another_terminal_that_ends_before_it_is_ready_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PageBroken, match="ended too early:\nno port"):
        run_page([block("echo no port\n", Use.BACKGROUND, "Ready")], tmp_path)
