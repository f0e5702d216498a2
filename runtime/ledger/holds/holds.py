"""Posting and voiding holds. A hold is posted, voided or expired exactly once.

Who may not transfer from or to an account may not end a hold on it either: holds that touch
accounts other than ordinary ones are for operators, and expire by the schedule.

Each attempt is one strongly consistent read of the hold and one conditional commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from runtime.core.errors import (
    AlreadyCanceled,
    AlreadyClaimed,
    AlreadyPosted,
    Conflict,
    ExceedsHold,
    HoldExpired,
    InvalidValue,
    PlatformError,
    Unavailable,
)
from runtime.core.fields import Timestamp
from runtime.core.ids import created_at
from runtime.core.timestamps import to_epoch_seconds
from runtime.http.caller import require_found
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer, problem, success
from runtime.idempotency.claims import completed, earlier_answer, new_claim, stored_answer
from runtime.idempotency.models import IdempotencyRecord
from runtime.idempotency.optimistic_update import retry_stale
from runtime.ledger.movements import Operation
from runtime.ledger.repository import Resolution
from runtime.ledger.rules import (
    may_become,
    movements_in_commit,
    movements_of_post,
    movements_of_release,
)
from runtime.ledger.transfers.api import PostRequest
from runtime.ledger.transfers.models import Transfer, TransferStatus
from runtime.ledger.transfers.transfer_builder import transfer_answer
from runtime.ledger.transfers.transfers import TransferDependencies

MAX_ATTEMPTS = 5
"""Attempts at one hold. A resolved hold never changes again, so two are normally enough."""


def post_transfer(
    transfer_id: str, request: PostRequest, call: Call, deps: TransferDependencies
) -> StoredAnswer:
    """Post a hold, or a part of it and release the rest: 200.

    Raises NotFound, Forbidden, AlreadyPosted, AlreadyCanceled, HoldExpired, InvalidValue.
    ExceedsHold is stored as the request's answer.
    """

    def posted(hold: Transfer, operation: Operation) -> Resolution:
        amount = _amount_to_post(hold, request)
        after = resolved(hold, TransferStatus.PROCESSED, operation, posted_amount=amount)
        return _resolution(hold, after, operation, call)

    return _resolve(transfer_id, "pst", posted, call, deps)


def cancel_transfer(transfer_id: str, call: Call, deps: TransferDependencies) -> StoredAnswer:
    """Void a hold and release its funds: 200.

    Raises NotFound, Forbidden, AlreadyPosted, AlreadyCanceled, HoldExpired.
    """

    def canceled(hold: Transfer, operation: Operation) -> Resolution:
        after = resolved(hold, TransferStatus.CANCELED, operation)
        return _resolution(hold, after, operation, call)

    return _resolve(transfer_id, "cnl", canceled, call, deps)


def resolved(
    hold: Transfer,
    status: TransferStatus,
    operation: Operation,
    posted_amount: int | None = None,
) -> Transfer:
    """The hold's row after it is posted, voided or expired."""
    assert may_become(hold.status, status), f"{hold.id}: {hold.status} to {status}"
    changes = {
        "status": status,
        "status_bucket": None,
        "hold_bucket": None,
        "operation_id": operation.id,
        "posted_amount": posted_amount,
        "processed_at": operation.at if posted_amount is not None else None,
        "cause": operation.id,
    }
    return hold.next_version(operation.at, changes, operation.change)


def _resolution(hold: Transfer, after: Transfer, operation: Operation, call: Call) -> Resolution:
    """The end of a hold. Merchants end only holds between accounts that they may transfer with."""
    movements = (
        movements_of_release(hold.legs)
        if after.posted_amount is None
        else movements_of_post(hold.legs, after.posted_amount)
    )
    return Resolution(
        hold,
        after,
        movements_in_commit(hold, movements),
        operation,
        claim=None,
        ordinary_only=not call.caller.is_operator,
    )


def _resolve(
    transfer_id: str,
    prefix: str,
    end: Callable[[Transfer, Operation], Resolution],
    call: Call,
    deps: TransferDependencies,
) -> StoredAnswer:
    """Read the hold and commit its end; retry if another request changed it."""
    owner = call.caller.owner(call.acting_for)
    buckets = deps.merchants.index_buckets(owner)

    def attempt() -> StoredAnswer:
        hold = require_found(deps.transfers.get(transfer_id, call.scope), "transfer", transfer_id)
        # Ids define the order of events, so with clock skew the end must not precede the hold.
        now = max(call.now, created_at(hold.id))
        operation_id = call.new_id(prefix, now)
        operation = Operation(operation_id, hold.id, call.caller.change(operation_id), now)
        claim = new_claim(call, owner, owner=operation_id, index_buckets=buckets)
        try:
            _must_be_open(hold, operation.at)
            wanted = end(hold, operation)
        except (Conflict, ExceedsHold, InvalidValue) as refusal:
            return earlier_answer(call, owner, deps.claims) or _refused(
                refusal, hold.id, claim, call, deps
            )
        answer = success(HTTPStatus.OK, transfer_answer(wanted.after))
        try:
            deps.ledger.resolve(replace(wanted, claim=_answered(claim, hold.id, answer, call)))
        except AlreadyClaimed as earlier:
            if earlier.record.owner != operation_id:
                return stored_answer(earlier.record, call)
        return answer

    return retry_stale(
        MAX_ATTEMPTS,
        attempt,
        Unavailable(f"Transfer {transfer_id} is being changed by other requests; try again"),
    )


def _must_be_open(hold: Transfer, at: Timestamp) -> None:
    match hold.status:
        case TransferStatus.PENDING if (hold.expires_at or "") > at:
            return
        case TransferStatus.PENDING | TransferStatus.EXPIRED:
            raise HoldExpired(f"Hold {hold.id} expired at {hold.expires_at}")
        case TransferStatus.PROCESSED:
            raise AlreadyPosted(f"{hold.id} was already posted at {hold.processed_at}")
        case TransferStatus.CANCELED:
            raise AlreadyCanceled(f"{hold.id} was already canceled at {hold.updated_at}")
        case TransferStatus.FAILED:
            raise Conflict(f"{hold.id} failed ({hold.failure_code}); it holds nothing")


def _amount_to_post(hold: Transfer, request: PostRequest) -> int:
    amount = hold.amount if request.amount is None else request.amount
    if amount > hold.amount:
        raise ExceedsHold(
            f"Hold {hold.id} is for {hold.amount}; requested to post {amount}", param="amount"
        )
    if amount < hold.amount and len(hold.legs) > 1:
        raise InvalidValue(
            f"A hold with {len(hold.legs)} legs can only be posted in full ({hold.amount}) or "
            "canceled",
            param="amount",
        )
    return amount


def _refused(
    refusal: PlatformError,
    hold_id: str,
    claim: IdempotencyRecord | None,
    call: Call,
    deps: TransferDependencies,
) -> StoredAnswer:
    """Store the refusal as the request's answer. Raises refusals that are not stored."""
    if not isinstance(refusal, ExceedsHold):
        raise refusal
    answer = problem(refusal, instance=call.path, request_id=call.caller.request_id)
    if claim is not None:
        kept = _answered(claim, hold_id, answer, call)
        try:
            deps.ledger.refuse(None, kept, token=claim.owner, now=call.now)
        except AlreadyClaimed as first:
            if first.record.owner != claim.owner:
                return stored_answer(first.record, call)
    return answer


def _answered(
    claim: IdempotencyRecord | None, hold_id: str, answer: StoredAnswer, call: Call
) -> IdempotencyRecord | None:
    return claim and completed(claim, answer, to_epoch_seconds(call.now), resource_id=hold_id)
