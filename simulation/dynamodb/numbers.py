"""DynamoDB's numbers: up to 38 significant digits, compared by value, kept in one spelling.

Source: Amazon DynamoDB Developer Guide, "Data types: Number" — 38 digits of precision, magnitudes
from 1E-130 to 9.9…E+125; zeroes at either end are not kept.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import Final

from simulation.dynamodb.errors import invalid

Number = int | Decimal

MAX_DIGITS: Final = 38
MAX_EXPONENT: Final = 125
MIN_EXPONENT: Final = -130

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,37})\Z")
_ANY: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_EXACT: Final = Context(prec=300)
"""Wide enough for the sum of the largest number and the smallest."""


def number(text: str) -> Number:
    """The value of a number as DynamoDB keeps it."""
    return int(text) if _INTEGER.match(text) else Decimal(text)


def canonical_number(text: str) -> str:
    """The one spelling of a number. Raises ValidationException for what is none."""
    if _INTEGER.match(text) and text != "-0":
        return text
    if not _ANY.match(text):
        raise invalid(f"The parameter cannot be converted to a numeric value: {text}")
    return _spelled(Decimal(text))


def add(one: str, other: str, sign: str) -> str:
    """The sum of two numbers, or their difference. Raises ValidationException on overflow."""
    left, right = number(one), number(other)
    if isinstance(left, int) and isinstance(right, int):
        text = str(left + right if sign == "+" else left - right)
        return text if len(text) <= MAX_DIGITS else canonical_number(text)
    exact = _EXACT.add if sign == "+" else _EXACT.subtract
    return _spelled(exact(Decimal(left), Decimal(right)))


def _spelled(value: Decimal) -> str:
    if not value:
        return "0"
    exponent = value.adjusted()
    if exponent > MAX_EXPONENT:
        raise invalid(
            "Number overflow. Attempting to store a number with magnitude larger than supported "
            "range"
        )
    if exponent < MIN_EXPONENT:
        raise invalid(
            "Number underflow. Attempting to store a number with magnitude smaller than supported "
            "range"
        )
    kept = value.normalize(_EXACT)
    if len(kept.as_tuple().digits) > MAX_DIGITS:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    return format(kept, "f")
