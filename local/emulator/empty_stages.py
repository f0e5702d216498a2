"""Deployed stages without data, kept on disk: the next stage of the same sources begins as a copy.

To deploy one takes 20 s of a processor, most of it for the synthesis; to copy one takes 4 s. What
is kept is what the emulator saves when it is stopped (kept_emulator.py), and the assembly. A copy
has another port, which the addresses of its queues contain, and its schedules count from its start,
as the emulator's do for all rules that CloudFormation made.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.workspace import Workspace

KEPT_STAGES: Final = 4
"""The newest are kept, some 10 MB each: of tests and of `make up`, before and after a change."""
_DEPLOYING: Final = ("local/emulator", "requirements-ministack.txt")
"""What makes the state, besides the sources that are deployed."""
_PORT_FILE: Final = "port"


@dataclass(frozen=True)
class EmptyStage:
    """The place of the kept stage of certain sources, whether it is there or not."""

    directory: Path

    @classmethod
    def of(cls, workspace: Workspace, sources: str) -> EmptyStage:
        """`sources`: hash of what is deployed; what deploys it counts as well."""
        digest = hashlib.sha256(f"{sources} {sys.version} {workspace.root}".encode())
        for name in _DEPLOYING:
            path = workspace.root / name
            for file in sorted(path.glob("*.py")) if path.is_dir() else (path,):
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return cls(workspace.tools / "empty-stages" / digest.hexdigest()[:16])

    def exists(self) -> bool:
        """Whether it can be copied."""
        return self.directory.is_dir()

    def keep(self, workspace: Workspace, port: int) -> None:
        """Keep the stage of `workspace`, which listened on `port` and was stopped with its state.

        Not if a schedule has run meanwhile. If another process was faster, its stage stays.
        """
        if not is_empty(workspace.emulator_state / "state"):
            return
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".half-", dir=self.directory.parent) as name:
            half = Path(name) / self.directory.name
            half.mkdir()
            for source, kept in self._parts(workspace, half):
                _copy(source, kept)
            (half / _PORT_FILE).write_text(f"{port}\n")
            try:
                half.rename(self.directory)
            except OSError:
                if not self.exists():
                    raise
        self._forget_old()

    def copy_to(self, workspace: Workspace, port: int) -> None:
        """Make `workspace` that of a stage which was stopped with this state, to run on `port`."""
        os.utime(self.directory)
        old_port = int((self.directory / _PORT_FILE).read_text())
        for target, kept in self._parts(workspace, self.directory):
            _copy(kept, target)
        state = workspace.emulator_state / "state"
        for file in (workspace.outputs_file, *state.glob("*.json")):
            file.write_text(with_port(file.read_text(), old_port, port))

    def forget(self) -> None:
        """Have the next stage deployed again."""
        shutil.rmtree(self.directory, ignore_errors=True)

    @staticmethod
    def _parts(workspace: Workspace, kept: Path) -> tuple[tuple[Path, Path], ...]:
        """Each file or directory of a stage, and its place here."""
        return (
            (workspace.emulator_state / "state", kept / "state"),
            (workspace.emulator_state / "s3", kept / "s3"),
            (workspace.synthesized, kept / "synthesized"),
            (workspace.adapted, kept / "adapted"),
            (workspace.outputs_file, kept / "outputs.json"),
        )

    def _forget_old(self) -> None:
        stages = [path for path in self.directory.parent.glob("[!.]*") if path != self.directory]
        stages.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for old in stages[KEPT_STAGES - 1 :]:
            shutil.rmtree(old, ignore_errors=True)


def with_port(text: str, old: int, new: int) -> str:
    """Addresses of the emulator, with its new port."""
    return re.sub(rf"\b(localhost|127\.0\.0\.1):{old}\b", rf"\g<1>:{new}", text)


def is_empty(state: Path) -> bool:
    """Whether a saved state has neither items nor records of functions that ran."""
    tables = _all_of(state / "dynamodb.json", "tables")
    groups = _all_of(state / "cloudwatch_logs.json", "log_groups")
    return not any(each["items"] for each in tables) and not any(each["streams"] for each in groups)


def _all_of(file: Path, kind: str) -> list[dict[str, Any]]:
    return list(json.loads(file.read_text())["payload"][kind]["data"].values())


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
