"""Reads of the audit log: pages of it, and verification of one entity's chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from runtime.audit.api import (
    AuditList,
    AuditQuery,
    BrokenAnswer,
    ListedAuditRow,
    Order,
    VerifyAnswer,
    VerifyQuery,
)
from runtime.audit.chain import ChainCheck, hashed_text
from runtime.audit.models import ACTION_BUCKETS, USER_BUCKETS, AuditRow
from runtime.audit.repository import AuditEntry, AuditRepository
from runtime.core.errors import ChainTooLong, InvalidValue
from runtime.core.fields import Timestamp
from runtime.core.scope import Scope
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import all_buckets
from runtime.http.caller import require_found
from runtime.http.pagination import Cursors, Slice, take_page
from runtime.http.request_context import Call
from runtime.merchants.profiles import MerchantProfiles
from runtime.payments.queries import window_of

MAX_CHAIN_ROWS: Final = 5_000
"""Rows that one request verifies: about 6 MB to read and hash, within the request's time."""
FILTERED_PAGE: Final = 100
_FILTERS: Final = ("entity_id", "action", "user_id", "request_id")


@dataclass(frozen=True)
class AuditTrail:
    """Dependencies of the audit reads."""

    audit: AuditRepository
    merchants: MerchantProfiles
    cursors: Cursors


def list_audit(query: AuditQuery, call: Call, trail: AuditTrail) -> AuditList:
    """A page of audit rows: of an entity, an action, a user, or a request.

    Newest first; those of an entity or a request also oldest first. Rows of an entity are strongly
    consistent; the indexes lag some seconds.
    Raises NotFound for an entity that is not the caller's, InvalidValue, BadCursor, ChainTooLong.
    """
    given = [name for name in _FILTERS if getattr(query, name) is not None]
    if len(given) != 1:
        raise InvalidValue(
            "Filter by exactly one of entity_id, action, user_id and request_id", param="entity_id"
        )
    if query.order is Order.OLDEST_FIRST and not {"entity_id", "request_id"}.intersection(given):
        raise InvalidValue(
            f"Lists by {given[0]} are newest first; order=asc is for those by entity_id or "
            "request_id",
            param="order",
        )
    start, end = window_of(query.start_date, query.end_date, call.now)
    times = to_timestamp(start), to_timestamp(end)
    whose = ("audit",) if call.scope.owner is None else ("audit", "of", call.scope.owner)
    cursor = trail.cursors.of(query, *whose)
    position = cursor.position
    if query.entity_id is not None:
        page = _of_entity(query.entity_id, query, times, position, call.scope, trail)
        rows, next_position = list(page.entries), page.next_position
    elif query.request_id is not None:
        made = _of_request(query.request_id, query, times, position, call.scope, trail)
        rows, next_position = list(made.entries), made.next_position
    else:
        entries = _of_index(query, times, position, call.scope, trail)
        found = trail.audit.get_many(entries.entries, call.scope)
        rows = [row for row in found if is_wanted(row, query)]
        next_position = entries.next_position
    shown = ListedAuditRow.of if query.include is None else _with_record
    return AuditList.from_items(map(shown, rows), cursor.after(next_position))


def verify_chain(entity_id: str, query: VerifyQuery, call: Call, trail: AuditTrail) -> VerifyAnswer:
    """Verify the hash chain of an entity's audit rows.

    Raises NotFound for an entity that is not the caller's, ChainTooLong beyond MAX_CHAIN_ROWS.
    """
    if query.shard is not None:
        entity_id = f"{entity_id}#{query.shard}"
    check = ChainCheck(entity_id)
    owner: str | None = None
    for count, row in enumerate(trail.audit.chain(entity_id), start=1):
        if count > MAX_CHAIN_ROWS:
            raise ChainTooLong(
                f"{entity_id} has more than {MAX_CHAIN_ROWS} audit rows, the most that one request "
                "verifies; an operator can run: make verify-audit "
                f'ARGS="--entity {entity_id} --stage …"'
            )
        if owner is None and isinstance(row, AuditRow):
            owner = row.merchant_id
            _require(owner, entity_id, call.scope)
        check.look_at(row)
    verdict = check.verdict()
    if owner is None:
        # No readable row names the owner: only operators may learn that unreadable rows exist.
        require_found(
            verdict if verdict.length and call.scope.owner is None else None, "entity", entity_id
        )
    bad = verdict.first_bad
    return VerifyAnswer(
        entity_id=entity_id,
        valid=verdict.valid,
        length=verdict.length,
        head_hash=verdict.head_hash,
        first_bad=None
        if bad is None
        else BrokenAnswer(sequence=bad.sequence, position=bad.position, reason=bad.reason),
    )


def _with_record(row: AuditRow) -> ListedAuditRow:
    return ListedAuditRow.of(row).model_copy(update={"record": hashed_text(row).decode()})


def _require(owner: str, entity_id: str, scope: Scope) -> None:
    require_found(owner if scope.admits(owner) else None, "entity", entity_id)


def _of_entity(
    entity_id: str,
    query: AuditQuery,
    times: tuple[Timestamp, Timestamp],
    position: str | None,
    scope: Scope,
    trail: AuditTrail,
) -> Slice[AuditRow]:
    latest = next(trail.audit.newest_first(entity_id, before=None, page_size=1), None)
    _require(require_found(latest, "entity", entity_id).merchant_id, entity_id, scope)
    start, end = times
    page_size = query.limit + 1
    if query.order is Order.OLDEST_FIRST:
        rows = trail.audit.oldest_first(entity_id, after=position, page_size=page_size)
    else:
        rows = trail.audit.newest_first(entity_id, before=position, page_size=page_size)
    return take_page(
        rows,
        limit=query.limit,
        position=lambda row: row.sequence,
        matches=lambda row: start <= row.timestamp <= end and scope.admits(row.merchant_id),
    )


def _of_request(
    request_id: str,
    query: AuditQuery,
    times: tuple[Timestamp, Timestamp],
    position: str | None,
    scope: Scope,
    trail: AuditTrail,
) -> Slice[AuditRow]:
    start, end = times

    def place(row: AuditRow) -> str:
        return f"{row.timestamp}|{row.entity_id}|{row.sequence}"

    rows = trail.audit.of_request(request_id)
    if query.order is Order.OLDEST_FIRST:
        left = (row for row in reversed(rows) if position is None or place(row) > position)
    else:
        left = (row for row in rows if position is None or place(row) < position)
    return take_page(
        left,
        limit=query.limit,
        position=place,
        matches=lambda row: start <= row.timestamp <= end and scope.admits(row.merchant_id),
    )


def _of_index(
    query: AuditQuery,
    times: tuple[Timestamp, Timestamp],
    position: str | None,
    scope: Scope,
    trail: AuditTrail,
) -> Slice[AuditEntry]:
    if query.action is not None:
        index, buckets = "action-index", all_buckets(query.action, ACTION_BUCKETS)
    else:
        index, buckets = "user-index", all_buckets(str(query.user_id), USER_BUCKETS)
    owner = scope.owner

    def page(
        index: str, buckets: Sequence[str], matches: Callable[[AuditEntry], bool]
    ) -> Slice[AuditEntry]:
        return take_page(
            trail.audit.merged(
                index,
                buckets,
                times,
                before=position,
                page_size=query.limit + 1 if owner is None else FILTERED_PAGE,
            ),
            limit=query.limit,
            position=lambda entry: entry.place,
            matches=matches,
        )

    if owner is None:
        return page(index, buckets, lambda _: True)
    own_buckets = all_buckets(owner, trail.merchants.index_buckets(owner))
    own = page("gsi-merchant", own_buckets, lambda entry: is_wanted(entry, query))
    if own.next_position is None or len(own.entries) == query.limit:
        return own
    # The merchant has many other rows. Both lists have the same rows in the same order: take the
    # one that got further within the budget.
    of_all = page(index, buckets, lambda entry: scope.admits(entry.merchant_id))
    return min(own, of_all, key=lambda found: found.next_position or "")


def is_wanted(entry: AuditEntry | AuditRow, query: AuditQuery) -> bool:
    """Whether an entry of a merchant's own index, or a row, matches the query.

    An entry whose action is not known may match: its row decides.
    """
    if isinstance(entry, AuditEntry) and entry.is_assumed and entry.action is None:
        return query.user_id in (None, entry.user_id)
    return query.action in (None, entry.action) and query.user_id in (None, entry.user_id)
