"""What the platform asks of any payment processor. docs/processors.md shows how to add one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from runtime.core.fields import ProcessorMode
from runtime.payments.processors.events import DisputeState, ProcessorEvent, RefundState
from runtime.payments.rules import ProcessorAnswer
from runtime.payments.transaction_models import TransactionType

ProcessorConfig = Mapping[str, Any]
"""A merchant's `processor_config`, deciphered. Nobody logs it or keeps it longer than seconds."""


@dataclass(frozen=True, slots=True)
class ProcessorIdentity:
    """The owner of a connector's keys: the account, by the processor's id, and its mode."""

    account: str
    mode: ProcessorMode


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """A charge to make, at most once per `reference`, which is ours (the payment's id).

    `capture`: take the money at once; otherwise it is only authorized. `at`: when the payment was
    begun.
    """

    reference: str
    amount_minor: int
    currency: str
    payment_method: str = field(repr=False)
    at: datetime
    capture: bool = True
    statement_descriptor: str | None = None


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """A capture, refund or void of a charge, at most once per `reference` (the transaction's id).

    `charge_reference` is the payment's id, `charge_id` what the processor calls the charge.
    `final`: of a capture, whether the rest of the authorization is given back.
    """

    kind: TransactionType
    reference: str
    charge_reference: str
    charge_id: str
    amount_minor: int
    currency: str
    at: datetime
    final: bool = True


class Processor(Protocol):
    """A connector. Adding a processor is one module with these.

    Whatever has to do with the network raises ProcessorUnknown when the answer did not arrive, or
    says that the processor does not know yet: then only asking again can tell. A refusal is an
    answer (`Refused`), never an exception.
    """

    @property
    def mode(self) -> ProcessorMode:
        """The mode of the keys, as far as the keys themselves show it."""
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

    def charge(self, request: ChargeRequest) -> ProcessorAnswer:
        """Charge or authorize, once per reference."""
        ...

    def find(self, request: ChargeRequest) -> ProcessorAnswer | None:
        """What became of a charge's reference; None: never seen."""
        ...

    def forbid(self, request: ChargeRequest) -> ProcessorAnswer | None:
        """Make sure that a reference will never be charged.

        Returns None, or the answer if it had been charged after all.
        """
        ...

    def operate(self, request: OperationRequest) -> ProcessorAnswer:
        """Capture, refund or void, once per reference: sent again, it answers as before."""
        ...

    def find_operation(self, request: OperationRequest) -> ProcessorAnswer | None:
        """What became of a capture, refund or void; None: never seen."""
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
        """A notification, if the processor's own signature scheme says that it is genuine.

        `headers` have lower-case names. Raises BadSignature; MalformedJson for a genuine
        notification that cannot be read.
        """
        ...
