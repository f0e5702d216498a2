"""Workers of one run import a module of tests one after the other."""

from __future__ import annotations

import fcntl
import zlib
from pathlib import Path

import pytest

from tests.support import compiled_once

MODULE, OTHER = Path("tests/test_one.py"), Path("tests/test_two.py")


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "made" / "lock"
    monkeypatch.setattr(compiled_once, "LOCK", file)
    return file


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(operation, byte) of each lock that is taken."""
    taken: list[tuple[int, int]] = []
    monkeypatch.setattr(fcntl, "lockf", lambda _, how, size, at: taken.append((how, at)))
    return taken


def test_a_worker_locks_each_module_by_itself(
    locked: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    for module in (MODULE, OTHER, MODULE):
        with compiled_once.by_one_worker(module):
            pass
    one, other = (zlib.crc32(str(module).encode()) for module in (MODULE, OTHER))
    assert one != other
    assert locked == [(fcntl.LOCK_EX, at) for at in (one, other, one)]


def test_a_run_in_one_process_locks_nothing(
    locked: list[tuple[int, int]], lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    with compiled_once.by_one_worker(MODULE):
        assert locked == []
    assert not lock.parent.exists()
