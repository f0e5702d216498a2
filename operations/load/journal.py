"""What the API answered during a load test: the facts that must be found in it afterwards."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from operations.load.requests import (
    INSUFFICIENT_FUNDS,
    Operation,
    Payment,
    Reply,
    Request,
    did_as_asked,
    is_final,
)

RUN, KEY = "load_run", "load_key"
"""Metadata of everything that a run creates: the run's id, and the idempotency key."""
REQUIRES_CAPTURE: Final = "requires_capture"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
CANCELED: Final = "canceled"
_CHARGES: Final = (Operation.PAYMENT, Operation.DECLINED, Operation.AUTHORIZATION)
_OPERATIONS: Final = (Operation.CAPTURE, Operation.CANCELLATION, Operation.REFUND)


@dataclass(frozen=True)
class Transfer:
    """A transfer that was answered with 201. `amount` in minor units."""

    id: str
    key: str
    source: str
    target: str
    amount: int


@dataclass
class Journal:
    """Facts from answers. `open_requests`: those whose outcome is not known yet.

    `unexpected` and `differing` describe wrong answers, a line each.
    """

    payments: dict[str, Payment] = field(default_factory=dict)
    transfers: dict[str, Transfer] = field(default_factory=dict)
    open_requests: list[Request] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    answers: int = 0
    repetitions: int = 0
    _idle: dict[str, list[Payment]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, request: Request, reply: Reply | None) -> None:
        """Record what became of a request; its payment is free again once that is known."""
        with self._lock:
            if reply is None or not is_final(reply):
                if request.key is not None:  # a read that failed leaves nothing to find out
                    self.open_requests.append(request)
                return
            self.answers += 1
            if did_as_asked(request, reply):
                self._done(request, reply.body)
            elif (request.operation, reply.code) != (Operation.TRANSFER, INSUFFICIENT_FUNDS):
                self.unexpected.append(f"{request}: {reply.said}")
            if request.operation in _OPERATIONS and request.payment is not None:
                self._rest(request.payment)

    def repeated(self, request: Request, first: Reply, again: Reply) -> None:
        """Compare the answer to a repeated request with the first one."""
        with self._lock:
            self.repetitions += 1
            if (first.status, first.text) != (again.status, again.text):
                self.differing.append(
                    f"{request}: first {first.said} {first.text[:200]}, "
                    f"then {again.said} {again.text[:200]}"
                )

    def take(self, status: str, dice: Random) -> Payment | None:
        """A payment that no other client operates on; None if there is none in this status."""
        with self._lock:
            idle = self._idle.get(status)
            if not idle:
                return None
            at = dice.randrange(len(idle))
            idle[at], idle[-1] = idle[-1], idle[at]
            return idle.pop()

    def any_payment(self, dice: Random) -> Payment | None:
        """A payment to read, whoever operates on it."""
        with self._lock:
            for status in (SUCCEEDED, REQUIRES_CAPTURE):
                if idle := self._idle.get(status):
                    return dice.choice(idle)
        return None

    def _done(self, request: Request, body: Any) -> None:
        if request.operation in _CHARGES:
            self._charged(request, body)
        elif request.operation is Operation.TRANSFER:
            self._transferred(request, body)
        elif request.operation in _OPERATIONS:
            self._operated(request, body)
        elif request.operation is Operation.READ_PAYMENT and request.payment is not None:
            self._expect(request, body, id=request.payment.id, amount=request.payment.amount)

    def _charged(self, request: Request, body: Any) -> None:
        assert request.key is not None
        assert request.body is not None
        if request.operation is Operation.DECLINED:
            charged = Payment(str(body.get("payment_id")), request.key, request.amount, "", FAILED)
        else:
            automatic = request.operation is Operation.PAYMENT
            status = SUCCEEDED if automatic else REQUIRES_CAPTURE
            captured = request.amount if automatic else 0
            self._expect(
                request, body, amount=request.amount, amount_captured=captured, status=status
            )
            charged = Payment(
                str(body.get("id")), request.key, request.amount, "", status, captured
            )
        charged.currency = request.body["currency"]
        if charged.id in self.payments:
            self.unexpected.append(f"{request}: answered with {charged.id} of another request")
        self.payments[charged.id] = charged
        self._rest(charged)

    def _transferred(self, request: Request, body: Any) -> None:
        assert request.key is not None
        assert request.body is not None
        self._expect(request, body, amount=request.amount, status="processed")
        source, target = request.body["from_account_id"], request.body["to_account_id"]
        moved = Transfer(str(body.get("id")), request.key, source, target, request.amount)
        self.transfers[moved.id] = moved

    def _operated(self, request: Request, body: Any) -> None:
        payment = request.payment
        assert payment is not None
        if request.operation is Operation.CAPTURE:
            payment.captured += request.amount
            payment.status = SUCCEEDED
        elif request.operation is Operation.REFUND:
            payment.refunded += request.amount
        else:
            payment.status = CANCELED
        self._expect(
            request,
            body,
            status=payment.status,
            amount_captured=payment.captured,
            amount_refunded=payment.refunded,
        )

    def _expect(self, request: Request, body: Any, **members: Any) -> None:
        for name, value in members.items():
            found = body.get(name) if isinstance(body, dict) else None
            if found != value:
                self.unexpected.append(f"{request}: {name} is {found}, not {value}")

    def _rest(self, payment: Payment) -> None:
        """Let the next client operate on it, if anything can still be done with it."""
        refundable = payment.status == SUCCEEDED and payment.refunded < payment.captured
        if refundable or payment.status == REQUIRES_CAPTURE:
            self._idle.setdefault(payment.status, []).append(payment)
