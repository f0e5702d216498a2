"""Tables of benchmarks in the guides: replaced between their marks, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.figures import Figures, begin, end, update_guides
from local.errors import LocalError

FIGURES = Figures("cpu", ("request", "µs"), (("transfer", "700"), ("sale", "900")), "an engine")
TABLE = """Measured today, an engine:

| request | µs |
| --- | --- |
| transfer | 700 |
| sale | 900 |
"""


def test_a_table_replaces_what_is_between_its_marks(tmp_path: Path) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text(f"before\n{begin(FIGURES)}old\n{end(FIGURES)}\nafter\n")
    for _ in range(2):
        update_guides(tmp_path, [FIGURES], "today")
        assert guide.read_text() == f"before\n{begin(FIGURES)}{TABLE}{end(FIGURES)}\nafter\n"


def test_a_guide_without_the_marks_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "guide.md").write_text("before\n")
    with pytest.raises(LocalError, match="cpu"):
        update_guides(tmp_path, [FIGURES], "today")
    assert (tmp_path / "guide.md").read_text() == "before\n"


def test_a_block_without_an_end_is_refused(tmp_path: Path) -> None:
    text = f"before\n{begin(FIGURES)}old\nafter\n"
    (tmp_path / "guide.md").write_text(text)
    with pytest.raises(LocalError, match="no end"):
        update_guides(tmp_path, [FIGURES], "today")
    assert (tmp_path / "guide.md").read_text() == text
