"""Lists a merchant's recent requests that had an Idempotency-Key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from runtime.core.scope import Scope
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import all_buckets
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS
from runtime.http.pagination import Cursors, read_in_batches, take_page
from runtime.http.request_context import Call
from runtime.idempotency.api import IdempotencyKeyAnswer, IdempotencyKeyList, IdempotencyKeyQuery
from runtime.idempotency.repository import ClaimRepository, ClaimView
from runtime.idempotency.rules import is_expired, parts_of


@dataclass(frozen=True)
class IdempotencyReads:
    """Dependencies of list_keys. `index_buckets` returns an owner's number of index shards."""

    claims: ClaimRepository
    index_buckets: Callable[[str], int]
    cursors: Cursors


def list_keys(
    query: IdempotencyKeyQuery, call: Call, reads: IdempotencyReads
) -> IdempotencyKeyList:
    """A page of recent requests, newest first.

    An operator without a merchant gets the platform's own. Requests with expired answers are not
    listed. Raises BadCursor, NotFound.
    """
    owner = call.caller.owner(call.acting_for)
    cursor = reads.cursors.of(query, "idempotency-keys", owner)
    page_size = min(query.limit + 1, MAX_TRANSACTION_ITEMS)
    entries = reads.claims.newest_first(
        all_buckets(owner, reads.index_buckets(owner)),
        before=cursor.position,
        page_size=page_size,
    )
    rows = read_in_batches(
        entries,
        lambda batch: reads.claims.views([entry.key for entry in batch], Scope(owner)),
        size=page_size,
    )
    page = take_page(
        rows,
        limit=query.limit,
        position=lambda row: row.place,
        matches=lambda row: parts_of(row.key) is not None and not is_expired(row, call.now),
    )
    answers = map(_answer, page.entries)
    return IdempotencyKeyList.from_items(answers, cursor.after(page.next_position))


def _answer(row: ClaimView) -> IdempotencyKeyAnswer:
    parts = parts_of(row.key)
    assert parts is not None, f"{row.key} is not the key of a request"
    until = row.expires_at
    return IdempotencyKeyAnswer(
        key=parts.key,
        method=parts.method,
        path=parts.path,
        status_code=row.status_code,
        resource_id=row.resource_id,
        created_at=row.created_at,
        expires_at=None if until is None else to_timestamp(datetime.fromtimestamp(until, UTC)),
    )
