"""The sandbox processor: the token determines the outcome, and its state is in a table.

Like a real processor, it stores what it did under our reference. So a repeated request has the same
answer, and a lost answer can be queried later. It also enforces its own ceilings for captures and
refunds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from runtime.core.errors import InvalidValue, ProcessorUnknown
from runtime.core.fields import ProcessorMode
from runtime.core.money import fee_of
from runtime.core.outside import Outside
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.payments.processors.events import DisputeState, ProcessorEvent, RefundState
from runtime.payments.processors.port import (
    ChargeRequest,
    OperationRequest,
    ProcessorConfig,
    ProcessorIdentity,
)
from runtime.payments.processors.sandbox.actions import SECRET_BYTES, required_action
from runtime.payments.processors.sandbox.disputes import (
    DisputeMemory,
    dispute_reference,
    dispute_state,
    hint_about,
    refund_state,
    remember,
)
from runtime.payments.processors.sandbox.events import check_secret, hint_of, read_sandbox_event
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.repository import (
    AUTHORIZED,
    CAPTURED,
    DECLINED,
    REFUND,
    VOIDED,
    WAITING,
    Effect,
)
from runtime.payments.rules import (
    CANCELED_AT_PROCESSOR,
    Approved,
    ChargeReply,
    ProcessorAnswer,
    Refused,
)
from runtime.payments.transaction_models import TransactionType

SLOW_SECONDS = 2.0
MEMORY = timedelta(days=90)
SHARED_ACCOUNT: Final = "shared"
"""The account of a sandbox that is not built for a specific merchant."""
IDENTITY: Final = ProcessorIdentity("sandbox", "test")
"""Each merchant has exactly one sandbox account, whatever its keys; they all have this name."""
_FORBIDDEN: Final = "forbidden"
_APPROVED_STATES: Final = frozenset({AUTHORIZED, CAPTURED, VOIDED})
_EFFECTS: Final[Mapping[TransactionType, Effect]] = {
    TransactionType.CAPTURE: "capture",
    TransactionType.REFUND: "refund",
    TransactionType.VOID: "void",
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a token does: the answer, and whether the request and the answer arrive."""

    decline_code: str | None = None
    text: str = "Approved"
    reaches_processor: bool = True
    answer_arrives: bool = True
    delay_seconds: float = 0.0
    refunds_fail: bool = False
    requires_action: bool = False


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
    "tok_refund_fails": Behaviour(refunds_fail=True),
    "tok_requires_action": Behaviour(text="Waits for the customer", requires_action=True),
}
"""`tok_error` returns 5xx although the charge was made, which a query by reference shows."""


class ChargeMemory(DisputeMemory, Protocol):
    """The sandbox's store."""

    def changed(self, account: str, since: str) -> Iterator[str]:
        """References of an account's disputes and returned refunds that changed since then."""
        ...

    def remember(self, charge: SandboxCharge, *, token: str) -> SandboxCharge:
        """Store `charge`, or return the row that is already stored for its reference."""
        ...

    def operate(
        self, operation: SandboxCharge, effect: Effect, *, token: str
    ) -> SandboxCharge | None:
        """Apply the operation, or return its stored row; None if the charge does not allow it."""
        ...


@dataclass(frozen=True)
class SandboxProcessor:
    """A Processor (port.py). The fee is a rate in basis points plus a fixed amount (minor units).

    `config` gives the merchant's `processor_config`; only notifications need it. `account` is the
    account at the sandbox: each merchant has its own, identified by the merchant's id.
    """

    memory: ChargeMemory
    fee_basis_points: int
    fee_fixed_minor: int
    outside: Outside
    config: Callable[[], ProcessorConfig] = dict
    account: str = SHARED_ACCOUNT

    @property
    def mode(self) -> ProcessorMode:
        """Always test mode: the sandbox does not move money."""
        return IDENTITY.mode

    def identify(self) -> ProcessorIdentity:
        """The merchant's only account. Raises InvalidValue for too short a webhook secret."""
        check_secret(self.config())
        return IDENTITY

    @property
    def captures_in_parts(self) -> bool:
        """The sandbox supports several captures of an authorization."""
        return True

    def check_method(self, payment_method: str) -> None:
        """Raises InvalidValue for a token that the sandbox does not know."""
        if payment_method not in BEHAVIOURS:
            known = ", ".join(BEHAVIOURS)
            raise InvalidValue(
                f"payment_method is not a sandbox token; use one of {known}",
                param="payment_method",
            )

    def charge(self, request: ChargeRequest) -> ChargeReply:
        """Charge or authorize, or answer as before for a known reference."""
        behaviour = BEHAVIOURS[request.payment_method]
        self.outside.sleep(behaviour.delay_seconds)
        if not behaviour.reaches_processor:
            raise ProcessorUnknown("the sandbox did not receive the request")
        remembered = self._remember(self._new_charge(request, behaviour), request.at)
        if not behaviour.answer_arrives:
            raise ProcessorUnknown("the sandbox's answer was lost")
        return charge_reply(remembered)

    def find(self, request: ChargeRequest) -> ChargeReply | None:
        """The reply to a charge. A forbidden reference was never charged."""
        remembered = self.memory.recall(request.reference)
        if remembered is None or remembered.state == _FORBIDDEN:
            return None
        return charge_reply(remembered)

    def find_waiting(self, request: ChargeRequest, charge_id: str) -> ChargeReply:
        """What has become of the charge; a voided one cannot be approved any more."""
        remembered = self.memory.recall(request.reference)
        if remembered is None:
            raise ProcessorUnknown(f"the sandbox has no charge {charge_id}")
        if remembered.state == VOIDED:
            return Refused(charge_id, CANCELED_AT_PROCESSOR, "The charge was canceled")
        return charge_reply(remembered)

    def forbid(self, request: ChargeRequest) -> ChargeReply | None:
        """Store the reference as forbidden, unless it was charged."""
        tombstone = self._row(request, _FORBIDDEN, "canceled", "Canceled before it was charged")
        remembered = self._remember(tombstone, request.at)
        return None if remembered.state == _FORBIDDEN else charge_reply(remembered)

    def operate(self, request: OperationRequest) -> ProcessorAnswer:
        """Capture, refund or void, or answer as before for a known reference."""
        token = self.outside.new_id("sbt", request.at)
        operation = self._of_account(self._new_operation(request))
        done = self.memory.operate(operation, _effect_of(request), token=token)
        if done is None:
            code = f"{request.kind}_refused"
            text = f"The charge does not allow this {request.kind}"
            done = self._remember(self._operation_row(request, DECLINED, code, text), request.at)
        return _answer(done)

    def find_operation(self, request: OperationRequest) -> ProcessorAnswer | None:
        """The outcome of a capture, refund or void."""
        remembered = self.memory.recall(request.reference)
        return _answer(remembered) if remembered else None

    def find_dispute(self, dispute_id: str) -> DisputeState | None:
        """The stored state of a dispute of this account."""
        row = self.memory.recall(dispute_reference(self.account, dispute_id))
        return None if row is None else dispute_state(row)

    def find_refund(self, reference: str, refund_id: str | None) -> RefundState | None:
        """The stored state of a refund of this account; only the reference is used."""
        row = self.memory.recall(reference)
        if row is None or row.kind != REFUND or row.account not in (None, self.account):
            return None
        return refund_state(row)

    def recent_events(self, since: datetime) -> Iterator[ProcessorEvent]:
        """Events about disputes and returned refunds of this account since then."""
        for reference in self.memory.changed(self.account, to_timestamp(since)):
            row = self.memory.recall(reference)
            hint = hint_about(row) if row is not None else None
            if hint is not None:
                yield hint

    def read_event(self, headers: Mapping[str, str], body: bytes, now: datetime) -> ProcessorEvent:
        """Verify a notification that an operator signed with the merchant's `webhook_secret`.

        The sandbox stores its content, and answers later queries with it.
        """
        event = read_sandbox_event(headers, body, self.config(), now)
        remember(event, self.account, self.memory, now, MEMORY, self.outside)
        return hint_of(event)

    def _remember(self, row: SandboxCharge, at: datetime) -> SandboxCharge:
        return self.memory.remember(self._of_account(row), token=self.outside.new_id("sbt", at))

    def _of_account(self, row: SandboxCharge) -> SandboxCharge:
        return row.model_copy(update={"account": self.account})

    def _new_charge(self, request: ChargeRequest, behaviour: Behaviour) -> SandboxCharge:
        if behaviour.decline_code is not None:
            return self._row(request, DECLINED, behaviour.decline_code, behaviour.text)
        if behaviour.requires_action:
            return self._new_waiting(request, behaviour)
        state = CAPTURED if request.capture else AUTHORIZED
        return self._row(request, state, "approved", behaviour.text).model_copy(
            update={
                "fee": self._fee(request.amount_minor) if request.capture else 0,
                "capturable": 0 if request.capture else request.amount_minor,
                "refundable": request.amount_minor if request.capture else 0,
                "refunds_fail": True if behaviour.refunds_fail else None,
            }
        )

    def _new_waiting(self, request: ChargeRequest, behaviour: Behaviour) -> SandboxCharge:
        return self._row(request, WAITING, WAITING, behaviour.text).model_copy(
            update={
                "fee": self._fee(request.amount_minor) if request.capture else 0,
                "action_secret": self.outside.entropy(SECRET_BYTES).hex(),
                "captures": request.capture,
                "return_url": request.return_url,
            }
        )

    def _new_operation(self, request: OperationRequest) -> SandboxCharge:
        done = self._operation_row(request, CAPTURED, "approved", "Approved")
        if request.kind is not TransactionType.CAPTURE:
            return done
        return done.model_copy(update={"fee": self._fee(request.amount_minor)})

    def _row(self, request: ChargeRequest, state: str, code: str, text: str) -> SandboxCharge:
        return SandboxCharge(
            reference=request.reference,
            state=state,
            processor_id=self.outside.new_id("sbx", request.at),
            amount=request.amount_minor,
            currency=request.currency,
            response_code=code,
            response_text=text,
            created_at=to_timestamp(request.at),
            expires_at=_expiry(request.at),
        )

    def _operation_row(
        self, request: OperationRequest, state: str, code: str, text: str
    ) -> SandboxCharge:
        return SandboxCharge(
            reference=request.reference,
            kind=request.kind,
            charge=request.charge_reference,
            state=state,
            processor_id=self.outside.new_id("sbx", request.at),
            amount=request.amount_minor,
            currency=request.currency,
            response_code=code,
            response_text=text,
            created_at=to_timestamp(request.at),
            expires_at=_expiry(request.at),
        )

    def _fee(self, amount_minor: int) -> int:
        return fee_of(
            amount_minor, basis_points=self.fee_basis_points, fixed_minor=self.fee_fixed_minor
        )


def _effect_of(request: OperationRequest) -> Effect:
    if request.kind is TransactionType.CAPTURE and request.final:
        return "final_capture"
    return _EFFECTS[request.kind]


def _expiry(at: datetime) -> int:
    return to_epoch_seconds(at + MEMORY)


def charge_reply(charge: SandboxCharge) -> ChargeReply:
    """The reply to a charge, from its row."""
    return required_action(charge) if charge.state == WAITING else _answer(charge)


def _answer(charge: SandboxCharge) -> ProcessorAnswer:
    if charge.state in _APPROVED_STATES:
        return Approved(charge.processor_id, charge.fee, charge.response_code, charge.response_text)
    return Refused(charge.processor_id, charge.response_code, charge.response_text)
