"""The definition of a card number in a text, regardless of the cost of the search.

The runtime's search must agree with it on every text; `make bench ARGS=card-scan` measures both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

FEWEST_DIGITS = 13
MOST_DIGITS = 19
_RUN = re.compile(r"[0-9](?:[\s.\-\u2013_/]?[0-9])*")
_SEPARATORS = re.compile(r"[^0-9]")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_HEX_LETTERS = frozenset("abcdefABCDEF")


def holds_card_number_by_definition(text: str) -> bool:
    """Whether a text contains something like a card number."""
    plain = unicodedata.normalize("NFKC", text)
    return any(_is_card_number(_own_groups(plain, run)) for run in _RUN.finditer(plain))


def _own_groups(text: str, run: re.Match[str]) -> Sequence[str]:
    """The groups of a run of digits, without those that belong to an adjacent UUID."""
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
    """Whether adjacent groups form a number: a date or a code may stand beside it."""
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
