"""`make permissions`: judges the calls of the tests, and makes their list and table."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk

from local.workspace import PROJECT_ROOT
from permissions.actions import Call
from permissions.judgement import Judgement, name_of
from permissions.policies import Stage
from permissions.recorded import LIST, listed, seen_in, text_of
from permissions.table import with_table
from simulation.platform.functions import FUNCTIONS
from stacks.composition import compose

_PAGE: Final = PROJECT_ROOT / "docs" / "security.md"
_STAGE: Final = "prod"
"""Whose permissions the table shows."""
_JUDGED: Final = (_STAGE, "local")
"""The end-to-end tests run on the stage local, whose authorizer also reads a secret."""
_USES: Final = {name: function.settings.TABLE_USES for name, function in FUNCTIONS.items()}


def check(directory: Path) -> int:
    """Judge the calls of a run of all tests, and compare them with the list.

    Returns the exit status: a call that the policies refuse is a failure. A list that is not
    current is not, because some calls happen only when threads meet, or with some seeds.
    """
    seen, known = seen_in(directory, _USES), listed()
    if not seen:
        print(f"No test has written calls to {directory}.", file=sys.stderr)
        return 1
    refused = {
        str(refusal): None
        for stage in _JUDGED
        for refusal in Judgement(_synthesized(stage), seen | known).refusals()
    }
    _print("The policies refuse calls that functions make:", refused)
    new = {_right(call) for call in seen} - {_right(call) for call in known}
    gone = {_right(call) for call in known} - {_right(call) for call in seen}
    _print("Calls that permissions/calls.jsonl lacks (`make permissions` adds them):", _lines(new))
    _print("Calls of permissions/calls.jsonl that no test made:", _lines(gone))
    print(f"{len(seen)} kinds of AWS calls were judged, {len(refused)} of them refused.")
    return 1 if refused else 0


def adopt(directory: Path) -> int:
    """Make the list of the calls of a run of all tests, and the table. Returns the exit status."""
    seen = seen_in(directory, _USES)
    if not seen:
        print(f"{directory} has no calls: run `make permissions`.", file=sys.stderr)
        return 1
    return _write(seen)


def add(directory: Path) -> int:
    """Add the calls of a run of some tests to the list, and renew what is made of it.

    Without calls in the directory, only the latter. Returns the exit status.
    """
    return _write(listed() | seen_in(directory, _USES))


def _write(calls: set[Call]) -> int:
    LIST.write_text(text_of(calls), "utf-8")
    judgement = Judgement(_synthesized(_STAGE), calls)
    unused = {name_of(right): None for right in judgement.superfluous()}
    _print("Rights that no call of the list needs: test them, or remove them:", sorted(unused))
    return _write_table(judgement) or bool(unused)


def _write_table(judgement: Judgement) -> int:
    _PAGE.write_text(with_table(_PAGE.read_text("utf-8"), judgement), "utf-8")
    return 0


def _right(call: Call) -> tuple[str, str, str]:
    return call.function, call.action, call.resource


def _print(title: str, lines: Iterable[str]) -> None:
    for number, line in enumerate(lines):
        if number == 0:
            print(title, file=sys.stderr)
        print(f"  {line}", file=sys.stderr)


def _lines(calls: Iterable[tuple[str, str, str]]) -> Iterable[str]:
    return (" ".join(call) for call in sorted(calls))


def _synthesized(name: str) -> Stage:
    context: dict[str, Any] = json.loads((PROJECT_ROOT / "cdk.json").read_text())["context"]
    with tempfile.TemporaryDirectory() as scratch:
        asset = Path(scratch) / "asset"
        asset.mkdir()
        (asset / "handler.py").write_text("")
        outdir = str(Path(scratch) / "out")
        given = {**context, "stage": name, "lambda_asset": str(asset)}
        app = cdk.App(outdir=outdir, context=given)
        compose(app)
        prefix = f"payments-{name}"
        templates = {
            stack.stack_name.removeprefix(f"{prefix}-"): stack.template
            for stack in app.synth().stacks
        }
        return Stage(templates, prefix)


_COMMANDS: Final[Mapping[str, Callable[[Path], int]]] = {
    "add": add,
    "adopt": adopt,
    "check": check,
    "table": lambda _: _write_table(Judgement(_synthesized(_STAGE), listed())),
}


def main() -> int:
    """Run a command."""
    parser = argparse.ArgumentParser(prog="permissions", description=__doc__)
    parser.add_argument("command", choices=tuple(_COMMANDS))
    parser.add_argument("directory", nargs="?", type=Path, default=Path(".local/calls"))
    arguments = parser.parse_args()
    return _COMMANDS[arguments.command](arguments.directory)


if __name__ == "__main__":
    sys.exit(main())
