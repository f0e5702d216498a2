"""Resolving several exceptions in one request, each in its own commit.

Each line is evaluated, booked and answered separately. Its result is stored in the same commit, so
a repeated request gets the results that there are, and continues with the rest.
"""

from __future__ import annotations

from http import HTTPStatus

from runtime.core.errors import (
    AlreadyClaimed,
    IdempotencyKeyReused,
    Internal,
    PlatformError,
    Unavailable,
)
from runtime.core.observability import logger
from runtime.core.timestamps import to_epoch_seconds
from runtime.http.problem import Problem
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer, problem, success
from runtime.idempotency.claims import (
    completed,
    earlier_answer,
    item_claim,
    new_claim,
    stored_answer,
)
from runtime.idempotency.models import IdempotencyRecord
from runtime.idempotency.optimistic_update import retry_stale
from runtime.idempotency.rules import is_expired
from runtime.reconciliation.exceptions.api import (
    BulkResolveAnswer,
    BulkResolveRequest,
    LineDecision,
    ResolvedItem,
)
from runtime.reconciliation.exceptions.resolutions import (
    MAX_ATTEMPTS,
    OPERATION,
    ResolutionDependencies,
    commit,
    prepare,
    too_busy,
)
from runtime.reconciliation.matching.repository import BatchContended
from runtime.reconciliation.settlements.api import SettlementLineAnswer


def resolve_exceptions(
    request: BulkResolveRequest, call: Call, dependencies: ResolutionDependencies
) -> StoredAnswer:
    """Resolve several lines, one after the other: 200 with the result of each.

    The answer is stored once each line has a final result; a repetition before that continues.

    Raises IdempotencyKeyReused, at the latest at the first line that another request with the key
    has decided.
    """
    owner = call.caller.owner(call.acting_for)
    repeated = earlier_answer(call, owner, dependencies.claims)
    if repeated is not None:
        return repeated
    attempt = call.new_id(OPERATION)
    buckets = dependencies.merchants.index_buckets(owner)
    claim = new_claim(call, owner, owner=attempt, index_buckets=buckets)
    assert claim is not None, "the route requires an Idempotency-Key"
    items = [
        _item(wanted, position, claim, call, dependencies)
        for position, wanted in enumerate(request.lines)
    ]
    failed = sum(item.problem is not None for item in items)
    body = BulkResolveAnswer(data=tuple(items), resolved=len(items) - failed, failed=failed)
    answer = success(HTTPStatus.OK, body)
    if not all(map(_is_final, items)):
        return answer  # a repetition continues with the others
    done = completed(claim, answer, to_epoch_seconds(call.now))
    try:
        dependencies.resolutions.keep_answer(done, token=attempt, now=call.now)
    except AlreadyClaimed as first:
        if first.record.owner != attempt:
            return stored_answer(first.record, call)
    return answer


def _item(
    wanted: LineDecision,
    position: int,
    request: IdempotencyRecord,
    call: Call,
    dependencies: ResolutionDependencies,
) -> ResolvedItem:
    """The result of one of many resolutions; its error does not stop the others."""

    def attempt() -> ResolvedItem:
        if dependencies.must_stop():
            raise Unavailable(
                "No time was left for this line; repeat the request with its Idempotency-Key"
            )
        return _decided_once(wanted, position, request, call, dependencies)

    place = wanted.settlement_id, wanted.line
    try:
        return retry_stale(MAX_ATTEMPTS, attempt, too_busy(*place), stale=BatchContended)
    except IdempotencyKeyReused:
        raise  # it is the whole request that must not have this key
    except PlatformError as unfinished:
        return _failed(wanted, unfinished, call)
    except Exception:  # noqa: BLE001 - one line's error must not stop the others
        logger.exception("a line could not be resolved", settlement=place[0], line=place[1])
        return _failed(wanted, Internal("see the log"), call)


def _decided_once(
    wanted: LineDecision,
    position: int,
    request: IdempotencyRecord,
    call: Call,
    dependencies: ResolutionDependencies,
) -> ResolvedItem:
    """Resolve or refuse the line, and store that as its result, unless it has one already.

    A refusal is stored as well: after it another attempt at the request must not resolve the line.
    Results are read first, so that a repetition has its time for the lines that have none.
    """
    place = wanted.settlement_id, wanted.line
    cause = call.new_id(OPERATION)
    claim = item_claim(request, position, owner=cause)
    repeated = dependencies.claims.read(claim.key)
    if repeated is not None and not is_expired(repeated, call.now):
        return _stored(repeated, call)
    prepared = None
    try:
        prepared = prepare(place, wanted, cause, call, dependencies)
        item = _result(wanted, HTTPStatus.OK, line=SettlementLineAnswer.of(prepared.line))
    except PlatformError as refusal:
        item = _failed(wanted, refusal, call)
        if not _is_final(item):
            raise
    stored = StoredAnswer(item.status_code, item.model_dump_json())
    claim = completed(claim, stored, to_epoch_seconds(call.now))
    try:
        if prepared is None:
            dependencies.resolutions.keep_answer(claim, token=cause, now=call.now)
        else:
            commit(prepared, claim, cause, dependencies)
    except AlreadyClaimed as earlier:
        if earlier.record.owner != cause:
            return _stored(earlier.record, call)
    return item


def _stored(result: IdempotencyRecord, call: Call) -> ResolvedItem:
    return ResolvedItem.model_validate_json(stored_answer(result, call).body)


def _failed(wanted: LineDecision, error: PlatformError, call: Call) -> ResolvedItem:
    path = f"/v1/settlement-lines/{wanted.settlement_id}/{wanted.line}/resolve"
    answer = problem(
        error, instance=path, request_id=call.caller.request_id, types=call.error_types
    )
    shown = Problem.model_validate_json(answer.body)
    return _result(wanted, error.status, refusal=shown)


def _result(
    wanted: LineDecision,
    status: HTTPStatus,
    *,
    line: SettlementLineAnswer | None = None,
    refusal: Problem | None = None,
) -> ResolvedItem:
    return ResolvedItem(
        settlement_id=wanted.settlement_id,
        line=wanted.line,
        status_code=int(status),
        result=line,
        problem=refusal,
    )


def _is_final(item: ResolvedItem) -> bool:
    """Whether a repetition of the request repeats the result; after an error it tries again."""
    return item.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
