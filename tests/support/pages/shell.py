"""Executes the commands of a page in one shell, as a reader would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from local.workspace import DIRECTORY_VARIABLE, PROJECT_ROOT
from tests.support.pages.blocks import Block, Use

BLOCK_SECONDS: Final = 300.0
READY_SECONDS: Final = 120.0
POLL_SECONDS: Final = 0.1
_END: Final = "=== end of block ==="
# What a make that runs the tests hands down would change the commands of a page.
_NOT_INHERITED: Final = re.compile(
    r"MAKE.*|MFLAGS|ARGS|STAGE|TOKEN|PAYMENTS_TOKEN|PORT|FILE|MERCHANT|EVENT|DATA|FORWARD|SECRET"
    r"|API|OPERATOR_TOKEN|WEBHOOK_SECRET|E2E_STAGE|PYTEST_.*|COV_.*"
)


class PageBroken(AssertionError):
    """A command of a page failed, or printed something else than the page shows."""


@dataclass
class _Background:
    """A command in another terminal."""

    block: Block
    process: subprocess.Popen[str]
    output: Path

    def await_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while self.block.detail not in self.output.read_text("utf-8"):
            said = self.output.read_text("utf-8")
            if self.process.poll() is not None:
                raise PageBroken(f"{self.block}: it ended too early:\n{said}")
            if time.monotonic() > deadline:
                raise PageBroken(f"{self.block}: not ready after {READY_SECONDS} s:\n{said}")
            time.sleep(POLL_SECONDS)

    def await_output(self, expected: Block) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not shows(expected.text, self.output.read_text("utf-8")):
            if time.monotonic() > deadline:
                _require(expected, self.output.read_text("utf-8"))
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End it as Ctrl-C does, and wait until all its processes have ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
            deadline = time.monotonic() + READY_SECONDS
            while time.monotonic() < deadline:
                self.process.poll()
                os.killpg(self.process.pid, 0)
                time.sleep(POLL_SECONDS)
            raise PageBroken(f"{self.block}: it did not end within {READY_SECONDS} s")


def run_page(blocks: Iterable[Block], state_directory: Path) -> None:
    """Execute the blocks in order on the local stage in `state_directory`.

    Raises:
        PageBroken: a command failed, or an output differs from the one that is shown.
    """
    _require_same_environment()
    environment = _environment(state_directory)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shell = stack.enter_context(_shell(environment))
        said, other = "", None
        for block in blocks:
            if block.use is Use.FILE:
                file = PROJECT_ROOT / block.detail
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, "utf-8")
            elif block.use is Use.RUN:
                said = _executed(shell, block)
            elif block.use is Use.OUTPUT:
                _require(block, said)
            elif block.use is Use.BACKGROUND:
                other = _started(block, environment, directory)
                stack.callback(other.stop)
                other.await_ready()
            elif block.use is Use.OTHER_OUTPUT:
                assert other is not None, f"{block}: nothing runs in another terminal"
                other.await_output(block)


def shows(expected: str, printed: str) -> bool:
    """Whether `printed` has all of `expected`, in which `…` stands for any text.

    White space counts as one space, and next to `…` as nothing.
    """
    parts = (re.escape(part) for part in re.split(r"\s*…\s*", " ".join(expected.split())))
    return re.search(".*?".join(parts), " ".join(printed.split())) is not None


def _require(block: Block, printed: str) -> None:
    if not shows(block.text, printed):
        raise PageBroken(f"{block} shows\n{block.text}\nbut this was printed:\n{printed}")


def _require_same_environment() -> None:
    """`make` would set up .venv again, and so delete it under the tests that it runs."""
    wanted = PROJECT_ROOT / "requirements.txt"
    installed = PROJECT_ROOT / ".venv" / "requirements.installed"
    if not installed.exists() or wanted.read_bytes() != installed.read_bytes():
        raise PageBroken(".venv is not that of requirements.txt: run make venv")


def _environment(state_directory: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not _NOT_INHERITED.fullmatch(name)}
    return {**kept, DIRECTORY_VARIABLE: str(state_directory), "PYTHONUNBUFFERED": "1"}


@contextmanager
def _shell(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-s"],
        cwd=PROJECT_ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield shell
    finally:
        _kill(shell)
        for stream in (shell.stdin, shell.stdout):
            if stream is not None:
                stream.close()
        shell.wait()


def _kill(shell: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGKILL)


def _executed(shell: subprocess.Popen[str], block: Block) -> str:
    """What the block prints. Raises PageBroken if one of its commands fails."""
    watchdog = threading.Timer(BLOCK_SECONDS, _kill, [shell])
    watchdog.start()
    try:
        printed, ended = _said(shell, block.text)
    finally:
        watchdog.cancel()
    if not ended:
        raise PageBroken(f"{block}: a command failed:\n{block.text}\nIt printed:\n{printed}")
    return printed


def _said(shell: subprocess.Popen[str], commands: str) -> tuple[str, bool]:
    """The output, and whether the shell went on after it."""
    stdin, stdout = _streams(shell)
    try:
        stdin.write(f"{{ :\n{commands}\n}} </dev/null\nprintf '\\n%s\\n' '{_END}'\n")
        stdin.flush()
    except BrokenPipeError:
        return "the shell has ended", False
    lines = []
    for line in stdout:
        if line.rstrip("\n") == _END:
            return "".join(lines), True
        lines.append(line)
    return "".join(lines), False


def _streams(shell: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert shell.stdin is not None
    assert shell.stdout is not None
    return shell.stdin, shell.stdout


def _started(block: Block, environment: dict[str, str], directory: Path) -> _Background:
    output = directory / f"{block.line}.log"
    with output.open("w") as log:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=PROJECT_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    return _Background(block, process, output)
