"""Card numbers and security codes must not be sent to the platform: finds them in a request.

This runs on every request, so its cost is linear in a document's length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from runtime.core.card_numbers import FEWEST_DIGITS, holds_card_number

_OWN_ID: Final = re.compile(r"[a-z]{2,8}_[0-9A-HJKMNP-TV-Z]{26}")
"""A whole value that is one of our ids: one in ten million has digits that pass the check."""
_SMALLEST: Final = 10 ** (FEWEST_DIGITS - 1)
_CODE_NAMES: Final = frozenset(
    {"cvv", "cvc", "cvv2", "cvc2", "cid", "csc", "security_code", "card_number", "pan"}
)

Link = tuple[Any, str] | None
"""A path from its end: the path of the container, and a name in it."""
_WHOLE: Final[Link] = (None, "")
_BETWEEN: Final = "\0\0"
"""Separates two texts: neither digits nor separators, and at least as long as a run of digits."""


def find_card_data(document: Any) -> str | None:
    """Dotted path of the first member that looks like a card number or security code, or None.

    A card number is 13 to 19 digits, in groups or not, that pass the Luhn check (ISO/IEC 7812-1
    annex B); a security code is known by its name. Digits that are part of a longer word, such as
    a UUID, an id of ours, and a telephone number in international form (a `phone` that begins with
    +) are neither.
    """
    texts: list[tuple[str, Link]] = []
    code = _collect(document, None, texts)
    number = _first_number(texts)
    suspect = code if number is None else number
    return None if suspect is None else ".".join(_names(suspect)) or "body"


def _collect(value: Any, path: Link, texts: list[tuple[str, Link]]) -> Link:
    """The first member with the name of a security code, or None; all `texts` before it.

    A path is assembled once, not at every step.
    """
    if isinstance(value, dict):
        return _collect_members(value, path, texts)
    if isinstance(value, list):
        members = ((n, member) for n, member in enumerate(value) if not _is_harmless(member))
        codes = (_collect(member, (path, str(n)), texts) for n, member in members)
        return next(filter(None, codes), None)
    if isinstance(value, (str, int, float)):
        texts.append((str(value), path or _WHOLE))
    return None


def _collect_members(members: dict[Any, Any], path: Link, texts: list[tuple[str, Link]]) -> Link:
    for name, member in ((str(name), member) for name, member in members.items()):
        if not _is_short(name):
            # A name that is a card number must not be repeated in the refusal.
            texts.append((name, path or _WHOLE))
        if _plain_name(name) in _CODE_NAMES:
            return path, name
        if _is_harmless(member) or _is_telephone_number(name, member):
            continue
        code = _collect(member, (path, name), texts)
        if code is not None:
            return code
    return None


def _first_number(texts: list[tuple[str, Link]]) -> Link:
    """The position of the first text with a card number, or None.

    All are searched in one piece, and in halves only if there is a match: thousands of short texts
    cost as little as one long text.
    """
    if not _one_holds_number(texts):
        return None
    first, end = 0, len(texts)
    while end - first > 1:
        middle = (first + end) // 2
        if _one_holds_number(texts[first:middle]):
            end = middle
        else:
            first = middle
    return texts[first][1]


def _one_holds_number(texts: list[tuple[str, Link]]) -> bool:
    return bool(texts) and holds_card_number(_BETWEEN.join(text for text, _ in texts))


def _names(link: Link) -> Iterator[str]:
    if link is not None:
        yield from _names(link[0])
        if link[1] or link[0] is not None:
            yield link[1]


def _is_harmless(value: Any) -> bool:
    """Whether a text can be skipped: it has too few digits, or is one of our ids."""
    if isinstance(value, str):
        return _is_short(value) or _OWN_ID.fullmatch(value) is not None
    return isinstance(value, int) and -_SMALLEST < value < _SMALLEST


def _is_short(text: str) -> bool:
    return len(text) < FEWEST_DIGITS and text.isascii()


def _plain_name(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _is_telephone_number(name: str, value: Any) -> bool:
    return name == "phone" and isinstance(value, str) and value.startswith("+")
