"""Tools of the local stage and the tests: Node with the pinned CDK CLI, and servers in Python."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from local.errors import LocalError, ToolMissing
from local.progress import Progress
from local.workspace import PROJECT_ROOT, Workspace

OLDEST_NODE: Final = 20
_PROBE_TIMEOUT_SECONDS: Final = 15
_INSTALL_TIMEOUT_SECONDS: Final = 300
_SAID_CHARACTERS: Final = 1500
_NODE_HINT: Final = (
    f"Install Node.js {OLDEST_NODE} or newer (nodejs.org, nvm, or your package manager)."
)


def require_node() -> None:
    """Raise ToolMissing when Node or npm is not on PATH, or Node is older than `OLDEST_NODE`."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise ToolMissing(
                f"`{tool}` was not found on PATH; the CDK CLI needs it.", hint=_NODE_HINT
            )
    answer = subprocess.run(
        ["node", "--version"],
        capture_output=True,
        check=False,
        text=True,
        timeout=_PROBE_TIMEOUT_SECONDS,
    )
    found = re.match(r"v(\d+)\.", answer.stdout)
    if found is None:
        said = (answer.stderr or answer.stdout).strip()[-200:]
        raise ToolMissing(f"`node --version` gave no version: {said!r}.", hint=_NODE_HINT)
    if int(found.group(1)) < OLDEST_NODE:
        raise ToolMissing(f"Node {answer.stdout.strip()} is too old.", hint=_NODE_HINT)


def cdk_cli(workspace: Workspace, progress: Progress) -> Path:
    """The pinned CDK CLI, installed from package-lock.json if it is missing or another version.

    Raises:
        ToolMissing: no usable Node.
        LocalError: `npm ci` failed.
    """
    require_node()
    lock_file = workspace.root / "package-lock.json"
    installed = workspace.root / "node_modules"
    marker = installed / f".installed-{_fingerprint(lock_file)}"
    with locked(workspace.tools / "node.lock"):
        if not marker.exists():
            with progress.step("Install the CDK CLI"):
                _install(["npm", "ci", "--silent"], cwd=workspace.root, what="npm ci")
                marker.touch()
    return installed / ".bin" / "cdk"


def ministack_python(workspace: Workspace, progress: Progress) -> Path:
    """The interpreter of ministack's own environment, built if it is missing or out of date.

    Raises:
        LocalError: the environment could not be made.
    """
    # Lambda functions run on this interpreter too, with wheels of its version.
    return _own_environment(workspace, "ministack", progress, "Install the AWS emulator")


def localstripe_python(workspace: Workspace, progress: Progress) -> Path:
    """The interpreter of localstripe's own environment; as `ministack_python`."""
    return _own_environment(workspace, "localstripe", progress, "Install the fake of Stripe")


def beancount_python(workspace: Workspace, progress: Progress) -> Path:
    """The interpreter of Beancount's own environment, `bean-check` beside it."""
    return _own_environment(workspace, "beancount", progress, "Install Beancount")


def clients_python(workspace: Workspace, progress: Progress) -> Path:
    """The interpreter of an environment with the generator of the Python client."""
    return _own_environment(workspace, "clients", progress, "Install the Python client's tools")


def clients_node_modules(workspace: Workspace, progress: Progress) -> Path:
    """`node_modules` with the generator and the compiler of the TypeScript client."""
    require_node()
    source, target = workspace.root / "clients" / "typescript", workspace.tools / "clients-node"
    names = ("package.json", "package-lock.json")
    marker = target / f".installed-{_fingerprint(source / names[1])}"
    with locked(workspace.tools / "clients-node.lock"):
        if not marker.exists():
            with progress.step("Install the TypeScript client's tools"):
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir(parents=True)
                for name in names:
                    shutil.copy(source / name, target / name)
                command = ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
                _install(command, cwd=target, what="npm ci")
                marker.touch()
    return target / "node_modules"


def dynamorm_python(workspace: Workspace, progress: Progress, interpreter: str) -> Path:
    """The interpreter of dynamorm-py's own environment, built with `interpreter`: it needs 3.13."""
    step = "Install what dynamorm-py needs"
    return _own_environment(workspace, "dynamorm", progress, step, interpreter)


def _own_environment(
    workspace: Workspace,
    tool: str,
    progress: Progress,
    step: str,
    interpreter: str = sys.executable,
) -> Path:
    requirements = workspace.root / f"requirements-{tool}.txt"
    environment = workspace.tools / f"{tool}-venv"
    key = f"{_fingerprint(requirements)}-{_version(interpreter)}"
    marker = environment / f".installed-{key}"
    python = environment / "bin" / "python"
    with locked(workspace.tools / f"{tool}-venv.lock"):
        if not marker.exists() or not python.exists():
            with progress.step(step):
                shutil.rmtree(environment, ignore_errors=True)
                command = [interpreter, "-m", "venv", "--without-pip", str(environment)]
                _install(command, cwd=workspace.root, what="python -m venv")
                pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
                options = ["--disable-pip-version-check", "--require-hashes"]
                _install(
                    [*pip, *options, "--requirement", str(requirements)],
                    cwd=workspace.root,
                    what=f"pip install -r {requirements.name}",
                )
                marker.touch()
    return python


def _version(interpreter: str) -> str:
    if interpreter == sys.executable:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    code = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    asked = [interpreter, "-c", code]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def _install(command: list[str], *, cwd: Path, what: str) -> None:
    hint = "Check the network and run it again; a partial installation is replaced."
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            check=False,
            cwd=cwd,
            text=True,
            timeout=_INSTALL_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as expired:
        message = f"`{what}` took more than {_INSTALL_TIMEOUT_SECONDS} s."
        raise LocalError(message, hint=hint) from expired
    if answer.returncode != 0:
        said = (answer.stdout + answer.stderr).strip()[-_SAID_CHARACTERS:]
        raise LocalError(f"`{what}` failed:\n{said}", hint=hint)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """One installer at a time; a second one waits, and then finds the work done."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fingerprint(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def main() -> int:
    """`python -m local.emulator.toolchain`: make sure of Node and the CDK CLI, for the Makefile."""
    progress = Progress()
    try:
        cdk_cli(Workspace.find(root=PROJECT_ROOT), progress)
    except LocalError as error:
        progress.failed(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
