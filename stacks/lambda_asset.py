"""Build the directory that every Lambda function ships: our `runtime/` and its pinned dependencies.

Built with pip for the target platform, not with Docker, so `cdk synth` works on a bare clone. What
it does beyond `pip install --target`:

* `asset_contents.py` removes what no function reads, half of it;
* modules ship as bytecode alone, compiled with an interpreter of the target's minor version
  (`asset_compiler.py`): without it a cold start takes ~0.4 s longer;
* the result's name is a hash of its inputs and it appears by one rename: no asset is ever half
  built, and two builds at once do no harm.

`python -m stacks.lambda_asset` builds the production asset and prints its sizes.
"""

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from stacks.asset_contents import strip
from stacks.asset_sizes import sizes_of, table_of

Architecture = Literal["arm64", "x86_64"]

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements-lambda.txt"
RUNTIME = ROOT / "runtime"
COMPILER = ROOT / "stacks" / "asset_compiler.py"
RECIPE = tuple(
    ROOT / "stacks" / f"{name}.py"
    for name in ("lambda_asset", "asset_compiler", "asset_contents", "asset_symbols")
)
"""What decides what a build contains; a change makes a new one."""
DEFAULT_CACHE_DIR = ROOT / "build"

# Lambda's Python 3.12+ runs on Amazon Linux 2023, whose glibc is 2.34; pip tries the newest first.
GLIBC_MINORS = (34, 31, 28, 27, 26, 24, 17)
WHEEL_MACHINE: dict[Architecture, str] = {"arm64": "aarch64", "x86_64": "x86_64"}

PIP_TIMEOUT_SECONDS = 600
COMPILE_TIMEOUT_SECONDS = 300
PROBE_TIMEOUT_SECONDS = 10
SCRATCH_PREFIX = ".building-"
ABANDONED_AFTER_SECONDS = 3600
KEEP_BUILDS = 3  # of one target: a synthesis that still reads the last one must not lose it

console = Console(stderr=True)


class AssetBuildError(Exception):
    """The asset could not be built; the message says what failed and what to do."""


@dataclass(frozen=True)
class LambdaTarget:
    """Where the asset will run.

    `native` asks pip for wheels of this machine and this interpreter (the local stage, also on a
    Mac); otherwise for Linux wheels of `architecture`.
    """

    architecture: Architecture
    python_version: str
    native: bool = False

    @classmethod
    def this_machine(cls) -> "LambdaTarget":
        """The processor and interpreter that run this code."""
        arm = platform.machine().lower() in {"aarch64", "arm64"}
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return cls("arm64" if arm else "x86_64", version, native=True)

    @property
    def label(self) -> str:
        """Short name, also the prefix of directory names."""
        # Without a dot: the CDK would take what follows it for a file's suffix.
        version = self.python_version.replace(".", "")
        return f"{'local-' if self.native else ''}{self.architecture}-py{version}"

    @property
    def pip_options(self) -> list[str]:
        """What makes pip choose wheels for the target instead of for itself."""
        if self.native:
            return []
        machine = WHEEL_MACHINE[self.architecture]
        tags = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS]
        platforms = [f"--platform={tag}" for tag in [*tags, f"manylinux2014_{machine}"]]
        return [*platforms, f"--python-version={self.python_version}", "--implementation=cp"]


PRODUCTION = LambdaTarget(architecture="arm64", python_version="3.13")


def lambda_asset(target: LambdaTarget, cache_dir: Path = DEFAULT_CACHE_DIR) -> Path:
    """Return the directory to hand to `Code.from_asset`, building it where needed.

    Args:
        target: processor and Python version of the functions.
        cache_dir: holds assets, and dependencies while requirements-lambda.txt is unchanged.

    Raises:
        AssetBuildError: pip found no fitting wheel, a hash differs, or the compiler failed.
    """
    dependencies = _dependencies(target, cache_dir)
    key = digest(dependencies.name.encode(), *contents(RUNTIME))
    asset = cache_dir / "lambda" / f"{target.label}-{key}"

    def fill(directory: Path) -> None:
        shutil.copytree(dependencies, directory, copy_function=link_file, dirs_exist_ok=True)
        shutil.copytree(RUNTIME, directory / "runtime", ignore=_not_source)
        if interpreter := find_interpreter(target.python_version):
            _compile(interpreter, directory)

    build_once(asset, fill)
    prune(asset, f"{target.label}-")
    return asset


def _dependencies(target: LambdaTarget, cache_dir: Path) -> Path:
    """Installed, stripped and compiled dependencies; built once per list, target and compiler."""
    interpreter = find_interpreter(target.python_version)
    if interpreter is None:
        console.print(
            f"No working python{target.python_version} here: the asset gets no bytecode, and cold "
            f"starts will be ~0.4 s slower. Install that Python before you deploy.",
            style="yellow",
        )
    recipe = [file.read_bytes() for file in (*RECIPE, REQUIREMENTS)]
    key = digest(f"{target.label} {interpreter is not None}".encode(), *recipe)
    directory = cache_dir / "dependencies" / f"{target.label}-{key}"

    def fill(directory: Path) -> None:
        _pip_install(target, directory)
        strip(directory)
        if interpreter is not None:
            _compile(interpreter, directory)

    build_once(directory, fill)
    return directory


def find_interpreter(version: str) -> str | None:
    """Path of a Python of that minor version which really runs, or None.

    A version manager's shim can stand on PATH for a version that it would refuse to start, so each
    candidate is run. Interpreters that pyenv and uv keep off PATH are tried last.
    """
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    on_path = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local/share/uv/python"))
    candidates = [
        *([on_path] if on_path else []),
        *map(str, sorted(pyenv.glob(f"versions/{version}*/bin/python"))),
        *map(str, sorted(uv.glob(f"cpython-{version}.*/bin/python{version}"))),
    ]
    return next((candidate for candidate in candidates if _is_version(candidate, version)), None)


def _is_version(interpreter: str, version: str) -> bool:
    probe = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [interpreter, "-I", "-S", "-c", probe],
            capture_output=True,
            check=False,
            text=True,
            timeout=PROBE_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version


def _pip_install(target: LambdaTarget, directory: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--require-hashes", "--no-deps", "--no-compile", "--only-binary=:all:"),
        *target.pip_options,
        *("--target", str(directory), "--requirement", str(REQUIREMENTS)),
    ]
    _run(
        command,
        timeout_seconds=PIP_TIMEOUT_SECONDS,
        what=f"installing {REQUIREMENTS.name} for {target.label}",
        hint="Check the network, and that each requirement has a wheel for this target.",
    )


def _compile(interpreter: str, directory: Path) -> None:
    """Bytecode in place of sources, under its paths in Lambda.

    Without the columns of each instruction, a fifth of it, which would underline the failing part
    of a line in a traceback. Our own docstrings stay: they describe the API's shapes.
    """
    python = [interpreter, "-I", "-S", "-X", "no_debug_ranges"]
    _run(
        [*python, str(COMPILER), str(directory), "/var/task", "--keep-docstrings", RUNTIME.name],
        timeout_seconds=COMPILE_TIMEOUT_SECONDS,
        what=f"compiling {directory.name} with {interpreter}",
        hint="The first lines above name the file that this Python version cannot read.",
    )


def _run(command: list[str], *, timeout_seconds: int, what: str, hint: str) -> None:
    # A fixed hash seed, because the order of a frozenset constant would otherwise change the
    # bytecode, and with it the asset's hash, from build to build.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            check=False,
            env=environment,
            text=True,
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired as expired:
        raise AssetBuildError(f"{what} took more than {timeout_seconds} s. {hint}") from expired
    if answer.returncode != 0:
        said = (answer.stdout + answer.stderr).strip()[-2000:]
        raise AssetBuildError(f"{what} failed:\n{said}\n{hint}")


def build_once(directory: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new directory beside `directory`, then rename it there; do nothing if it exists."""
    if directory.exists():
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _scratch_beside(directory) as scratch:
        fill(scratch)
        scratch.chmod(0o755)  # mkdtemp's 0700 would end up in the zip
        try:
            scratch.rename(directory)
        except OSError:
            if not directory.exists():  # otherwise another build was faster, with the same content
                raise


@contextmanager
def _scratch_beside(directory: Path) -> Iterator[Path]:
    scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=directory.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def prune(current: Path, prefix: str) -> None:
    """Keep the newest few builds whose names begin with `prefix`; none that were killed."""
    os.utime(current)
    builds = [path for path in current.parent.glob(f"{prefix}*") if path != current]
    builds.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for old in builds[KEEP_BUILDS - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
    abandoned_before = time.time() - ABANDONED_AFTER_SECONDS
    for half in current.parent.parent.glob(f"*/{SCRATCH_PREFIX}*"):
        if half.stat().st_mtime < abandoned_before:
            shutil.rmtree(half, ignore_errors=True)


def link_file(source: str, destination: str) -> None:
    """Hard link, or copy where the file system cannot: a rebuild takes well under a second."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copyfile(source, destination)


def _not_source(_directory: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__" or name.endswith(".pyc")]


def contents(directory: Path) -> Iterator[bytes]:
    """Names and bytes of all files below a directory, as `digest` takes them."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(directory)).encode()
            yield path.read_bytes()


def digest(*parts: bytes) -> str:
    """Hash of all parts with their lengths, so that moving a byte between parts changes it."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.hexdigest()[:16]


def main() -> int:
    """Build one asset and print its path on standard output, its sizes on standard error."""
    parser = argparse.ArgumentParser(prog="python -m stacks.lambda_asset", description=main.__doc__)
    parser.add_argument("--architecture", choices=["arm64", "x86_64"], default="arm64")
    parser.add_argument("--python-version", default=PRODUCTION.python_version)
    parser.add_argument("--this-machine", action="store_true", help="for the local stage")
    parser.add_argument("--cache-dir", type=Path, default=DEFAULT_CACHE_DIR)
    options = parser.parse_args()
    chosen = LambdaTarget(options.architecture, options.python_version)
    target = LambdaTarget.this_machine() if options.this_machine else chosen
    started = time.monotonic()
    try:
        asset = lambda_asset(target, options.cache_dir)
    except AssetBuildError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    title = f"{asset.name} ({time.monotonic() - started:.1f} s)"
    console.print(table_of(sizes_of(asset), title))
    print(asset)
    return 0


if __name__ == "__main__":
    sys.exit(main())
