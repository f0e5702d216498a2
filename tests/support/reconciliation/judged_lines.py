"""Lines of captures and disputes, and their result in a ledger in memory."""

from __future__ import annotations

from typing import Any

from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.settlements.models import (
    LineType,
    SettlementLine,
)
from tests.support.reconciliation.batches import read_line
from tests.support.reconciliation.books import SettlementBooks


def capture(payment_id: str, number: int = 2, **changes: Any) -> ImportedLine:
    return read_line(number, **{"references": References(payment_id=payment_id), **changes})


def judged(books: SettlementBooks, *lines: ImportedLine, file_id: str = "fil_1") -> SettlementLine:
    """The last line, after all of them are settled."""
    books.settle(file_id, lines)
    books.deltas_must_add_up()
    books.bookings_must_fit()
    return books.line(lines[-1].identity)


def dispute(payment_id: str, number: int, amount: int, fee: int = 0) -> ImportedLine:
    kind = LineType.DISPUTE if amount < 0 else LineType.DISPUTE_REVERSAL
    named = References(payment_id=payment_id, dispute_id="dp_1")
    return read_line(number, type=kind, amount=amount, fee=fee, references=named)
