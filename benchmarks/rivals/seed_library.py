"""dynamorm-py, which this project's design began with: found by its source, never downloaded.

It is not on PyPI and needs Python 3.13. `DYNAMORM_SOURCE` names the folder `py/src` of a checkout
of its repository (pay-theory/dynamorm), `DYNAMORM_PYTHON` an interpreter; without it python3.14 and
python3.13 are looked for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.emulator.toolchain import dynamorm_python
from local.progress import Progress
from local.workspace import Workspace

SOURCE: Final = "DYNAMORM_SOURCE"
PYTHON: Final = "DYNAMORM_PYTHON"
OLDEST: Final = (3, 13)


@dataclass(frozen=True)
class SeedLibrary:
    """An interpreter with boto3, and the library's source."""

    python: Path
    source: Path


def seed_library(progress: Progress) -> SeedLibrary | str:
    """The library, its environment installed if necessary; or why it cannot be measured."""
    named = os.environ.get(SOURCE)
    if not named:
        return f"dynamorm-py was not measured: {SOURCE} does not name its source (py/src)"
    source = Path(named).expanduser()
    if not (source / "dynamorm_py" / "table.py").exists():
        return f"dynamorm-py was not measured: {SOURCE} ({source}) has no dynamorm_py/table.py"
    interpreter = _interpreter()
    if interpreter is None:
        return f"dynamorm-py was not measured: no Python ≥ 3.13 was found; name one in {PYTHON}"
    return SeedLibrary(dynamorm_python(Workspace.find(), progress, interpreter), source.resolve())


def _interpreter() -> str | None:
    named = os.environ.get(PYTHON)
    candidates = [named] if named else [sys.executable, "python3.14", "python3.13"]
    return next((each for each in candidates if shutil.which(each) and _is_new(each)), None)


def _is_new(interpreter: str) -> bool:
    code = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    return (
        subprocess.run([interpreter, "-c", code], check=False, capture_output=True).returncode == 0
    )
