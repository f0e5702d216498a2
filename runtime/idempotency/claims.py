"""Idempotency of POST requests: building claims, and the answer for a key already claimed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Protocol

from pydantic import BaseModel

from runtime.core.errors import (
    AlreadyClaimed,
    IdempotencyInFlight,
    IdempotencyKeyReused,
    KeyForgotten,
    NotFound,
)
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.index_shards import bucket_for
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer, success
from runtime.idempotency.models import ClaimState, IdempotencyRecord
from runtime.idempotency.rules import claim_key, is_expired, item_key

KEPT = timedelta(hours=24)
"""How long a stored answer is repeated."""


class ClaimReader(Protocol):
    """Reads claims."""

    def read(self, key: str) -> IdempotencyRecord | None:
        """The claim under this key, strongly consistent."""
        ...


def new_claim(
    call: Call, merchant_id: str, *, owner: str, index_buckets: int = 1, subject: str | None = None
) -> IdempotencyRecord | None:
    """The claim of this request by the attempt `owner`; None without an Idempotency-Key.

    `subject`: the customer or merchant whose data key encrypts the answer; default the merchant.
    """
    if call.idempotency_key is None:
        return None
    key = claim_key(merchant_id, call.method, call.path, call.idempotency_key)
    return IdempotencyRecord(
        key=key,
        merchant_bucket=bucket_for(merchant_id, key, index_buckets),
        created_at=to_timestamp(call.now),
        merchant_id=merchant_id,
        key_subject=subject or merchant_id,
        request_id=call.caller.request_id,
        fingerprint=call.fingerprint,
        owner=owner,
    )


def item_claim(claim: IdempotencyRecord, position: int, *, owner: str) -> IdempotencyRecord:
    """The claim of one of several things that a request asks for, each of which is answered once.

    `claim`: that of the whole request, which may stay without an answer until all are answered.
    """
    return claim.model_copy(update={"key": item_key(claim.key, position), "owner": owner})


def completed(
    claim: IdempotencyRecord,
    answer: StoredAnswer,
    call_time_seconds: int,
    *,
    resource_id: str | None = None,
) -> IdempotencyRecord:
    """The completed claim with its answer, which is kept for 24 hours.

    `resource_id`: the resource that the request created or changed, unless the claim has one.
    """
    return claim.model_copy(
        update={
            "state": ClaimState.COMPLETED,
            "resource_id": claim.resource_id or resource_id,
            "status_code": answer.status,
            "response_body": answer.body,
            "expires_at": call_time_seconds + int(KEPT.total_seconds()),
        }
    )


def same_request(record: IdempotencyRecord, call: Call) -> None:
    """Raises IdempotencyKeyReused if the key was used with a different request."""
    if record.fingerprint != call.fingerprint:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used with a different request; "
            "repeat that request unchanged or use a new key"
        )


def stored_answer(record: IdempotencyRecord, call: Call) -> StoredAnswer:
    """The stored answer. Raises IdempotencyKeyReused, IdempotencyInFlight."""
    same_request(record, call)
    if record.status_code is None or record.response_body is None:
        raise IdempotencyInFlight(
            "The first request with this Idempotency-Key is still running; try again"
        )
    return StoredAnswer(record.status_code, record.response_body).again()


def earlier_answer(call: Call, merchant_id: str, claims: ClaimReader) -> StoredAnswer | None:
    """The stored answer to this request; None for a first request or one without a key.

    Raises IdempotencyKeyReused, IdempotencyInFlight; NotFound if the answer's customer was erased.
    """
    if call.idempotency_key is None:
        return None
    try:
        earlier = claims.read(claim_key(merchant_id, call.method, call.path, call.idempotency_key))
    except KeyForgotten as forgotten:
        if forgotten.subject == merchant_id:
            raise  # A merchant is never erased: its key is lost, which an operator must see.
        raise _erased() from forgotten
    if earlier is None or is_expired(earlier, call.now):
        return None
    return stored_answer(earlier, call)


def create_once(  # noqa: PLR0913 - what is written, where, and what it answers
    call: Call,
    merchant_id: str,
    body: BaseModel,
    store: Callable[[IdempotencyRecord | None, str], None],
    *,
    claims: ClaimReader,
    index_buckets: int = 1,
    status: HTTPStatus = HTTPStatus.CREATED,
    subject: str | None = None,
) -> StoredAnswer:
    """Write the row with `store(claim, token)` and answer `status` with `body`.

    A repeated request gets the stored answer. `subject`: see `new_claim`.

    Raises IdempotencyKeyReused, IdempotencyInFlight; NotFound if the stored answer's customer was
    erased.
    """
    attempt = call.new_id("att")
    answer = success(status, body)
    claim = new_claim(
        call, merchant_id, owner=attempt, index_buckets=index_buckets, subject=subject
    )
    if claim is not None:
        # Encrypting the new row would create a data key. Check for a repeated request first.
        repeated = earlier_answer(call, merchant_id, claims)
        if repeated is not None:
            return repeated
        made = getattr(body, "id", None)
        claim = completed(claim, answer, to_epoch_seconds(call.now), resource_id=made)
    try:
        store(claim, attempt)
    except AlreadyClaimed as earlier:
        if earlier.record.owner == attempt:
            return answer
        return stored_answer(earlier.record, call)
    except KeyForgotten as forgotten:
        if forgotten.subject == merchant_id:
            raise
        # Another attempt claimed the key after the check, and its customer was erased since.
        raise _erased() from forgotten
    return answer


def _erased() -> NotFound:
    return NotFound("The resource that this request created has been erased")
