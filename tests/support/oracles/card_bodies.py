"""The 64 KB bodies in which a search for card numbers is most expensive, by their content."""

from __future__ import annotations

from typing import Any, Final

from runtime.functions.json_body import MAX_BODY_BYTES

_ROOM: Final = MAX_BODY_BYTES - 100
_ONES: Final = " ".join("1" * 19)

_TEXTS: Final = {
    "single digits": "1 ",
    "single digits, 19 in a row": f"{_ONES},",
    "13 digits in a row": "1234567890123,",
    "12 digits in a row": "111111111111,",
    "digits with commas": "1,",
    "one number": "1",
    "combining marks": "\u0345\u0300\u0327",
    "digits with accents": "1\u0301",
    "digits with full stops": "\u2488",
    "one character that is eighteen": "\ufdfa",
}


def _of(part: str) -> str:
    return part * (_ROOM // len(part.encode()))


def worst_bodies() -> dict[str, dict[str, Any]]:
    """Each is at most 64 KB of UTF-8, without a card number."""
    marks = "\u0345" * (_ROOM // 4) + "\u0327" * (_ROOM // 4)
    return {
        **{name: {"description": _of(part)} for name, part in _TEXTS.items()},
        "combining marks in the wrong order": {"description": marks},
        "a list of numbers": {"metadata": [1] * (_ROOM // 3)},
        "a list of texts": {"metadata": ["1"] * (_ROOM // 5)},
        "a list of 13 digits each": {"metadata": [1234567890123] * (_ROOM // 14)},
        "a list of short texts with accents": {"metadata": ["\u00e91"] * (_ROOM // 6)},
        "a list under a long name": {"n" * (_ROOM // 2): [1] * (_ROOM // 6)},
        "many names": {f"{number:05x}": 1 for number in range(_ROOM // 12)},
    }


ORDINARY: Final[dict[str, Any]] = {
    "amount": 1000,
    "currency": "USD",
    "payment_method": "tok_approved",
    "description": "Order 4711",
    "metadata": {"order": "A-4711", "cart": "01KKNS5TM27YDJ43Y2ZGZA8BEN"},
}
