"""Process identity. A pid alone is not enough: the system reuses it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_PS_TIMEOUT_SECONDS: Final = 5
_ZOMBIE_STATES: Final = frozenset("ZX")
_STATE_FIELD: Final = 0
_START_FIELD: Final = (
    19  # `starttime`, field 22 of /proc/<pid>/stat, counted after the command's name
)


@dataclass(frozen=True)
class ProcessIdentity:
    """A pid and its start time, as reported by the system: together they identify one process."""

    pid: int
    started: str

    def is_alive(self) -> bool:
        """True while that very process runs; False when it ended, or its pid now names another."""
        return start_of(self.pid) == self.started


def identify(pid: int) -> ProcessIdentity | None:
    """The running process `pid`, or None when there is none (a zombie has ended)."""
    started = start_of(pid)
    return None if started is None else ProcessIdentity(pid, started)


def start_of(pid: int) -> str | None:
    """Opaque mark of the start time of `pid`, or None if it does not run."""
    return _start_from_proc(pid) if (_PROC / "self").exists() else _start_from_ps(pid)


def _start_from_proc(pid: int) -> str | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name is in parentheses and may itself contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    if fields[_STATE_FIELD] in _ZOMBIE_STATES:
        return None
    return f"{boot}:{fields[_START_FIELD]}"


def _start_from_ps(pid: int) -> str | None:
    """For systems without /proc (macOS)."""
    answer = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)],
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
        text=True,
        timeout=_PS_TIMEOUT_SECONDS,
    )
    state, _, started = answer.stdout.strip().partition(" ")
    if answer.returncode != 0 or not started or state[:1] in _ZOMBIE_STATES:
        return None
    return " ".join(started.split())


def signal_group(leader: int, signal_number: int) -> bool:
    """Send a signal to the process group that `leader` started; False if it has no process left."""
    try:
        os.killpg(leader, signal_number)
    except ProcessLookupError:
        return False
    return True
