"""Formats of text in requests: every pattern of the contract with its explanation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import StringConstraints


@dataclass(frozen=True, slots=True)
class TextForm:
    """The explanation of a pattern: `expected` ends a sentence that begins with the field's name.

    `echoes`: whether a message may repeat a value that does not match. It must not if
    the field is secret or personal.
    """

    expected: str
    echoes: bool


_FORMS: Final[dict[str, TextForm]] = {}


def formed(
    pattern: str,
    expected: str,
    *,
    echoes: bool = False,
    min_length: int | None = None,
    max_length: int | None = None,
) -> StringConstraints:
    """A constraint for text fields of the contract; its messages contain `expected`."""
    form = TextForm(expected, echoes)
    assert _FORMS.setdefault(pattern, form) == form, f"{pattern} is explained in two ways"
    return StringConstraints(pattern=pattern, min_length=min_length, max_length=max_length)


def form_of(pattern: str) -> TextForm:
    """The form of a pattern. Every pattern of the contract has one."""
    return _FORMS[pattern]
