"""The port that every payment processor implements. docs/processors.md shows how to add one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from runtime.core.fields import ProcessorMode
from runtime.payments.processors.events import DisputeState, ProcessorEvent, RefundState
from runtime.payments.rules import ChargeReply, ProcessorAnswer
from runtime.payments.transaction_models import TransactionType

ProcessorConfig = Mapping[str, Any]
"""A merchant's `processor_config`, decrypted. It is never logged, and kept for minutes at most."""


@dataclass(frozen=True, slots=True)
class ProcessorIdentity:
    """The owner of a connector's keys: the account, by the processor's id, and its mode."""

    account: str
    mode: ProcessorMode


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """A charge, made at most once per `reference` (the payment's id).

    `capture`: capture immediately; otherwise only authorize. `at`: when the payment was begun.
    `shop_reference`: the shop's own name for the payment, to be shown with it at the processor.
    `return_url`: where the customer comes back to, if the processor has to send it somewhere.
    """

    reference: str
    amount_minor: int
    currency: str
    payment_method: str = field(repr=False)
    at: datetime
    capture: bool = True
    statement_descriptor: str | None = None
    shop_reference: str | None = None
    return_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """A capture, refund or void, made at most once per `reference` (the transaction's id).

    `charge_reference`: the payment's id. `charge_id`: the processor's id of the charge. `final`:
    whether a capture releases the rest of the authorization. `abandoned`: the charge is voided
    because its customer did not act.
    """

    kind: TransactionType
    reference: str
    charge_reference: str
    charge_id: str
    amount_minor: int
    currency: str
    at: datetime
    final: bool = True
    abandoned: bool = False


class Processor(Protocol):
    """A connector to a payment processor, with the keys of one account.

    Methods that call the processor raise ProcessorUnknown if the answer does not arrive, or if the
    processor has no final answer yet. The outcome is then unknown until the processor is asked
    again. A refusal is an answer (`Refused`), never an exception.
    """

    @property
    def mode(self) -> ProcessorMode:
        """The mode of the keys, according to the keys themselves."""
        ...

    def identify(self) -> ProcessorIdentity:
        """The owner of these keys, as the processor reports it.

        Raises InvalidValue (param `processor_config`) for keys that the processor rejects, or whose
        mode differs from the one that they show.
        """
        ...

    @property
    def captures_in_parts(self) -> bool:
        """Whether an authorization may be captured more than once."""
        ...

    def check_method(self, payment_method: str) -> None:
        """Raises InvalidValue for a payment method that this processor can never charge."""
        ...

    def charge(self, request: ChargeRequest) -> ChargeReply:
        """Charge or authorize, once per reference."""
        ...

    def find(self, request: ChargeRequest) -> ChargeReply | None:
        """The reply to a charge, by its reference; None if the processor has not seen it."""
        ...

    def find_waiting(self, request: ChargeRequest, charge_id: str) -> ChargeReply:
        """What has become of a charge that required an action, by the processor's id.

        A refusal is final: the processor can no longer approve the charge, whatever the customer
        does.
        """
        ...

    def forbid(self, request: ChargeRequest) -> ChargeReply | None:
        """Ensure that a reference will never be charged.

        Returns None, or the reply if the reference has already arrived.
        """
        ...

    def operate(self, request: OperationRequest) -> ProcessorAnswer:
        """Capture, refund or void, once per reference. A repeated request has the same answer."""
        ...

    def find_operation(self, request: OperationRequest) -> ProcessorAnswer | None:
        """The outcome of a capture, refund or void; None if the processor has not seen it."""
        ...

    def find_dispute(self, dispute_id: str) -> DisputeState | None:
        """The current state of a dispute, by the processor's id; None if it does not exist."""
        ...

    def find_refund(self, reference: str, refund_id: str | None) -> RefundState | None:
        """The current state of a refund, by our transaction id and the processor's id.

        None if the processor has no such refund.
        """
        ...

    def recent_events(self, since: datetime) -> Iterator[ProcessorEvent]:
        """The processor's own events about disputes and refunds since then.

        Each has the id of the notification that was, or should have been, sent for it.
        """
        ...

    def read_event(self, headers: Mapping[str, str], body: bytes, now: datetime) -> ProcessorEvent:
        """Verify a notification with the processor's signature scheme, and parse it.

        `headers` have lower-case names. Raises BadSignature, and MalformedJson for a verified
        notification that cannot be parsed.
        """
        ...
