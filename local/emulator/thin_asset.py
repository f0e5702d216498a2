"""Lambda's code for the emulator: a package of one file that refers to the built asset.

The emulator unpacks a function's archive for every process that it starts, in its own interpreter:
75 MB and 4,000 files each time, while every other request waits. What it unpacks here is one file;
the functions read the asset where it was built.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from local.emulator.ministack import CODE_VARIABLE
from local.workspace import PROJECT_ROOT
from permissions.recording import VARIABLE

_ENTRY: Final = '''"""Finds the functions' code in the asset, outside this archive."""

import os
import sys

asset = os.path.join(os.environ[{variable!r}], {name!r})
sys.path.insert(0, asset)
__path__ = [os.path.join(asset, {package!r})]
'''
_RECORDING: Final = """
# Notes the AWS calls of this process (permissions/recording.py).
os.environ[{variable!r}] = {directory!r}
sys.path.append({project!r})

from permissions.actions import Names
from permissions.recording import Caller, recorded_clients
from runtime.functions.composition import aws_clients

caller = Caller(os.environ["SERVICE"], Names(os.environ))
vars(aws_clients).update(recorded_clients(aws_clients, lambda: caller))
"""
_PACKAGE: Final = "runtime"
"""Every handler is in this package, so it is imported first."""


def thin_asset(asset: Path, directory: Path, calls: Path | None = None) -> Path:
    """A directory to deploy in place of `asset`, whose files are kept in `directory`.

    `CODE_VARIABLE` names `directory` to the functions. The files are linked, so that a later
    build, which removes old assets, takes none from functions that still run. The functions' AWS
    calls are noted in the directory `calls`, if there is one.
    """
    kept = directory / asset.name
    if not kept.exists():
        half = directory / f".{asset.name}"
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(asset, half, copy_function=_link)
        half.rename(kept)
    package = directory / f"{asset.name}-thin" / _PACKAGE
    package.mkdir(parents=True, exist_ok=True)
    entry = _ENTRY.format(variable=CODE_VARIABLE, name=kept.name, package=_PACKAGE)
    if calls is not None:
        entry += _RECORDING.format(
            variable=VARIABLE, directory=str(calls.resolve()), project=str(PROJECT_ROOT)
        )
    (package / "__init__.py").write_text(entry)
    return package.parent


def _link(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError:
        shutil.copyfile(source, destination)
