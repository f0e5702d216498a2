"""A module of tests is compiled by one worker, and read by the others.

pytest compiles tests itself, which takes five times as long as reading the result. All workers
of a fresh clone want the same modules in the same order, so each module has a lock: while one
worker compiles it the others wait, and leave the processor to the other suite.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCK: Final = Path(__file__).resolve().parents[2] / ".local" / "compiled-once.lock"
"""One byte of it is locked for each module."""
_WORKER: Final = "PYTEST_XDIST_WORKER"


@contextmanager
def by_one_worker(module: Path) -> Iterator[None]:
    """Wait for a worker that is importing `module`; alone, or among workers, import it here."""
    if _WORKER not in os.environ:
        yield
        return
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, zlib.crc32(str(module).encode()))
        yield
