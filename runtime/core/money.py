"""Amounts: integers in minor units, fees rounded half up, and formatting."""

from __future__ import annotations

from runtime.core.currency import DECIMALS

BASIS_POINTS = 10_000


def fee_of(amount_minor: int, *, basis_points: int, fixed_minor: int) -> int:
    """A processor's fee: a percentage rounded half up, plus a fixed part; may exceed the amount."""
    share = (amount_minor * basis_points * 2 + BASIS_POINTS) // (2 * BASIS_POINTS)
    return share + fixed_minor


def format_amount(amount_minor: int, currency: str) -> str:
    """`-12.34 USD`, `1234 JPY`, `1.234 KWD`: with the currency's ISO 4217 decimals."""
    return f"{decimal_text(amount_minor, currency)} {currency}"


def decimal_text(amount_minor: int, currency: str) -> str:
    """`-12.34`, `1234`, `1.234`: the amount without its currency."""
    decimals = DECIMALS[currency]
    sign = "-" if amount_minor < 0 else ""
    digits = str(abs(amount_minor)).rjust(decimals + 1, "0")
    if decimals == 0:
        return f"{sign}{digits}"
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def grouped(decimal: str) -> str:
    """`-1,234,567.89`: a decimal with thousands separators."""
    sign, digits = ("-", decimal[1:]) if decimal.startswith("-") else ("", decimal)
    whole, point, fraction = digits.partition(".")
    return f"{sign}{int(whole):,}{point}{fraction}"
