"""Words that the code and its documentation avoid, so that they do not come back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from local.workspace import PROJECT_ROOT

FOLDERS: Final = (
    "runtime",
    "stacks",
    "operations",
    "simulation",
    "local",
    "benchmarks",
    "clients",
    "tests",
    "docs",
)
FILES: Final = ("README.md", "Makefile")
SUFFIXES: Final = frozenset({".md", ".py", ".ts", ".yml", ".toml"})

# What to avoid, and what to write instead.
AVOIDED: Final[Mapping[str, str]] = {
    r"desks?\b": "the name of the dependencies, such as PaymentDependencies",
    r"\btold\b": "given, reported, or the name of the fact",
    r"somebody|nobody": "the actor, such as another request or an operator",
    r"(?<!there )\b(is|are) no\b(?! longer)": "is not, are not",
    r"\brings?\b": "triggers an alarm, pages the on-call",
    r"encipher|decipher": "encrypt, decrypt",
    r"\bputs? aside\b": "dead-letter, keep for later",
    r"trouble(?!shoot)": "exception, discrepancy, out-of-band change",
    r"\bgiven? back\b": "release, refund",
    r"\bfold(ed|s|ing)? (account|row|shard)": "hot account, balance shard",
    r"\b(house|town)\b": "platform account, initial data",
    r"\bbooks prove\b|\bproof of the books\b": "ledger verification",
}

ALLOWED: Final[Mapping[tuple[str, str], str]] = {
    ("runtime/functions/rotate_keys.py", "ring"): "a field that holds a KeyRing",
    ("runtime/key_rotation/rotation.py", "ring"): "a field that holds a KeyRing",
    ("tests/integration/encryption/test_key_rotation.py", "ring"): "a field that holds a KeyRing",
    ("simulation/clients/setup.py", "town"): "part of a seed: another word changes every run",
}

# They list the words themselves.
DEFINITIONS: Final = frozenset(
    {"tests/unit/local/test_language.py", "tests/unit/http/test_messages.py"}
)

_PATTERN: Final = re.compile("|".join(f"(?:{each})" for each in AVOIDED), re.IGNORECASE)


def pages() -> Iterator[Path]:
    yield from (PROJECT_ROOT / name for name in FILES)
    for folder in FOLDERS:
        for path in sorted((PROJECT_ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                yield path


def avoided_words(text: str) -> Iterator[tuple[int, str]]:
    """Line and word of each match."""
    for number, line in enumerate(text.splitlines(), start=1):
        for match in _PATTERN.finditer(line):
            yield number, match[0]


@cache
def found() -> tuple[tuple[str, int, str], ...]:
    """Page, line and word of every match that is not allowed."""
    return tuple(
        (page, line, word)
        for path in pages()
        for page in (path.relative_to(PROJECT_ROOT).as_posix(),)
        for line, word in avoided_words(path.read_text("utf-8"))
        if page not in DEFINITIONS and (page, word.lower()) not in ALLOWED
    )


def test_no_page_uses_an_avoided_word() -> None:
    assert [f"{page}:{line}: {word}" for page, line, word in found()] == []


def test_every_exception_is_still_needed() -> None:
    used = {
        (page, word.lower())
        for page, _ in ALLOWED
        for _, word in avoided_words((PROJECT_ROOT / page).read_text("utf-8"))
    }
    assert set(ALLOWED) <= used


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The body is no JSON.", ["is no"]),
        ("There is no key, and it is no longer used.", []),
        ("Somebody was TOLD.", ["Somebody", "TOLD"]),
        ("the folded account and a fold row", ["folded account", "fold row"]),
        ("posting: folded", []),
        ("a string, a key and the household", []),
        ("Troubleshooting", []),
    ],
)
def test_an_avoided_word_is_found_as_a_word(text: str, words: list[str]) -> None:
    assert [word for _, word in avoided_words(text)] == words
