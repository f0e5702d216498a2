"""Card numbers and security codes never belong here: find what looks like one in a request."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

FEWEST_DIGITS = 13
MOST_DIGITS = 19
_RUN = re.compile(r"[0-9](?:[\s.\-\u2013_/]?[0-9])*")
_SEPARATORS = re.compile(r"[^0-9]")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_HEX_LETTERS = frozenset("abcdefABCDEF")
_CODE_NAMES = frozenset(
    {"cvv", "cvc", "cvv2", "cvc2", "cid", "csc", "security_code", "card_number", "pan"}
)


def find_card_data(document: Any) -> str | None:
    """Dotted path of the first member that looks like a card number or security code, or None.

    A card number is 13 to 19 digits, in groups or not, that pass the Luhn check (ISO/IEC 7812-1
    annex B); a security code is known by its name. Digits that are part of a longer word, such as
    a UUID, and telephone numbers in international form (a `phone` that begins with +) are neither.
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
            elif not _is_telephone_number(str(name), member):
                yield from _suspects(member, inner)
    elif isinstance(value, list):
        for position, member in enumerate(value):
            yield from _suspects(member, f"{path}.{position}")
    elif isinstance(value, (str, int, float)) and _holds_card_number(str(value)):
        yield path


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _is_telephone_number(name: str, value: Any) -> bool:
    return name == "phone" and isinstance(value, str) and value.startswith("+")


def _holds_card_number(text: str) -> bool:
    plain = unicodedata.normalize("NFKC", text)
    return any(_is_card_number(_own_groups(plain, run)) for run in _RUN.finditer(plain))


def _own_groups(text: str, run: re.Match[str]) -> Sequence[str]:
    """The groups of a run of digits, without those that belong to a UUID beside it."""
    groups = _SEPARATORS.split(run.group())
    hyphens = [separator == "-" for separator in _SEPARATORS.findall(run.group())]
    first, last = 0, len(groups)
    if _hangs_on(text[: run.start()][-2:]):
        first = _length_of_chain(hyphens)
    if _hangs_on(text[run.end() : run.end() + 2][::-1]):
        last -= _length_of_chain(hyphens[::-1])
    return groups[first:last]


def _hangs_on(neighbours: str) -> bool:
    """Whether the nearest character (the last one) is a hex letter, or a hyphen after one."""
    nearest = neighbours[-1:]
    return nearest in _HEX_LETTERS or (nearest == "-" and neighbours[:1] in _HEX_LETTERS)


def _length_of_chain(hyphens: Sequence[bool]) -> int:
    """Groups joined by hyphens, counted from the first one."""
    return 1 + next((n for n, joined in enumerate(hyphens) if not joined), len(hyphens))


def _is_card_number(groups: Sequence[str]) -> bool:
    """Whether neighbouring groups are one together: a date or a code may stand beside it."""
    for first in range(len(groups)):
        number = ""
        for group in groups[first:]:
            number += group
            if len(number) > MOST_DIGITS:
                break
            if len(number) >= FEWEST_DIGITS and _passes_luhn(number):
                return True
    return False


def _passes_luhn(number: str) -> bool:
    digits = [int(character) for character in reversed(number)]
    return (sum(digits[::2]) + sum(_DOUBLED[digit] for digit in digits[1::2])) % 10 == 0
