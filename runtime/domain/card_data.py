"""Card numbers and security codes never belong here: find what looks like one in a request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_FEWEST_DIGITS = 13
_MOST_DIGITS = 19
_DIGIT_RUN = re.compile(r"[0-9](?:[ -]?[0-9]){12,}")
_CODE_NAMES = frozenset(
    {"cvv", "cvc", "cvv2", "cvc2", "cid", "csc", "security_code", "card_number", "pan"}
)


def find_card_data(document: Any) -> str | None:
    """Dotted path of the first member that looks like a card number or security code, or None.

    A card number is 13 to 19 digits, in groups or not, that pass the Luhn check (ISO/IEC 7812-1
    annex B); a security code is known by its name.
    """
    return next(_suspects(document, ""), None)


def _suspects(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            inner = f"{path}.{name}" if path else str(name)
            if _holds_card_number(str(name)):
                # The name itself must not be repeated in the refusal.
                yield path or "body"
            elif _plain(str(name)) in _CODE_NAMES:
                yield inner
            yield from _suspects(member, inner)
    elif isinstance(value, list):
        for position, member in enumerate(value):
            yield from _suspects(member, f"{path}.{position}")
    elif isinstance(value, (str, int, float)) and _holds_card_number(str(value)):
        yield path


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _holds_card_number(text: str) -> bool:
    return any(_is_card_number(run.group()) for run in _DIGIT_RUN.finditer(text))


def _is_card_number(run: str) -> bool:
    """Whether neighbouring groups of `run` are one: a date or a code may stand beside it."""
    groups = re.split("[ -]", run)
    for first in range(len(groups)):
        number = ""
        for group in groups[first:]:
            number += group
            if len(number) > _MOST_DIGITS:
                break
            if len(number) >= _FEWEST_DIGITS and _passes_luhn(number):
                return True
    return False


def _passes_luhn(number: str) -> bool:
    digits = [int(character) for character in reversed(number)]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
