"""Amounts as Stripe counts them. In three currencies its smallest unit is not ISO 4217's.

Source: docs.stripe.com/currencies (zero-decimal currencies; special cases).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.core.currency import DECIMALS

STRIPE_DECIMALS: Final[Mapping[str, int]] = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Where Stripe differs: 5 ISK are 500 to Stripe and 5 to us; 5 MGA are 5 to Stripe, 500 to us."""


class NotInStripesUnits(ValueError):
    """Stripe has no such amount: it counts the currency in larger units."""


def to_stripe(amount_minor: int, currency: str) -> int:
    """The amount for a request to Stripe. Raises NotInStripesUnits."""
    ours, theirs = _units(currency)
    amount, rest = divmod(amount_minor * theirs, ours)
    if rest:
        raise NotInStripesUnits(
            f"Stripe accepts only whole {currency}: amount must be a multiple of {ours}"
        )
    return amount


def from_stripe(amount: int, currency: str) -> int:
    """An amount of Stripe's in minor units, rounded half up (a fee may have a fraction of one)."""
    ours, theirs = _units(currency)
    return (2 * amount * ours + theirs) // (2 * theirs)


def _units(currency: str) -> tuple[int, int]:
    decimals = DECIMALS[currency]
    return 10**decimals, 10 ** STRIPE_DECIMALS.get(currency, decimals)
