"""`up` and `down`: from a checkout to a running stack, and back to nothing, or to kept data."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

from local.emulator import ministack
from local.emulator.cdk import STRIPE_VARIABLE
from local.emulator.ministack import Emulator
from local.emulator.ports import DEFAULT_PORT, require_free
from local.emulator.readiness import await_health
from local.emulator.stage import Site
from local.emulator.toolchain import cdk_cli, ministack_python
from local.errors import AlreadyRunning, LocalError
from local.progress import Progress
from local.stackfile import Stack
from local.workspace import Workspace

# A change in any of these requires a new deployment.
_DEPLOYED_SOURCES: Final = (
    "app.py",
    "cdk.json",
    "console",
    "local/emulator/templates.py",
    "local/emulator/thin_asset.py",
    "package-lock.json",
    "requirements-lambda.txt",
    "requirements.txt",
    "runtime",
    "stacks",
)


def up(workspace: Workspace, port: int | None = None, progress: Progress | None = None) -> Stack:
    """Have the local stage running with the current sources. Idempotent.

    Args:
        workspace: its state directory; another directory is another, independent stage.
        port: where the emulator listens; None keeps that of a running or kept one, or takes
            `DEFAULT_PORT`.
        progress: where the steps are shown.

    Raises:
        LocalError: the reason why it does not run. An emulator started here is stopped again,
            and kept data stays kept.
    """
    progress = progress or Progress()
    workspace.prepare()
    sources = sources_fingerprint(workspace.root)
    # Many commands begin with this one: if nothing is left to do, they do not block each other.
    if standing := _standing(workspace, port, sources):
        return standing
    with _only_one(workspace):
        running = _running_or_cleared(workspace, port)
        kept_port = _kept_port(workspace) if running is None else None
        if running is not None:
            if standing := _standing(workspace, port, sources):
                return standing
            progress.note("The sources changed: deploying them over the running stage.")
        site = Site(
            workspace,
            cdk_cli(workspace, progress),
            ministack_python(workspace, progress),
            port or kept_port or DEFAULT_PORT,
            progress,
        )
        fresh = running is None and kept_port is None
        try:
            if fresh:
                stack = site.fresh(sources)
            else:
                stack = site.deployed(running or site.start(kept=True))
        except BaseException:
            if running is None:
                down(workspace, keep=not fresh)
            raise
        stack.write(workspace.stack_file)
        workspace.deployed_file.write_text(json.dumps({"sources": sources}) + "\n")
        return stack


class Stopped(StrEnum):
    """The result of `down`, as text."""

    NOTHING = "Nothing runs."
    STILL_KEPT = "Nothing is running. Data was kept: the next `make up` uses it."
    KEPT_DELETED = "Nothing is running. The kept data was deleted."
    DELETED = "The local stage was stopped and its data deleted. To keep it: make down KEEP=1"
    KEPT = "The local stage was stopped. Its data is kept: the next `make up` uses it."


def down(workspace: Workspace, *, keep: bool = False) -> Stopped:
    """Stop what `up` started in this workspace, and delete its data unless it is to be kept.

    Raises:
        StateNotKept: it is stopped, and its data could not be kept.
    """
    running = ministack.running(workspace)
    if keep and running is not None:
        try:
            ministack.stop_and_keep(workspace)
        finally:
            _forget_deployment(workspace)
        workspace.kept_file.write_text(json.dumps({"port": running.port}) + "\n")
        return Stopped.KEPT
    ministack.stop(workspace)
    _forget_deployment(workspace)
    had_kept = _kept_port(workspace) is not None
    if keep:
        return Stopped.STILL_KEPT if had_kept else Stopped.NOTHING
    workspace.kept_file.unlink(missing_ok=True)
    ministack.delete_state(workspace)
    if running is not None:
        return Stopped.DELETED
    return Stopped.KEPT_DELETED if had_kept else Stopped.NOTHING


def sources_fingerprint(root: Path) -> str:
    """Hash of everything that affects a deployment."""
    digest = hashlib.sha256(os.environ.get(STRIPE_VARIABLE, "").encode())
    for name in _DEPLOYED_SOURCES:
        path = root / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{file.relative_to(root)} {content}\n".encode())
    return digest.hexdigest()


def _standing(workspace: Workspace, port: int | None, sources: str) -> Stack | None:
    """The stage, if it runs and was deployed from these sources."""
    running, stack = ministack.running(workspace), Stack.read(workspace.stack_file)
    if running is None or stack is None or port not in (None, running.port):
        return None
    if _deployed_sources(workspace) != sources or not running.answers():
        return None
    await_health(stack.api_url, running)
    return stack


def _running_or_cleared(workspace: Workspace, port: int | None) -> Emulator | None:
    """Our emulator if it is usable. One that is half deployed or unresponsive is stopped."""
    running = ministack.running(workspace)
    if running is None:
        _forget_deployment(workspace)
        kept_port = _kept_port(workspace)
        if kept_port is not None and port not in (None, kept_port):
            raise AlreadyRunning(
                f"The kept data is of a stage on port {kept_port}, not {port}.",
                hint=f"Continue with it: make up PORT={kept_port}. Or delete it: make down",
            )
        require_free(port or kept_port or DEFAULT_PORT)  # before minutes of set-up, not after
        return None
    if port is not None and port != running.port:
        raise AlreadyRunning(
            f"The local stage already runs on port {running.port}, not {port}.",
            hint="Stop it first: make down",
        )
    if Stack.read(workspace.stack_file) is None or not running.answers():
        down(workspace)
        return None
    return running


def _forget_deployment(workspace: Workspace) -> None:
    """Delete what is recorded about the last emulator; not its data."""
    workspace.process_file.unlink(missing_ok=True)
    workspace.stack_file.unlink(missing_ok=True)
    workspace.deployed_file.unlink(missing_ok=True)


def _kept_port(workspace: Workspace) -> int | None:
    """The port of the stage whose data was kept; None when none was."""
    try:
        return int(json.loads(workspace.kept_file.read_text())["port"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _deployed_sources(workspace: Workspace) -> str | None:
    try:
        noted = json.loads(workspace.deployed_file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return str(noted.get("sources"))


@contextmanager
def _only_one(workspace: Workspace) -> Iterator[None]:
    """Two concurrent `up` would stop each other's emulator."""
    descriptor = os.open(workspace.directory / "up.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise LocalError(
            f"Another `make up` is running in {workspace.directory}.",
            hint="Wait for it, then try again.",
        ) from error
    finally:
        os.close(descriptor)
