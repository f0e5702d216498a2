"""Every message that a caller can see is a plain English sentence."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import runtime
from runtime.core import errors
from runtime.core.errors import Internal, PlatformError

ROOT: Final = Path(runtime.__file__).parent
SEEN: Final = {
    name
    for name, each in vars(errors).items()
    if isinstance(each, type) and issubclass(each, PlatformError) and not issubclass(each, Internal)
}
"""Errors whose detail is shown. The detail of an internal error is only in the log."""

RIDDLES: Final = re.compile(
    r"\b((?<!there )(?:is|are) no|takes? no|has had|nothing is|put aside|meanwhile|just now|"
    r"known here|too busy|changes? too often|nobody|somebody|told|tells|says|for good|let it|"
    r"lets?|gives?|is none|theirs|should (be|have|begin|look))\b",
    re.IGNORECASE,
)
HOLE: Final = "…"
"""Stands for a value in a message."""


def _text(node: ast.expr) -> str | None:
    """A message with placeholders for its values; None for one made elsewhere."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values
        )
    return None


def _messages() -> Iterator[tuple[str, str, str]]:
    """File, error and message of every place where an error with a text is raised."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", "")
            text = _text(node.args[0])
            if name in SEEN and text is not None:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", name, text


MESSAGES: Final = tuple(_messages())


def test_the_messages_are_found() -> None:
    assert len(MESSAGES) > 120
    assert len({name for _, name, _ in MESSAGES}) > 30


@pytest.mark.parametrize(("place", "text"), [(place, text) for place, _, text in MESSAGES])
def test_a_detail_is_a_plain_sentence(place: str, text: str) -> None:
    begins = re.match(
        rf"[A-Z]|{HOLE}|[a-z]+(_[a-z0-9]+)+ |(amount|at|processor|limit|since) ", text
    )
    assert begins, f"{place}: begin with a capital, a value or a field's name: {text}"
    assert not RIDDLES.search(text), f"{place}: {text}"
    assert not text.endswith((".", " ")), f"{place}: {text}"


@pytest.mark.parametrize("name", sorted(SEEN))
def test_a_title_states_the_fact(name: str) -> None:
    error = getattr(errors, name)
    assert re.fullmatch(r"[A-Z][^.!?]*", error.title), error.title
    assert not RIDDLES.search(error.title), error.title


def test_titles_are_not_inherited_by_errors_with_a_code_of_their_own() -> None:
    """A general title would say less than the code; `invalid_value` alone says it all."""
    general = {"InvalidValue"}
    inherited = {
        name
        for name in SEEN - general
        if "code" in vars(getattr(errors, name)) and "title" not in vars(getattr(errors, name))
    }
    assert inherited == set()
