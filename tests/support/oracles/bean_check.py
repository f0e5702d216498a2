"""Beancount's own verdict on a ledger file: another program, in its own environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

from local.emulator import toolchain
from local.progress import Progress
from local.workspace import Workspace

_PATIENCE_SECONDS = 120


def bean_check(content: bytes, directory: Path) -> str:
    """The errors that `bean-check` finds; empty if none."""
    file = directory / "books.beancount"
    file.write_bytes(content)
    python = toolchain.beancount_python(Workspace.find(), Progress())
    answer = subprocess.run(
        # Without a cache, which would be written beside the file.
        [str(python.with_name("bean-check")), "--no-cache", str(file)],
        capture_output=True,
        check=False,
        text=True,
        timeout=_PATIENCE_SECONDS,
    )
    said = answer.stdout + answer.stderr
    assert (answer.returncode == 0) == (not said), f"bean-check ended with {answer.returncode}"
    return said
