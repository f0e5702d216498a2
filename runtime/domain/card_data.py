"""Card numbers and security codes never belong here: find what looks like one in a request.

This runs on every request: a document costs time in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from runtime.card_numbers import FEWEST_DIGITS, holds_card_number

_OWN_ID: Final = re.compile(r"[a-z]{2,8}_[0-9A-HJKMNP-TV-Z]{26}")
"""A whole value that is an id of ours: one in ten million has digits that pass the check."""
_SMALLEST: Final = 10 ** (FEWEST_DIGITS - 1)
_CODE_NAMES: Final = frozenset(
    {"cvv", "cvc", "cvv2", "cvc2", "cid", "csc", "security_code", "card_number", "pan"}
)

Link = tuple[Any, str] | None
"""A path from its end: the way to the container, and a name in it."""
_WHOLE: Final[Link] = (None, "")


def find_card_data(document: Any) -> str | None:
    """Dotted path of the first member that looks like a card number or security code, or None.

    A card number is 13 to 19 digits, in groups or not, that pass the Luhn check (ISO/IEC 7812-1
    annex B); a security code is known by its name. Digits that are part of a longer word, such as
    a UUID, an id of ours, and a telephone number in international form (a `phone` that begins with
    +) are neither.
    """
    suspect = _suspect(document, None)
    return None if suspect is None else ".".join(_names(suspect)) or "body"


def _suspect(value: Any, path: Link) -> Link:
    """Where the first suspect in `value` is. The path is put together once, not at every step."""
    if isinstance(value, dict):
        return _suspect_member(value, path)
    if isinstance(value, list):
        members = ((n, member) for n, member in enumerate(value) if not _is_harmless(member))
        return next(filter(None, (_suspect(member, (path, str(n))) for n, member in members)), None)
    if isinstance(value, (str, int, float)) and holds_card_number(str(value)):
        return path or _WHOLE
    return None


def _suspect_member(members: dict[Any, Any], path: Link) -> Link:
    for name, member in ((str(name), member) for name, member in members.items()):
        if holds_card_number(name):
            # The name itself must not be repeated in the refusal.
            return path or _WHOLE
        if _plain_name(name) in _CODE_NAMES:
            return path, name
        if _is_harmless(member) or _is_telephone_number(name, member):
            continue
        found = _suspect(member, (path, name))
        if found is not None:
            return found
    return None


def _names(link: Link) -> Iterator[str]:
    if link is not None:
        yield from _names(link[0])
        if link[1] or link[0] is not None:
            yield link[1]


def _is_harmless(value: Any) -> bool:
    """Whether no look at each character is needed: it has too few of them, or is an id of ours."""
    if isinstance(value, str):
        short = len(value) < FEWEST_DIGITS and value.isascii()
        return short or _OWN_ID.fullmatch(value) is not None
    return isinstance(value, int) and -_SMALLEST < value < _SMALLEST


def _plain_name(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _is_telephone_number(name: str, value: Any) -> bool:
    return name == "phone" and isinstance(value, str) and value.startswith("+")
