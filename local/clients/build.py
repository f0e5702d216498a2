"""Builds the clients below .local/clients: a wheel and an npm tarball. Needs no network itself.

Only installing the pinned generators does (`local.emulator.toolchain`), once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.clients.document import for_python
from local.emulator import toolchain
from local.errors import LocalError
from local.progress import Progress
from local.workspace import Workspace

TIMEOUT_SECONDS: Final = 300
_SAID_CHARACTERS: Final = 2000
_HINT: Final = "Has docs/openapi.json changed? The sources are below clients/ and .local/clients/."
# The same sources make the same wheel: no date of the build in it. The oldest date of a zip file.
_NO_DATE: Final = {"SOURCE_DATE_EPOCH": "315532800"}


@dataclass(frozen=True)
class Clients:
    """What was built, and how to run the tests that use it."""

    wheel: Path
    tarball: Path
    python: Path
    """An interpreter with the wheel installed, and nothing of the platform."""
    node_package: Path
    """The compiled TypeScript client with its tests, its dependencies beside it."""


def build(workspace: Workspace, progress: Progress) -> Clients:
    """The clients, built if they are missing or out of date.

    Raises LocalError: a tool is missing, or a generator or compiler failed.
    """
    directory = workspace.tools / "clients"
    marker = directory / "built.json"
    key = _fingerprint(workspace.root)
    with toolchain.locked(workspace.tools / "clients.lock"):
        found = _built(marker, key)
        if found is None:
            marker.unlink(missing_ok=True)
            found = _Build(workspace, directory, progress).run()
            text = {"key": key} | {name: str(path) for name, path in vars(found).items()}
            marker.write_text(json.dumps(text, indent=2) + "\n", "utf-8")
    return found


@dataclass(frozen=True)
class _Build:
    workspace: Workspace
    directory: Path
    progress: Progress

    def run(self) -> Clients:
        python = toolchain.clients_python(self.workspace, self.progress)
        modules = toolchain.clients_node_modules(self.workspace, self.progress)
        for name in ("python", "typescript", "dist"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        (self.directory / "dist").mkdir(parents=True)
        with self.progress.step("Generate and build the Python client"):
            wheel = self._python(python)
        with self.progress.step("Generate and build the TypeScript client"):
            package, tarball = self._typescript(modules)
        return Clients(wheel, tarball, python, package)

    def _python(self, python: Path) -> Path:
        source = self._copy("python")
        document = json.loads(self._document.read_text("utf-8"))
        prepared = self.directory / "python-openapi.json"
        prepared.write_text(json.dumps(for_python(document)), "utf-8")
        generator = [str(python), "-m", "openapi_python_client", "generate", "--meta", "none"]
        output = source / "src" / "payments_client" / "generated"
        paths = ["--path", str(prepared), "--output-path", str(output)]
        config = ["--config", str(source / "generator.yml"), "--overwrite", "--fail-on-warning"]
        _run([*generator, *paths, *config], source)
        project = source / "pyproject.toml"
        placed = _versioned(project.read_text("utf-8"), '\nversion = "{}"\n', self._version)
        project.write_text(placed, "utf-8")
        backend = "import sys, flit_core.buildapi as b; print(b.build_wheel(sys.argv[1]))"
        dist = self.directory / "dist"
        name = _run([str(python), "-c", backend, str(dist)], source, _NO_DATE).split()[-1]
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        alone = ["--no-index", "--no-deps", "--no-compile", "--force-reinstall"]
        _run([*pip, *alone, "--disable-pip-version-check", str(dist / name)], source)
        return dist / name

    def _typescript(self, modules: Path) -> tuple[Path, Path]:
        package = self._copy("typescript")
        (package / "node_modules").symlink_to(modules)
        manifest = package / "package.json"
        placed = _versioned(manifest.read_text("utf-8"), '"version": "{}"', self._version)
        manifest.write_text(placed, "utf-8")
        commands = modules / ".bin"
        _run([str(commands / "openapi-ts")], package, {"OPENAPI_DOCUMENT": str(self._document)})
        _run([str(commands / "tsc")], package)
        dist = self.directory / "dist"
        packed = ["npm", "pack", "--silent", "--ignore-scripts", "--offline"]
        name = _run([*packed, "--pack-destination", str(dist)], package).split()[-1]
        return package, dist / name

    def _copy(self, name: str) -> Path:
        target = self.directory / name
        ignored = shutil.ignore_patterns("node_modules", "dist", "generated", "__pycache__")
        shutil.copytree(self.workspace.root / "clients" / name, target, ignore=ignored)
        shutil.copy(self.workspace.root / "LICENSE", target)
        return target

    @property
    def _document(self) -> Path:
        return self.workspace.root / "docs" / "openapi.json"

    @property
    def _version(self) -> str:
        """The platform's version: the clients follow the HTTP API."""
        project = tomllib.loads((self.workspace.root / "pyproject.toml").read_text("utf-8"))
        return str(project["project"]["version"])


def _versioned(text: str, line: str, version: str) -> str:
    """The manifest with the platform's version instead of its placeholder, 0.0.0."""
    placeholder = line.format("0.0.0")
    if text.count(placeholder) != 1:
        raise LocalError(
            f"{placeholder.strip()!r} is not once in the manifest of a client.",
            hint="Leave the version to the build: it is the platform's.",
        )
    return text.replace(placeholder, line.format(version))


def _run(command: list[str], cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """Standard output. Raises LocalError with what the command wrote."""
    what = " ".join(Path(each).name for each in command[:3])
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            check=False,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as expired:
        raise LocalError(f"`{what}` took more than {TIMEOUT_SECONDS} s.", hint=_HINT) from expired
    if answer.returncode != 0:
        said = (answer.stdout + answer.stderr).strip()[-_SAID_CHARACTERS:]
        raise LocalError(f"`{what}` failed:\n{said}", hint=_HINT)
    return answer.stdout


def _built(marker: Path, key: str) -> Clients | None:
    try:
        noted = json.loads(marker.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if noted.pop("key", None) != key:
        return None
    found = Clients(**{name: Path(path) for name, path in noted.items()})
    return found if all(path.exists() for path in vars(found).values()) else None


def _fingerprint(root: Path) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in _sources(root):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _sources(root: Path) -> Iterator[Path]:
    """Everything that the artifacts are made from."""
    yield from (root / name for name in ("docs/openapi.json", "pyproject.toml", "LICENSE"))
    yield root / "requirements-clients.txt"
    for folder in (root / "clients", root / "local" / "clients"):
        made = {"node_modules", "dist", "generated", "__pycache__"}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not made & set(path.relative_to(folder).parts):
                yield path
