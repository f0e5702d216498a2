"""Detects possible card numbers in text: 13 to 19 digits that pass the Luhn check.

Runs in time linear in the length of the text, whatever it contains.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

FEWEST_DIGITS: Final = 13
MOST_DIGITS: Final = 19
MAX_MARKS: Final = 30
"""Most combining marks read after a letter (UAX #15 section 13, "Stream-Safe Text Process")."""

_SEPARATOR: Final = r"[\s.\-\u2013_/]"
_LONG_RUN: Final = re.compile(rf"[0-9](?:{_SEPARATOR}?[0-9]){{{FEWEST_DIGITS - 1},}}")
_SEPARATORS: Final = re.compile(_SEPARATOR)
_NOT_DIGITS: Final = re.compile(r"[^0-9]")
_HEX_LETTERS: Final = frozenset("abcdefABCDEF")


def holds_card_number(text: str) -> bool:
    """Whether the text contains something that looks like a card number."""
    plain = text if text.isascii() else _normalized(text)
    runs = [_own_groups(plain, run) for run in _LONG_RUN.finditer(plain)]
    return bool(runs) and _any_passes(runs)


def _normalized(text: str) -> str:
    """Each character in NFKC, so that digits and separators of any width become ASCII.

    Normalizes per character: ordering n combining marks takes n² steps, and digits and separators
    never compose with a mark.
    """
    forms = {ord(each): unicodedata.normalize("NFKC", each) for each in set(text)}
    return text.translate(forms)


def _own_groups(text: str, run: re.Match[str]) -> str:
    """The run's groups of digits separated by spaces, without groups that belong to a UUID."""
    # A letter with an accent is a different letter, whether composed or decomposed.
    plain = _SEPARATORS.sub(" ", run.group())
    before = text[max(run.start() - 2, 0) : run.start()]
    # A letter with an accent is a different letter, whether composed or decomposed.
    follows = unicodedata.normalize("NFC", text[run.end() : run.end() + 2 + MAX_MARKS])
    after = follows[:2][::-1]
    first_is_others, last_is_others = _hangs_on(before), _hangs_on(after)
    if not (first_is_others or last_is_others):
        return plain
    groups = plain.split(" ")
    hyphens = [separator == "-" for separator in _NOT_DIGITS.findall(run.group())]
    first = _length_of_chain(hyphens) if first_is_others else 0
    last = len(groups) - (_length_of_chain(hyphens[::-1]) if last_is_others else 0)
    return " ".join(groups[first:last])


def _hangs_on(neighbours: str) -> bool:
    """Whether the nearest character (the last one) is a hex letter, or a hyphen after one."""
    nearest = neighbours[-1:]
    return nearest in _HEX_LETTERS or (nearest == "-" and neighbours[:1] in _HEX_LETTERS)


def _length_of_chain(hyphens: list[bool]) -> int:
    """Number of groups joined by hyphens, counted from the first one."""
    return 1 + next((n for n, joined in enumerate(hyphens) if not joined), len(hyphens))


# One byte per digit: "a" to "j" are digits that begin a group, "X" follows the end of a run. The
# gap between two runs is longer than any card number.
_FIRST: Final = "abcdefghij"
_END: Final = "X"
_GAP: Final = _END + "x" * (MOST_DIGITS - 1)


def _table(digits: str, first: str, end: int = 0) -> bytes:
    """A translation table: values for digits, for digits that begin a group, and for the end."""
    table = bytearray(256)
    for number in range(10):
        table[ord("0") + number] = int(digits[number])
        table[ord(_FIRST[number])] = int(first[number])
    table[ord(_END)] = end
    return bytes(table)


_PLAIN: Final = _table("0123456789", "0123456789")
_DOUBLED: Final = _table("0246813579", "0246813579")
_BEGINS: Final = _table("0" * 10, "1" * 10)
_ENDS_BEFORE: Final = _table("0" * 10, "1" * 10, end=1)
_MULTIPLE_OF_TEN: Final = bytes(int(total % 10 == 0) for total in range(256))


def _any_passes(runs: list[str]) -> bool:
    """Whether adjacent groups of a run form a card number together.

    A date or a code may be next to the number, so every sequence of whole groups is tried: all
    positions of the text at once, one byte each in integers as long as the text. Byte i of `sums`
    is the Luhn sum of the digits from i on; for one digit more, the sums shift by one position and
    the digit is added, plain or doubled in turn. The largest sum is 19 * 9, less than 256.
    """
    text = "".join(f" {run}{_GAP}" for run in runs)
    for number, letter in enumerate(_FIRST):
        text = text.replace(f" {number}", letter)
    row = text.encode("ascii")
    size = len(row)
    plain, doubled, begins, ends_before = (
        int.from_bytes(row.translate(table), "little")
        for table in (_PLAIN, _DOUBLED, _BEGINS, _ENDS_BEFORE)
    )
    sums = 0
    for length in range(1, MOST_DIGITS + 1):
        sums = (sums >> 8) + (plain if length % 2 else doubled)
        if length < FEWEST_DIGITS:
            continue
        passes = sums.to_bytes(size, "little").translate(_MULTIPLE_OF_TEN)
        whole = begins & (ends_before >> 8 * length)
        if int.from_bytes(passes, "little") & whole:
            return True
    return False
