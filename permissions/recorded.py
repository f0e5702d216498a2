"""The list of calls that the tests make: permissions/calls.jsonl, one line each.

`make permissions` runs the tests, which write what they see to files of their own (`recording`),
judges it, and makes the list of it. The templates are judged by the list, so that this takes
seconds, and needs no other test to have run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from permissions.actions import Call
from permissions.recording import ENDING
from runtime.settings.table_uses import TableUses

LIST: Final = Path(__file__).with_name("calls.jsonl")
_ROWS: Final = "key:"
_ATTRIBUTES: Final = "dynamodb:Attributes"


def listed() -> set[Call]:
    """The calls of the list."""
    return {Call.of_json(line) for line in LIST.read_text("utf-8").splitlines()}


def seen_in(directory: Path, uses: Mapping[str, TableUses]) -> set[Call]:
    """The calls that tests have written to a directory, without what no right depends on.

    `uses`: the declared rights on tables, by function.
    """
    files = sorted(directory.glob(f"*{ENDING}"))
    lines = (line for file in files for line in file.read_text("utf-8").splitlines())
    return {_shortened(Call.of_json(line), uses) for line in lines}


def text_of(calls: Iterable[Call]) -> str:
    """The list as text."""
    return "".join(f"{call.to_json()}\n" for call in sorted(calls))


def _shortened(call: Call, uses: Mapping[str, TableUses]) -> Call:
    """The call without condition keys that the function's rights on the table do not ask for.

    Else a new attribute of a row would change the list.
    """
    if not call.action.startswith("dynamodb:"):
        return call
    table = call.resource.removeprefix("TABLES.").partition("/")[0]
    use = uses.get(call.function, {}).get(table)
    kept = {
        key: values
        for key, values in call.context
        if use is None
        or (key.startswith(_ROWS) and use.by_key)
        or (key == _ATTRIBUTES and use.attributes)
    }
    return replace(call, context=tuple(sorted(kept.items())))
