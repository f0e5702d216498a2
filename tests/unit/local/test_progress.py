"""Progress output without a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from local.progress import Progress


def counted(progress: Progress) -> None:
    with progress.rows() as bars:
        for title, rows in (("accounts", 3), ("settlement postings of a long title", 1)):
            task = bars.add_task(title, total=rows)
            for _ in range(rows):
                bars.advance(task)
                bars.refresh()


@pytest.mark.parametrize("forced", [False, True])
def test_bars_are_one_line_each_if_the_output_is_not_a_terminal(
    forced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forced:
        monkeypatch.setenv("FORCE_COLOR", "1")  # rich would take any file for a terminal
    printed = io.StringIO()
    counted(Progress(Console(file=printed)))
    lines = printed.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["accounts", "settlement"]
    assert "3/3" in lines[0]
    assert "1/1" in lines[1]
    assert "\x1b" not in printed.getvalue()


def test_a_step_is_one_line_if_the_output_is_not_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    printed = io.StringIO()
    with Progress(Console(file=printed)).step("Deploy the stacks"):
        pass
    assert printed.getvalue().count("Deploy the stacks") == 1


def test_bars_are_drawn_on_a_terminal() -> None:
    printed = io.StringIO()
    counted(Progress(Console(file=printed, force_terminal=True), live=True))
    assert printed.getvalue().count("accounts") > 1
