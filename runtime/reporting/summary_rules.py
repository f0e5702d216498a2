"""Adding up payments: by status and by currency, never across currencies."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from runtime.payments.models import PaymentStatus
from runtime.reporting.totals.models import Figures


class Summable(Protocol):
    """The attributes of a payment that a summary needs; amounts in minor units."""

    @property
    def status(self) -> PaymentStatus:
        """The payment's status."""
        ...

    @property
    def currency(self) -> str:
        """The currency of all its amounts."""
        ...

    @property
    def amount_captured(self) -> int:
        """What was taken from the customer."""
        ...

    @property
    def amount_refunded(self) -> int:
        """What was refunded."""
        ...

    @property
    def fee(self) -> int:
        """What the processor keeps."""
        ...


@dataclass(slots=True)
class CurrencySum:
    """Sums of one currency in minor units; `count` counts payments of every status."""

    count: int = 0
    captured_count: int = 0
    captured: int = 0
    refunded: int = 0
    fees: int = 0

    @property
    def net(self) -> int:
        """Captures less refunds and fees."""
        return self.captured - self.refunded - self.fees

    @property
    def average(self) -> int:
        """Average of the payments that captured something, rounded down."""
        return self.captured // self.captured_count if self.captured_count else 0


@dataclass(slots=True)
class Summary:
    """A running summary."""

    total_count: int = 0
    by_status: Counter[PaymentStatus] = field(default_factory=Counter)
    by_currency: dict[str, CurrencySum] = field(default_factory=dict)

    def add(self, currency: str, figures: Figures) -> None:
        """Add existing counts, of one currency."""
        if not figures.not_zero():
            return
        by_status = figures.by_status()
        count = sum(by_status.values())
        self.total_count += count
        self.by_status.update(by_status)
        total = self.by_currency.setdefault(currency, CurrencySum())
        total.count += count
        total.captured_count += figures.captured_count
        total.captured += figures.captured
        total.refunded += figures.refunded
        total.fees += figures.fees

    def count(self, payment: Summable) -> None:
        """Add one payment."""
        self.total_count += 1
        self.by_status[payment.status] += 1
        total = self.by_currency.setdefault(payment.currency, CurrencySum())
        total.count += 1
        total.captured_count += payment.amount_captured > 0
        total.captured += payment.amount_captured
        total.refunded += payment.amount_refunded
        total.fees += payment.fee

    def include(self, other: Summary) -> None:
        """Add another summary, of other payments."""
        self.total_count += other.total_count
        self.by_status.update(other.by_status)
        for currency, more in other.by_currency.items():
            total = self.by_currency.setdefault(currency, CurrencySum())
            total.count += more.count
            total.captured_count += more.captured_count
            total.captured += more.captured
            total.refunded += more.refunded
            total.fees += more.fees
