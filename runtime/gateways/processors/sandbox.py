"""The sandbox processor: deterministic by token, with a memory outside the Lambda.

Like a real processor it remembers charges by our reference, so a repeated request is answered with
the first one's result, and a lost answer can be asked for later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from runtime.domain.ids import new_id
from runtime.domain.instants import to_epoch_seconds, to_instant
from runtime.domain.money import fee_of
from runtime.domain.payments import Approved, ProcessorAnswer, Refused
from runtime.errors import InvalidValue, ProcessorUnknown
from runtime.gateways.processors.port import ChargeRequest
from runtime.models.sandbox_charge import SandboxCharge

SLOW_SECONDS = 2.0
MEMORY = timedelta(days=90)
_APPROVED: Final = "approved"
_DECLINED: Final = "declined"
_FORBIDDEN: Final = "forbidden"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a token does: whether the charge arrives at the processor, and its answer at us."""

    decline_code: str | None = None
    text: str = "Approved"
    reaches_processor: bool = True
    answer_arrives: bool = True
    delay_seconds: float = 0.0


BEHAVIOURS: Final[Mapping[str, Behaviour]] = {
    "tok_approved": Behaviour(),
    "tok_declined": Behaviour("generic_decline", "The card was declined"),
    "tok_insufficient_funds": Behaviour("insufficient_funds", "The card has insufficient funds"),
    "tok_expired_card": Behaviour("expired_card", "The card has expired"),
    "tok_fraud": Behaviour("fraudulent", "The charge looks fraudulent"),
    "tok_timeout": Behaviour(answer_arrives=False),
    "tok_timeout_not_charged": Behaviour(reaches_processor=False, answer_arrives=False),
    "tok_error": Behaviour(answer_arrives=False),
    "tok_slow": Behaviour(delay_seconds=SLOW_SECONDS),
    "tok_refund_fails": Behaviour(),
}
"""`tok_error` answers 5xx though the charge was made; asked again by reference, it says so."""


class ChargeMemory(Protocol):
    """Where the sandbox remembers."""

    def remember(self, charge: SandboxCharge, *, token: str) -> SandboxCharge:
        """Store `charge`, or return what was remembered for its reference before."""
        ...

    def recall(self, reference: str) -> SandboxCharge | None:
        """What is remembered for a reference."""
        ...


@dataclass(frozen=True)
class SandboxProcessor:
    """A Processor (port.py). Its fee is a share in basis points plus a fixed part (minor units)."""

    memory: ChargeMemory
    fee_basis_points: int
    fee_fixed_minor: int
    sleep: Callable[[float], None] = time.sleep

    def check_method(self, payment_method: str) -> None:
        """Raises InvalidValue for a token that the sandbox does not know."""
        if payment_method not in BEHAVIOURS:
            known = ", ".join(BEHAVIOURS)
            raise InvalidValue(
                f"the sandbox processor does not know this token; it knows {known}",
                param="payment_method",
            )

    def charge(self, request: ChargeRequest) -> ProcessorAnswer:
        """Charge, or answer as before for a known reference."""
        behaviour = BEHAVIOURS[request.payment_method]
        self.sleep(behaviour.delay_seconds)
        if not behaviour.reaches_processor:
            raise ProcessorUnknown("the sandbox did not receive the request")
        remembered = self._remember(request, self._new_charge(request, behaviour))
        if not behaviour.answer_arrives:
            raise ProcessorUnknown("the sandbox's answer was lost")
        return _answer(remembered)

    def find(self, reference: str) -> ProcessorAnswer | None:
        """What became of a reference."""
        remembered = self.memory.recall(reference)
        return _answer(remembered) if remembered else None

    def forbid(self, request: ChargeRequest) -> ProcessorAnswer | None:
        """Remember the reference as one that must not be charged, unless it was."""
        tombstone = self._row(request, _FORBIDDEN, 0, "canceled", "Canceled before it was charged")
        remembered = self._remember(request, tombstone)
        return None if remembered.state == _FORBIDDEN else _answer(remembered)

    def _remember(self, request: ChargeRequest, charge: SandboxCharge) -> SandboxCharge:
        return self.memory.remember(charge, token=new_id("sbt", request.at))

    def _new_charge(self, request: ChargeRequest, behaviour: Behaviour) -> SandboxCharge:
        if behaviour.decline_code is not None:
            return self._row(request, _DECLINED, 0, behaviour.decline_code, behaviour.text)
        fee = fee_of(
            request.amount_minor,
            basis_points=self.fee_basis_points,
            fixed_minor=self.fee_fixed_minor,
        )
        return self._row(request, _APPROVED, fee, _APPROVED, behaviour.text)

    def _row(
        self, request: ChargeRequest, state: str, fee: int, code: str, text: str
    ) -> SandboxCharge:
        return SandboxCharge(
            reference=request.reference,
            state=state,
            processor_id=new_id("sbx", request.at),
            amount=request.amount_minor,
            currency=request.currency,
            fee=fee,
            response_code=code,
            response_text=text,
            created_at=to_instant(request.at),
            expires_at=_expiry(request.at),
        )


def _expiry(at: datetime) -> int:
    return to_epoch_seconds(at + MEMORY)


def _answer(charge: SandboxCharge) -> ProcessorAnswer:
    if charge.state == _APPROVED:
        return Approved(charge.processor_id, charge.fee, charge.response_code, charge.response_text)
    return Refused(charge.processor_id, charge.response_code, charge.response_text)
