"""Decimal texts as exact minor units. No float, no rounding."""

from __future__ import annotations

import re
from decimal import Decimal

from runtime.core.currency import DECIMALS
from runtime.core.echo import echoed
from runtime.core.fields import MAX_AMOUNT_MINOR
from runtime.reconciliation.importers.layout import Unreadable

_DECIMAL = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_WHOLE = re.compile(r"-?[0-9]{1,20}")


def whole_minor_units(column: str, text: str) -> int:
    """A whole number of minor units. Raises Unreadable."""
    if not _WHOLE.fullmatch(text):
        raise Unreadable(f"{column} {echoed(text)!r} is not a whole number of minor units")
    return _bounded(column, text, int(text))


def minor_units(column: str, text: str, currency: str, written: int | None = None) -> int:
    """An amount in major units, such as 24.05, as minor units of `currency`.

    `written` is how many decimals the processor writes, if it differs from ISO 4217's. More
    decimals than that are refused, as is a value that ISO's minor unit cannot express. Raises
    Unreadable.
    """
    exact = decimal_of(column, text)
    decimals = DECIMALS[currency]
    allowed = decimals if written is None else written
    if len(text.partition(".")[2]) > allowed:
        raise Unreadable(
            f"{column} {echoed(text)!r} has more decimals than {currency} has ({allowed})"
        )
    amount = exact.scaleb(decimals)
    if amount != amount.to_integral_value():
        raise Unreadable(
            f"{column} {echoed(text)!r} is not a whole number of the smallest unit of {currency}"
        )
    return _bounded(column, text, int(amount))


def from_hundredths(column: str, text: str, currency: str) -> int:
    """An unsigned number of hundredths of `currency`, whatever its decimals, as minor units.

    Raises Unreadable, also where the minor unit cannot express it.
    """
    if not _WHOLE.fullmatch(text) or text.startswith("-"):
        raise Unreadable(f"{column} {echoed(text)!r} is not an unsigned whole number of hundredths")
    amount, rest = divmod(int(text) * 10 ** DECIMALS[currency], 100)
    if rest:
        raise Unreadable(
            f"{column} {echoed(text)!r} (hundredths) is not a whole number of the smallest unit of "
            f"{currency}"
        )
    return _bounded(column, text, amount)


def decimal_of(column: str, text: str) -> Decimal:
    """A plain decimal number, exactly. Raises Unreadable."""
    if not _DECIMAL.fullmatch(text):
        raise Unreadable(f"{column} {echoed(text)!r} is not a decimal number such as 24.05")
    return Decimal(text)


def _bounded(column: str, text: str, amount: int) -> int:
    if abs(amount) > MAX_AMOUNT_MINOR:
        raise Unreadable(
            f"{column} {echoed(text)} is beyond the largest amount of {MAX_AMOUNT_MINOR} "
            "minor units"
        )
    return amount
