"""The two commits around a processor's call. Every request that moves money there uses them.

1. Begin: the idempotency claim and the intent, in one transaction. No money has moved.
2. The processor is called, under our reference. It executes each reference once.
3. Settle: the outcome and the stored answer, in one transaction.

If a request dies between 1 and 3, its lease expires, and the resolver asks the processor and
finishes the intent and the claim (resolution/resolver.py). Whatever happened at the processor is
booked, regardless of the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Final, TypeVar

from runtime.core.errors import (
    AlreadyClaimed,
    AmountTooLarge,
    InactiveMerchant,
    KeysUnavailable,
    PlatformError,
    ProcessorUnknown,
)
from runtime.core.log_messages import ANSWER_LOST, CHARGE
from runtime.core.observability import logger
from runtime.core.timestamps import to_epoch_seconds
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer, problem
from runtime.idempotency.claims import completed
from runtime.idempotency.models import ClaimState, IdempotencyRecord
from runtime.idempotency.rules import is_expired
from runtime.payments.answers import answer_repeat
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment
from runtime.payments.rules import ProcessorAnswer, Refused
from runtime.payments.transaction_models import Transaction
from runtime.payments.writes import OutcomeWrites

STORED_REFUSALS: Final = (AmountTooLarge, InactiveMerchant)
"""Business rule errors, which are stored: the same key gets them again."""

Begun = TypeVar("Begun")


def begin_once(
    begin: Callable[[], Begun], claim: IdempotencyRecord, call: Call, deps: PaymentDependencies
) -> Begun | StoredAnswer:
    """First commit: what `begin` returns, or the answer if the request ends here.

    A repeated request gets the first request's answer. Raises IdempotencyKeyReused,
    IdempotencyInFlight, Unavailable, and the refusals of `begin` that are not stored.
    """
    # Before any money moves, so that storing the answer cannot fail for lack of a key.
    deps.payments.prepare(claim)
    try:
        return begin()
    except AlreadyClaimed as earlier:
        return answer_repeat(earlier.record, call, deps)
    except PlatformError as refusal:
        return _refused(refusal, claim, call, deps)


@contextmanager
def committed_once(claim: IdempotencyRecord) -> Iterator[None]:
    """Treat a first commit that `claim` itself has already made as a success."""
    try:
        yield
    except AlreadyClaimed as earlier:
        if earlier.record.owner != claim.owner:
            raise


def log_lost_answer(row: Payment | Transaction, lost: ProcessorUnknown) -> None:
    """Log that the outcome is unknown until the resolver has asked the processor."""
    logger.warning(
        ANSWER_LOST,
        type=row.type if isinstance(row, Transaction) else CHARGE,
        payment=row.payment_id if isinstance(row, Transaction) else row.id,
        request_id=row.request_id,
        reason=str(lost),
    )


def log_declined(row: Payment | Transaction, reply: ProcessorAnswer, request_id: str) -> None:
    """Log a charge or an operation that the processor refused; nothing for an approved one."""
    if isinstance(reply, Refused):
        logger.info(
            "declined",
            payment=row.payment_id if isinstance(row, Transaction) else row.id,
            decline_code=reply.decline_code,
            request_id=request_id,
        )


def open_claim(
    claim_key: str | None, resource_id: str, deps: PaymentDependencies
) -> IdempotencyRecord | None:
    """The idempotency claim that awaits the answer for this resource."""
    claim = deps.claims.read(claim_key) if claim_key is not None else None
    if claim is None or claim.resource_id != resource_id or claim.state is ClaimState.COMPLETED:
        return None
    return claim


Answered = tuple[IdempotencyRecord | None, StoredAnswer]
"""An answer, and the claim that it is stored under, if any."""


def commit_outcome(
    writes: OutcomeWrites, *answers: Answered, token: str, deps: PaymentDependencies
) -> None:
    """Second commit. Raises StaleWrite with the table whose row was changed."""
    at = to_epoch_seconds(deps.outside.now())
    stored = [completed(claim, answer, at) for claim, answer in answers if claim is not None]
    try:
        deps.payments.record_outcome(writes, stored, token=token)
    except KeysUnavailable as error:
        if not stored:
            raise
        # The outcome is booked without the answer; repeated requests get the payment's state.
        logger.error("the answer could not be encrypted and is not kept", detail=error.detail)
        deps.payments.record_outcome(writes, (), token=f"{token}-k")


def _refused(
    refusal: PlatformError, claim: IdempotencyRecord, call: Call, deps: PaymentDependencies
) -> StoredAnswer:
    """The answer to a refused request: its earlier answer, if it has one, or the refusal."""
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
        # An open claim of its own is that of a first commit whose answer was lost, and which was
        # done after the same commit, sent again, had been refused.
        is_refusal = earlier.record.state is ClaimState.COMPLETED
        if earlier.record.owner != claim.owner or not is_refusal:
            return answer_repeat(earlier.record, call, deps)
    return answer
