"""The slowest tests of several runs: each writes its durations, and this prints the slowest of all.

`DURATIONS=directory pytest …` writes; `python -m tests.support.slowest directory` prints.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

VARIABLE: Final = "DURATIONS"
SHOWN: Final = 10


def note(reports: Iterable[pytest.TestReport]) -> None:
    """Write the duration of each test with its set-up and tear-down, if requested."""
    directory = os.environ.get(VARIABLE)
    if not directory or "PYTEST_XDIST_WORKER" in os.environ:
        return  # xdist's controller has the reports of its workers
    lines = (f"{each.duration:.2f} {each.when:<8} {each.nodeid}\n" for each in reports)
    file = Path(directory) / f"{os.getpid()}.durations"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(lines))


def slowest(directory: Path) -> Iterator[tuple[float, str]]:
    """Seconds, phase and name of the slowest tests of all runs, slowest first."""
    files = directory.glob("*.durations")
    lines = (line for file in files for line in file.read_text().splitlines())
    tests = ((float(seconds), test) for seconds, _, test in (each.partition(" ") for each in lines))
    yield from sorted(tests, reverse=True)[:SHOWN]


def main(directory: str) -> None:
    print(f"The {SHOWN} slowest tests, in seconds:")
    for seconds, test in slowest(Path(directory)):
        print(f"{seconds:8.1f}  {test}")


if __name__ == "__main__":
    main(sys.argv[1])
