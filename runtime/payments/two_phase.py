"""Two commits around a processor's call: the one way in which a request has money moved there.

1. The idempotency claim and the intent, in one transaction; nothing has happened yet.
2. The processor, under a reference of ours: it does each reference once.
3. The outcome and the stored answer, in one transaction.

Dying between 1 and 3 leaves an intent whose lease runs out; the resolver finishes it, and its claim
with it, by asking the processor (payment_resolution.py). What happened at the processor is booked
whatever became of the claim.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Final, Protocol

from runtime.core.errors import (
    AlreadyClaimed,
    AmountTooLarge,
    InactiveMerchant,
    KeysUnavailable,
    PlatformError,
    ProcessorUnknown,
)
from runtime.core.observability import logger
from runtime.core.timestamps import to_epoch_seconds
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer, problem
from runtime.idempotency.claims import completed
from runtime.idempotency.models import IdempotencyRecord
from runtime.idempotency.rules import is_expired
from runtime.payments.answers import answer_repeat
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.rules import ProcessorAnswer
from runtime.payments.writes import OutcomeWrites

STORED_REFUSALS: Final = (AmountTooLarge, InactiveMerchant)
"""Refusals by a rule of business: the same key gets them again, whatever has changed since."""


class Step(Protocol):
    """One charge, capture, refund or void, as a request asks for it."""

    def begin(self, claim: IdempotencyRecord) -> None:
        """First commit. Raises AlreadyClaimed, and every refusal."""
        ...

    def ask(self) -> ProcessorAnswer:
        """The processor's answer. Raises ProcessorUnknown."""
        ...

    def mark_unknown(self) -> StoredAnswer:
        """Note that the answer did not arrive, so that the resolver may ask at once."""
        ...

    def settle(self, reply: ProcessorAnswer, claim: IdempotencyRecord) -> StoredAnswer:
        """Second commit: everything that the processor's answer changes."""
        ...


def run_once(
    step: Step, claim: IdempotencyRecord, call: Call, deps: PaymentDependencies
) -> StoredAnswer:
    """Have `step` done once for the key of `claim`; a repetition gets the first answer.

    Raises IdempotencyKeyReused, IdempotencyInFlight, Unavailable, and the step's refusals.
    """
    # Asked before any money moves: afterwards no key may be missing to write the answer down.
    deps.payments.prepare(claim)
    try:
        step.begin(claim)
    except AlreadyClaimed as earlier:
        if earlier.record.owner != claim.owner:
            return answer_repeat(earlier.record, call, deps)
    except PlatformError as refusal:
        return _refused(refusal, claim, call, deps)
    try:
        reply = step.ask()
    except ProcessorUnknown as lost:
        logger.warning("the processor's answer did not arrive", reason=str(lost))
        return step.mark_unknown()
    return step.settle(reply, claim)


def commit_outcome(
    writes: OutcomeWrites,
    answer: StoredAnswer,
    claim: IdempotencyRecord | None,
    *,
    token: str,
    deps: PaymentDependencies,
) -> None:
    """Second commit. Raises StaleWrite, naming the table whose row is not as it was read."""
    if claim is None:
        return deps.payments.record_outcome(writes, None, token=token)
    stored = completed(claim, answer, to_epoch_seconds(deps.outside.now()))
    try:
        deps.payments.record_outcome(writes, stored, token=token)
    except KeysUnavailable as error:
        # What happened is booked, keys or no keys; the payment itself answers repetitions.
        logger.error("the answer could not be enciphered and is not kept", detail=error.detail)
        deps.payments.record_outcome(writes, None, token=f"{token}-k")


def _refused(
    refusal: PlatformError, claim: IdempotencyRecord, call: Call, deps: PaymentDependencies
) -> StoredAnswer:
    """The claim is judged first: whoever was answered before gets that answer again."""
    if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise refusal
    before = deps.claims.read(claim.key)
    if before is not None and not is_expired(before, call.now):
        return answer_repeat(before, call, deps)
    if not isinstance(refusal, STORED_REFUSALS):
        raise refusal
    answer = problem(refusal, instance=call.path, request_id=call.caller.request_id)
    return _store(answer, claim, call.now, call, deps)


def _store(
    answer: StoredAnswer,
    claim: IdempotencyRecord,
    now: datetime,
    call: Call,
    deps: PaymentDependencies,
) -> StoredAnswer:
    try:
        deps.payments.store_refusal(completed(claim, answer, to_epoch_seconds(now)), now)
    except AlreadyClaimed as earlier:
        if earlier.record.owner != claim.owner:
            return answer_repeat(earlier.record, call, deps)
    return answer
