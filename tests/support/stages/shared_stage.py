"""One deployed stage for all test processes of a run: the first deploys it, the last stops it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from local.deploy import down, up
from local.emulator.cdk import STRIPE_VARIABLE
from local.emulator.ports import HOST, free_port, require_free
from local.errors import PortTaken
from local.stackfile import Stack, require_stack
from local.workspace import Workspace

ALONE: Final = "alone"
"""The name of this process if tests run in only one."""


class _Run(BaseModel):
    """The users of the deployed stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    stripe_port: int
    processes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SharedStage:
    """A stage in `workspace` for the processes of one run.

    `run` is the same in all processes of a run and in no other: what a killed run has left
    behind is stopped by the next one's first process.
    """

    workspace: Workspace
    run: str
    process: str = ALONE
    stripe: bool = True
    """Whether its functions expect Stripe at a port of the run's own."""

    @contextmanager
    def used(self) -> Iterator[tuple[Stack, int]]:
        """The stage, and the port where its functions expect Stripe, during the block."""
        stripe_port = self._join()
        try:
            yield require_stack(self.workspace), stripe_port
        finally:
            self._leave()

    def _join(self) -> int:
        with self._locked():
            found = self._read()
            if found is None or found.run != self.run:
                down(self.workspace)
                found = _Run(run=self.run, stripe_port=self._stripe_port() if self.stripe else 0)
            if self.stripe:
                # For the whole run: a command with another address for Stripe would deploy again.
                os.environ[STRIPE_VARIABLE] = f"http://{HOST}:{found.stripe_port}"
            if not found.processes:
                up(self.workspace, free_port())
            self._write(found.model_copy(update={"processes": found.processes | {self.process}}))
            return found.stripe_port

    def _leave(self) -> None:
        if self.stripe:
            os.environ.pop(STRIPE_VARIABLE, None)
        with self._locked():
            found = self._read()
            if found is None or found.run != self.run:
                return
            left = found.processes - {self.process}
            if left:
                self._write(found.model_copy(update={"processes": left}))
                return
            self._file.unlink()
            down(self.workspace)

    def _stripe_port(self) -> int:
        """That of the last run if it is free: its stage can be copied, and need not be deployed."""
        file = self.workspace.directory / "stripe-port"
        try:
            port = int(file.read_text())
            require_free(port)
        except (FileNotFoundError, ValueError, PortTaken):
            port = free_port()
            file.write_text(f"{port}\n")
        return port

    @property
    def _file(self) -> Path:
        return self.workspace.directory / "run.json"

    def _read(self) -> _Run | None:
        try:
            return _Run.model_validate_json(self._file.read_bytes())
        except (FileNotFoundError, ValueError):
            return None  # no user, or truncated by a killed process

    def _write(self, run: _Run) -> None:
        self._file.write_text(run.model_dump_json() + "\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.workspace.prepare()
        with (self.workspace.directory / "run.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
