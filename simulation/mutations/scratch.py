"""A copy of the project in which faults are planted, one after the other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from simulation.mutations.mutation import Mutation

COPIED: Final = (
    "runtime",
    "operations",
    "permissions",
    "simulation",
    "stacks",
    "local",
    "tests",
    "benchmarks",
    "docs",
)
"""Folders; of the root itself, all files are copied."""
LINKED: Final = (".venv", "node_modules", ".local")
"""Tools that tests start; nothing is planted there."""
_NOT_COPIED: Final = shutil.ignore_patterns("__pycache__", "*.pyc", "build", "cdk.out")


class Scratch:
    """One copy. Not for several threads at once."""

    def __init__(self, project: Path, root: Path) -> None:
        """Copy what the simulation and the tests need of `project` to `root`, a new directory."""
        self.root = root
        root.mkdir(parents=True)
        for name in COPIED:
            if (project / name).is_dir():
                shutil.copytree(project / name, root / name, ignore=_NOT_COPIED)
        for file in project.iterdir():
            if file.is_file():
                shutil.copy2(file, root)
        for name in LINKED:
            if (project / name).exists():
                (root / name).symlink_to((project / name).resolve())
        # Python compares compiled files with their source by its time in whole seconds.
        self._times = count(1_000_000_000)

    @contextmanager
    def planted(self, mutation: Mutation) -> Iterator[None]:
        """The copy has the fault inside, and is as it was afterwards. Raises DoesNotMatch."""
        changed = mutation.texts(self.root)
        before = {path: (self.root / path).read_text("utf-8") for path in changed}
        try:
            self._write(changed)
            yield
        finally:
            self._write(before)

    def _write(self, texts: dict[str, str]) -> None:
        for path, text in texts.items():
            file, time = self.root / path, next(self._times)
            file.write_text(text, "utf-8")
            os.utime(file, (time, time))
