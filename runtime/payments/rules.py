"""The life of a payment: a step that `TRANSITIONS` lacks is illegal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from runtime.payments.models import PaymentStatus

_S = PaymentStatus

TRANSITIONS: Final[Mapping[PaymentStatus, frozenset[PaymentStatus]]] = {
    _S.PENDING: frozenset({_S.PROCESSING, _S.CANCELED}),
    _S.PROCESSING: frozenset({_S.SUCCEEDED, _S.REQUIRES_CAPTURE, _S.FAILED, _S.UNKNOWN}),
    _S.UNKNOWN: frozenset({_S.SUCCEEDED, _S.REQUIRES_CAPTURE, _S.FAILED}),
    _S.REQUIRES_CAPTURE: frozenset({_S.REQUIRES_CAPTURE, _S.SUCCEEDED, _S.CANCELED}),
    _S.SUCCEEDED: frozenset({_S.SUCCEEDED}),
}


RETRIABLE_DECLINES: Final = frozenset(
    {
        "insufficient_funds",
        "issuer_unavailable",
        "processing_error",
        "processor_rate_limited",
        "processor_unreachable",
        "try_again_later",
        "velocity_exceeded",
    }
)
"""Decline codes that pass with time; all others (expired_card, fraudulent, …) stay."""


@dataclass(frozen=True, slots=True)
class Approved:
    """The processor did what was asked. `fee_minor` is what it keeps of what was captured.

    `processor_id` is what it calls the charge, the capture, the refund or the void.
    """

    processor_id: str
    fee_minor: int
    response_code: str = "approved"
    response_text: str = "Approved"


@dataclass(frozen=True, slots=True)
class Refused:
    """The processor said no; `decline_code` is stable, `response_text` is for people."""

    processor_id: str | None
    decline_code: str
    response_text: str

    @property
    def is_retriable(self) -> bool:
        """Whether the same card may well succeed later, by a new request."""
        return self.decline_code in RETRIABLE_DECLINES


ProcessorAnswer = Approved | Refused


def may_become(current: PaymentStatus, wanted: PaymentStatus) -> bool:
    """Whether the step is one of the state machine's."""
    return wanted in TRANSITIONS.get(current, frozenset())


def sources_of(wanted: PaymentStatus) -> tuple[PaymentStatus, ...]:
    """The statuses from which `wanted` can be reached, for the condition of a write."""
    return tuple(status for status in PaymentStatus if may_become(status, wanted))


def status_after(answer: ProcessorAnswer, *, captures: bool = True) -> PaymentStatus:
    """Where a payment stands after the processor's answer to its charge.

    `captures`: the charge takes the money at once, and does not only authorize it.
    """
    if not isinstance(answer, Approved):
        return _S.FAILED
    return _S.SUCCEEDED if captures else _S.REQUIRES_CAPTURE
