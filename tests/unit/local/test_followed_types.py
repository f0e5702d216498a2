"""mypy follows every module of aws_cdk whose types our code can meet.

`aws_cdk` names all of its 350 modules, so following whatever it names takes half of the time of the
type check. A module that is not followed is `Any`: an error in its use would go unnoticed.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from local.workspace import PROJECT_ROOT

LIBRARY = "aws_cdk"
CHECKED = ("runtime", "stacks", "local", "operations", "benchmarks", "simulation", "permissions")
IMPORTED = re.compile(rb"^\s*import aws_cdk\.([a-z_0-9]+)", re.MULTILINE)


def followed() -> set[str]:
    """The modules that pyproject.toml lists, by their names within aws_cdk."""
    settings = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text("utf-8"))
    (listed,) = (
        each["module"]
        for each in settings["tool"]["mypy"]["overrides"]
        if each.get("follow_imports") == "normal"
    )
    return {name.removeprefix(f"{LIBRARY}.").removesuffix(".*") for name in listed} - {LIBRARY}


def imported(source: Path) -> Iterator[str]:
    """The modules of aws_cdk, and other names, that one of our files imports from it."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                modules = [each.name for each in names]
            case ast.ImportFrom(module=str(module), names=names):
                modules = [f"{module}.{each.name}" for each in names]
            case _:
                continue
        for module in modules:
            if module.startswith(f"{LIBRARY}."):
                yield module.split(".")[1]


def reachable(library: Path) -> set[str]:
    """Our modules of aws_cdk, and those that they and `aws_cdk` itself take types from."""
    sources = (file for folder in CHECKED for file in (PROJECT_ROOT / folder).rglob("*.py"))
    waiting = {name for source in sources for name in imported(source)}
    waiting |= names_in(library / "__init__.py")
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or not (library / name / "__init__.py").exists():
            continue
        found.add(name)
        for file in (library / name).rglob("__init__.py"):
            waiting |= names_in(file) - found
    return found


def names_in(file: Path) -> set[str]:
    return {name.decode() for name in IMPORTED.findall(file.read_bytes())}


def test_mypy_follows_each_module_of_the_cdk_whose_types_our_code_can_meet() -> None:
    spec = find_spec(LIBRARY)
    assert spec is not None
    assert spec.origin is not None
    needed = reachable(Path(spec.origin).parent)
    assert "aws_lambda" in needed
    missing, unused = sorted(needed - followed()), sorted(followed() - needed)
    assert (missing, unused) == ([], []), "list them, or remove them, in pyproject.toml"
