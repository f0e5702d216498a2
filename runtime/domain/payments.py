"""The life of a payment: a step that `TRANSITIONS` lacks is illegal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from runtime.domain.instants import to_datetime
from runtime.models.payment import Payment, PaymentStatus

_S = PaymentStatus

TRANSITIONS: Final[Mapping[PaymentStatus, frozenset[PaymentStatus]]] = {
    _S.PENDING: frozenset({_S.PROCESSING, _S.CANCELED}),
    _S.PROCESSING: frozenset({_S.SUCCEEDED, _S.REQUIRES_CAPTURE, _S.FAILED, _S.UNKNOWN}),
    _S.UNKNOWN: frozenset({_S.SUCCEEDED, _S.REQUIRES_CAPTURE, _S.FAILED}),
    _S.REQUIRES_CAPTURE: frozenset({_S.REQUIRES_CAPTURE, _S.SUCCEEDED, _S.CANCELED}),
    _S.SUCCEEDED: frozenset({_S.SUCCEEDED}),
}


@dataclass(frozen=True, slots=True)
class Approved:
    """The processor took the money. `fee_minor` is what it keeps."""

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


ProcessorAnswer = Approved | Refused


def may_become(current: PaymentStatus, wanted: PaymentStatus) -> bool:
    """Whether the step is one of the state machine's."""
    return wanted in TRANSITIONS.get(current, frozenset())


def sources_of(wanted: PaymentStatus) -> tuple[PaymentStatus, ...]:
    """The statuses from which `wanted` can be reached, for the condition of a write."""
    return tuple(status for status in PaymentStatus if may_become(status, wanted))


def status_after(answer: ProcessorAnswer) -> PaymentStatus:
    """Where an automatic payment stands after the processor's answer."""
    return _S.SUCCEEDED if isinstance(answer, Approved) else _S.FAILED


def absence_is_final(payment: Payment, now: datetime, longest: timedelta) -> bool:
    """Whether "not found" at the processor can no longer turn into a charge.

    The request may be on its way until its lease, the processor's timeout and a margin (together
    `longest`) have passed since the intent; only then may the reference be forbidden there and the
    payment be called failed.
    """
    return now >= to_datetime(payment.created_at) + longest
