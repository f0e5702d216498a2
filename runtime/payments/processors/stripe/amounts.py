"""Convert amounts to and from Stripe's units, which differ from ISO 4217 for three currencies.

Source: docs.stripe.com/currencies (zero-decimal currencies; special cases).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.core.currency import DECIMALS

STRIPE_DECIMALS: Final[Mapping[str, int]] = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Currencies whose decimals differ at Stripe. 5 ISK are 500 in Stripe's units and 5 in minor units;
5 MGA are 5 in Stripe's units and 500 in minor units."""


class NotInStripesUnits(ValueError):
    """The amount cannot be expressed in Stripe's larger unit."""


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
    """An amount from Stripe in minor units, rounded half up: a fee may be a fraction of a unit."""
    ours, theirs = _units(currency)
    return (2 * amount * ours + theirs) // (2 * theirs)


def _units(currency: str) -> tuple[int, int]:
    decimals = DECIMALS[currency]
    return 10**decimals, 10 ** STRIPE_DECIMALS.get(currency, decimals)
