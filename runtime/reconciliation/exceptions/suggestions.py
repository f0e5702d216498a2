"""Suggestions for an unexpected line: unsettled transactions with its amount and day.

Equal amounts prove nothing, so a suggestion is computed when a line is read, and posted only by
the person who links it. It is bounded: merchants with a great many payments a day get none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import islice
from typing import Final

from runtime.core.money import format_amount
from runtime.core.scope import Scope
from runtime.merchants.models import MerchantProfile
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.exceptions.api import Suggestion
from runtime.reconciliation.settlements.models import LineStatus, LineType, SettlementLine
from runtime.reconciliation.unsettled.repository import UnsettledRepository
from runtime.reconciliation.unsettled.rules import booked_amounts, line_type, waits_for_a_file

DAYS_AROUND: Final = 1
"""A processor may date a payment one day before or after ours."""
MOST_DAYS: Final = 9
"""Days whose transactions are read for one page of exceptions; lines of further days get none."""
MOST_OF_A_DAY: Final = 200
"""Transactions of a day that are read, the newest ones."""
MOST_BUCKETS: Final = 16
"""A merchant with more index buckets per day has too many payments for suggestions."""
_READ_AT_ONCE: Final = 100
_SUGGESTED: Final = (None, LineType.CAPTURE, LineType.REFUND)


@dataclass
class Suggestions:
    """Suggestions for the lines of one page; a day is read once."""

    unsettled: UnsettledRepository
    merchant: MerchantProfile
    _days: dict[str, list[Transaction]] = field(default_factory=dict)

    def of(self, line: SettlementLine, day: str) -> Suggestion | None:
        """Suggestions for a line; None for lines that are not unexpected. `day`: its exception's.

        The transaction of the nearest day comes first, then the oldest.
        """
        amount, currency = _stated(line)
        if line.status is not LineStatus.UNEXPECTED or line.type not in _SUGGESTED:
            return None
        if amount is None or currency is None or self.merchant.index_buckets > MOST_BUCKETS:
            return None
        middle = line.processed_date or line.settlement_date or day
        alike = [
            each
            for near in _days_around(middle)
            for each in reversed(self._transactions(near))
            if each.currency == currency
            and booked_amounts(each).amount == amount
            and line.type in (None, line_type(each))
        ]
        if not alike:
            return None
        first, kind = alike[0], line_type(alike[0])
        number = "the only" if len(alike) == 1 else f"one of {len(alike)}"
        plural = "" if len(alike) == 1 else "s"
        return Suggestion(
            transaction_id=first.id,
            payment_id=first.payment_id,
            why=f"{number} unsettled {kind}{plural} of {format_amount(first.amount, currency)} "
            f"within {DAYS_AROUND} day of {middle}",
        )

    def _transactions(self, day: str) -> list[Transaction]:
        """Unsettled transactions of a day, newest first; none for a day too many."""
        if day not in self._days:
            if len(self._days) >= MOST_DAYS:
                return []
            self._days[day] = list(self._read(day))
        return self._days[day]

    def _read(self, day: str) -> Iterable[Transaction]:
        entries = self.unsettled.of_day(self.merchant, day, page_size=_READ_AT_ONCE)
        ids = [entry.id for entry in islice(entries, MOST_OF_A_DAY)]
        for begin in range(0, len(ids), _READ_AT_ONCE):
            some = ids[begin : begin + _READ_AT_ONCE]
            rows = self.unsettled.transactions(some, Scope(self.merchant.id))
            yield from (row for row in rows if waits_for_a_file(row))


def _stated(line: SettlementLine) -> tuple[int | None, str | None]:
    """The amount that the customer was charged, if the line has it."""
    if line.presented_amount is not None and line.presented_currency is not None:
        return line.presented_amount, line.presented_currency
    return line.amount, line.currency


def _days_around(middle: str) -> tuple[str, ...]:
    """The day itself, then the days around it; none for an invalid day."""
    try:
        day = date.fromisoformat(middle)
        steps = (0, *(step for n in range(1, DAYS_AROUND + 1) for step in (-n, n)))
        return tuple((day + timedelta(days=step)).isoformat() for step in steps)
    except (OverflowError, ValueError):
        return ()
