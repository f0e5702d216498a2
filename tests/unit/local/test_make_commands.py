"""The make commands that the pages name: their targets exist, and their options are accepted."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator

import pytest

from local.cli import make_parser as local_parser
from local.workspace import PROJECT_ROOT
from operations.cli import make_parser as operations_parser
from tests.support.pages.blocks import pages

MAKEFILE = (PROJECT_ROOT / "Makefile").read_text("utf-8")
TARGETS = dict(re.findall(r"^([a-z][\w-]*):.*\n((?:\t.*\n)*)", MAKEFILE, re.MULTILINE))
COMMAND = re.compile(r"(?:^|[`(])make (?P<words>(?:-s )?[a-z][^`)\n#]*)", re.MULTILINE)
RECIPE = re.compile(r"-m (local|operations) ([\w-]+)")
PARSERS = {"local": local_parser, "operations": operations_parser}


def commands() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Page, target and variables of every make command that a page names."""
    for page in pages():
        for found in COMMAND.finditer(page.read_text("utf-8")):
            try:
                words = shlex.split(found["words"])
            except ValueError:  # a quotation that goes on in the next line
                continue
            target, *rest = [word for word in words if word != "-s"]
            pairs = (word.partition("=") for word in rest)
            variables = {name: value for name, sign, value in pairs if sign and name.isupper()}
            yield page.relative_to(PROJECT_ROOT).as_posix(), target, variables


def test_every_target_that_a_page_names_exists() -> None:
    named = {(page, target) for page, target, _ in commands()}
    assert len(named) > 50
    assert {(page, target) for page, target in named if target not in TARGETS} == set()


def test_every_variable_that_a_page_sets_is_one_of_the_target() -> None:
    known = {"ARGS", "STAGE", "PYTHON", "PORT"} | set(
        re.findall(r"^export (.*)$", MAKEFILE, re.MULTILINE)[0].split()
    )
    unknown = {
        (page, target, name)
        for page, target, variables in commands()
        for name in variables
        if name not in known
        and f"$({name}" not in TARGETS[target]
        and f"${{{name}" not in TARGETS[target]
    }
    assert unknown == set()


def option_lists() -> list[tuple[str, str, str, str]]:
    """Page, module, command and the options that a page passes to it in ARGS."""
    return sorted(
        {
            (page, *recipe.groups(), variables["ARGS"])
            for page, target, variables in commands()
            if "ARGS" in variables and (recipe := RECIPE.search(TARGETS[target]))
        }
    )


@pytest.mark.parametrize(("page", "module", "command", "options"), option_lists())
def test_options_that_a_page_shows_are_accepted(
    page: str, module: str, command: str, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the recipe itself passes may be required; here only the options of the page count.
    monkeypatch.setattr(argparse.ArgumentParser, "error", _refuse)
    try:
        PARSERS[module]().parse_args([command, *shlex.split(options)])
    except _Refused as refused:
        if "required" not in str(refused):
            pytest.fail(f"{page}: make … ARGS={options!r}: {refused}")


class _Refused(Exception):
    pass


def _refuse(_parser: argparse.ArgumentParser, message: str) -> None:
    raise _Refused(message)
