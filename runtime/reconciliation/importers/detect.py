"""The layout of a file, by its header."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runtime.core.echo import NOT_REPEATED, echoed
from runtime.reconciliation.importers.adyen import AdyenLayout
from runtime.reconciliation.importers.canonical import HEADER, CanonicalLayout
from runtime.reconciliation.importers.layout import Layout, Refusal, normalized
from runtime.reconciliation.importers.paypal import PREAMBLE, PayPalLayout
from runtime.reconciliation.importers.stripe import StripeLayout

LAYOUTS: Final[tuple[type[Layout], ...]] = (
    CanonicalLayout,
    StripeLayout,
    AdyenLayout,
    PayPalLayout,
)
RECOGNIZED_SHARE: Final = 0.5
"""Of a layout's required columns: a header with fewer is not recognized as that layout."""
SHOWN_NAMES: Final = 6
"""Column names of an unknown header that its refusal repeats."""


def layout_of(header: Sequence[str]) -> Layout | Refusal:
    """The layout of a file whose first record is `header`, bound to it; or why it is refused.

    The layout is the one with most of its required columns; if some are missing, it is refused by
    their names.
    """
    names = {normalized(name) for name in header}
    share, best = max(((_share(layout, names), layout) for layout in LAYOUTS), key=lambda at: at[0])
    if share < RECOGNIZED_SHARE:
        return Refusal(_unknown(header))
    return best.refusal(header) or best(header)


def is_preamble(cells: Sequence[str]) -> bool:
    """Whether a record precedes the one with the column names: PayPal's reports have some."""
    return bool(cells) and cells[0].strip() in PREAMBLE


def _share(layout: type[Layout], names: set[str]) -> float:
    return sum(normalized(name) in names for name in layout.needed) / len(layout.needed)


def _unknown(header: Sequence[str]) -> str:
    names = (name.strip() for name in header[:SHOWN_NAMES])
    shown = ", ".join(
        echoed(name) if name.isprintable() else NOT_REPEATED for name in names if name
    )
    found = f"begins with the columns {shown}" if shown else "is blank"
    return (
        f"The first line {found}, which is not the header of a known settlement file; "
        f"expected {','.join(HEADER)}, or a report of Stripe, Adyen or PayPal as it was exported."
    )
