"""The sandbox processor at the other end of a bad line.

A real processor is another system: it does what it is asked at one instant, whoever is still there
to hear the answer. So the simulated sandbox writes into its own table without yielding, and the
line in front of it loses requests and answers, delays them, and delivers some long after the
platform has given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from zlib import crc32

from runtime.core.errors import ProcessorUnknown
from runtime.core.fields import ProcessorMode
from runtime.payments.processors.events import DisputeState, ProcessorEvent, RefundState
from runtime.payments.processors.port import ChargeRequest, OperationRequest, ProcessorIdentity
from runtime.payments.processors.sandbox.connector import BEHAVIOURS, SandboxProcessor
from runtime.payments.rules import ChargeReply, ProcessorAnswer, Refused
from runtime.payments.transaction_models import TransactionType
from simulation.faults import PartnerRates
from simulation.scheduler import Scheduler

Answer = TypeVar("Answer")
NAME: Final = "sandbox"


_REFUSED: Final = Refused(None, "issuer_unavailable", "The card's bank cannot be reached")
REFUSED_CAPTURES: Final = 20
"""Of so many captures the sandbox refuses about one."""


def refuses_capture(reference: str) -> bool:
    """Whether the simulated sandbox refuses the capture with this reference."""
    return crc32(reference.encode()) % REFUSED_CAPTURES == 0


def _lost() -> BaseException:
    return ProcessorUnknown("nothing was heard of the sandbox")


@dataclass(frozen=True)
class SandboxLine:
    """A Processor (payments/processors/port.py): the sandbox, over a line with faults."""

    sandbox: SandboxProcessor
    scheduler: Scheduler
    rates: Callable[[], PartnerRates]

    @property
    def mode(self) -> ProcessorMode:
        """As the sandbox says."""
        return self.sandbox.mode

    @property
    def captures_in_parts(self) -> bool:
        """As the sandbox says."""
        return self.sandbox.captures_in_parts

    def identify(self) -> ProcessorIdentity:
        """The sandbox has one account, and needs no call to say so."""
        return self.sandbox.identify()

    def check_method(self, payment_method: str) -> None:
        """Known without a call."""
        self.sandbox.check_method(payment_method)

    def read_event(self, headers: Mapping[str, str], body: bytes, now: datetime) -> ProcessorEvent:
        """The sandbox learns of the event by the notification itself (sandbox_events.py)."""
        return self.sandbox.read_event(headers, body, now)

    def charge(self, request: ChargeRequest) -> ChargeReply:  # noqa: D102
        self.scheduler.sleep(BEHAVIOURS[request.payment_method].delay_seconds)
        return self._call("charge", lambda: self.sandbox.charge(request))

    def find(self, request: ChargeRequest) -> ChargeReply | None:  # noqa: D102
        return self._call("find", lambda: self.sandbox.find(request))

    def find_waiting(self, request: ChargeRequest, charge_id: str) -> ChargeReply:  # noqa: D102
        return self._call("find_waiting", lambda: self.sandbox.find_waiting(request, charge_id))

    def forbid(self, request: ChargeRequest) -> ChargeReply | None:  # noqa: D102
        return self._call("forbid", lambda: self.sandbox.forbid(request))

    def operate(self, request: OperationRequest) -> ProcessorAnswer:
        """As the sandbox does it; a few captures are refused, each however often it is asked for.

        The sandbox itself refuses no capture. Of one that was refused it knows nothing afterwards,
        as if it had never been asked.
        """
        if request.kind is TransactionType.CAPTURE and refuses_capture(request.reference):
            return self._call("operate", lambda: _REFUSED)
        return self._call("operate", lambda: self.sandbox.operate(request))

    def find_operation(self, request: OperationRequest) -> ProcessorAnswer | None:  # noqa: D102
        return self._call("find_operation", lambda: self.sandbox.find_operation(request))

    def find_dispute(self, dispute_id: str) -> DisputeState | None:  # noqa: D102
        return self._call("find_dispute", lambda: self.sandbox.find_dispute(dispute_id))

    def find_refund(self, reference: str, refund_id: str | None) -> RefundState | None:  # noqa: D102
        return self._call("find_refund", lambda: self.sandbox.find_refund(reference, refund_id))

    def recent_events(self, since: datetime) -> Iterator[ProcessorEvent]:  # noqa: D102
        events = self._call("recent_events", lambda: list(self.sandbox.recent_events(since)))
        return iter(events)

    def _call(self, what: str, act: Callable[[], Answer]) -> Answer:
        answer: Answer = self.scheduler.remote(f"{NAME} {what}", act, self.rates(), _lost)
        return answer
