"""The actions for an exception, by its status. Pure.

| status | accept and write_off | link | ignore |
|---|---|---|---|
| amount_mismatch, fee_mismatch, currency_mismatch | yes | to another transaction | yes |
| amount_mismatch of a payout (its remainder) | yes | no | yes |
| status_mismatch | yes, against nothing of ours unless it has happened meanwhile | yes | yes |
| duplicate, unexpected, unclassified | yes, against nothing of ours | yes | yes |
| duplicate of a dispute or returned refund: perhaps a second one | no | yes | yes |
| missing | yes, against nothing of the file's | no | yes |
| invalid | only with readable amounts | only with readable amounts | yes |

Two depend on what is booked when the decision is made, so decisions.py refuses them: a dispute or a
returned refund is accepted only once it is booked, and a missing refund not after it has come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.reconciliation.settlements.models import (
    NO_EXCEPTION,
    LineStatus,
    LineType,
    ResolutionAction,
    SettlementLine,
)

_ALL: Final = tuple(ResolutionAction)
_NOT_LINKED: Final = (
    ResolutionAction.ACCEPT,
    ResolutionAction.WRITE_OFF,
    ResolutionAction.IGNORE,
)
_APPLICABLE: Final[Mapping[LineStatus, tuple[ResolutionAction, ...]]] = {
    LineStatus.AMOUNT_MISMATCH: _ALL,
    LineStatus.FEE_MISMATCH: _ALL,
    LineStatus.CURRENCY_MISMATCH: _ALL,
    LineStatus.STATUS_MISMATCH: _ALL,
    LineStatus.DUPLICATE: _ALL,
    LineStatus.UNEXPECTED: _ALL,
    LineStatus.UNCLASSIFIED: _ALL,
    LineStatus.INVALID: _ALL,
    LineStatus.MISSING: _NOT_LINKED,
}
AGAINST_OURS: Final = frozenset(
    {
        LineStatus.AMOUNT_MISMATCH,
        LineStatus.FEE_MISMATCH,
        LineStatus.CURRENCY_MISMATCH,
        LineStatus.STATUS_MISMATCH,
        LineStatus.MISSING,
    }
)
"""Lines that are compared with what we have booked when they are accepted or written off, if that
is not settled yet. The others are booked against nothing of ours."""
BOOKED_BY_EVENTS: Final = frozenset(
    {LineType.REFUND_FAILURE, LineType.DISPUTE, LineType.DISPUTE_REVERSAL}
)
"""Lines about what the processor's events book: a decision must not book it as well."""
_WITHOUT_COUNTERPART: Final = frozenset({LineType.FEE, LineType.ADJUSTMENT, LineType.PAYOUT})
"""Lines that are about no transaction."""


def is_open(line: SettlementLine) -> bool:
    """Whether it needs a decision."""
    return line.status not in NO_EXCEPTION and line.resolution is None


def actions_for(line: SettlementLine) -> tuple[ResolutionAction, ...]:
    """The actions for a line; none if it needs no decision or is resolved."""
    if not is_open(line):
        return ()
    if None in (line.amount, line.fee, line.net, line.currency):
        return (ResolutionAction.IGNORE,)
    if line.type in _WITHOUT_COUNTERPART:
        return _NOT_LINKED
    if line.type in BOOKED_BY_EVENTS and line.status is LineStatus.DUPLICATE:
        return (ResolutionAction.LINK, ResolutionAction.IGNORE)
    return _APPLICABLE[line.status]
