"""What the platform asks of any payment processor."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from runtime.domain.payments import ProcessorAnswer


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """A charge to make, at most once per `reference`, which is ours (the payment's id)."""

    reference: str
    amount_minor: int
    currency: str
    payment_method: str = field(repr=False)
    at: datetime


class Processor(Protocol):
    """A connector. Adding a processor is one module with these four."""

    def check_method(self, payment_method: str) -> None:
        """Raises InvalidValue for a payment method that this processor can never charge."""
        ...

    def charge(self, request: ChargeRequest) -> ProcessorAnswer:
        """Charge once per reference. Raises ProcessorUnknown when the answer did not arrive."""
        ...

    def find(self, reference: str) -> ProcessorAnswer | None:
        """What became of a reference; None: never seen. Raises ProcessorUnknown."""
        ...

    def forbid(self, request: ChargeRequest) -> ProcessorAnswer | None:
        """Make sure that a reference will never be charged.

        Returns None, or the answer if it had been charged after all. Raises ProcessorUnknown.
        """
        ...
