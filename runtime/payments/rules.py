"""The state machine of payments, and the processor's answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from runtime.payments.models import PaymentStatus

_S = PaymentStatus

TRANSITIONS: Final[Mapping[PaymentStatus, frozenset[PaymentStatus]]] = {
    _S.PENDING: frozenset({_S.PROCESSING, _S.CANCELED}),
    _S.PROCESSING: frozenset(
        {_S.SUCCEEDED, _S.REQUIRES_CAPTURE, _S.FAILED, _S.UNKNOWN, _S.REQUIRES_ACTION}
    ),
    _S.UNKNOWN: frozenset({_S.SUCCEEDED, _S.REQUIRES_CAPTURE, _S.FAILED, _S.REQUIRES_ACTION}),
    _S.REQUIRES_ACTION: frozenset(
        {_S.REQUIRES_ACTION, _S.SUCCEEDED, _S.REQUIRES_CAPTURE, _S.FAILED, _S.CANCELED}
    ),
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
"""Decline codes that may succeed later. All others (expired_card, fraudulent, …) are permanent."""


@dataclass(frozen=True, slots=True)
class Approved:
    """The processor executed the request. `fee_minor`: its fee on a captured amount.

    `processor_id`: the processor's id of the charge, capture, refund or void.
    """

    processor_id: str
    fee_minor: int
    response_code: str = "approved"
    response_text: str = "Approved"


@dataclass(frozen=True, slots=True)
class Refused:
    """The processor refused. `decline_code` is stable; `response_text` is for people."""

    processor_id: str | None
    decline_code: str
    response_text: str

    @property
    def is_retriable(self) -> bool:
        """Whether a new request with the same card may succeed later."""
        return self.decline_code in RETRIABLE_DECLINES


ProcessorAnswer = Approved | Refused


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The charge waits for its customer, usually to authenticate (3-D Secure). Nothing is charged.

    `type`: what has to be done, such as `redirect_to_url`. `url`: where; one that begins with a
    slash is a path of this API. `client_secret`: for the processor's library in the customer's
    browser. Both let their holder act for the customer, so they are never logged.
    """

    processor_id: str
    type: str
    url: str | None = field(default=None, repr=False)
    client_secret: str | None = field(default=None, repr=False)


ChargeReply = ProcessorAnswer | ActionRequired
"""What a processor replies to a charge: the outcome, or that the customer has to act first."""

CANCELED_AT_PROCESSOR: Final = "canceled"
"""The decline code of a charge that was canceled at the processor before it was approved."""


def may_become(current: PaymentStatus, wanted: PaymentStatus) -> bool:
    """Whether the transition is allowed."""
    return wanted in TRANSITIONS.get(current, frozenset())


def sources_of(wanted: PaymentStatus) -> tuple[PaymentStatus, ...]:
    """The statuses with a transition to `wanted`, for the condition of a write."""
    return tuple(status for status in PaymentStatus if may_become(status, wanted))


def status_after(
    answer: ProcessorAnswer, *, captures: bool = True, waited: bool = False
) -> PaymentStatus:
    """The status of a payment after the processor's answer to its charge.

    `captures`: the charge is captured immediately, not only authorized. `waited`: it waited for its
    customer; one that was canceled meanwhile was not declined.
    """
    if not isinstance(answer, Approved):
        canceled = waited and answer.decline_code == CANCELED_AT_PROCESSOR
        return _S.CANCELED if canceled else _S.FAILED
    return _S.SUCCEEDED if captures else _S.REQUIRES_CAPTURE
