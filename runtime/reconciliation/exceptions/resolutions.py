"""Resolving an exception in one commit.

A resolution is one transaction: the line, what it settles and posts, its settlement's counts, and
the stored answer. The loser of a race reads the line again and finds it resolved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

from runtime.core.change_context import ChangeContext
from runtime.core.echo import echoed
from runtime.core.errors import AlreadyClaimed, NotFound, PlatformError, Unavailable
from runtime.core.outside import Outside
from runtime.core.scope import Scope
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer, success
from runtime.idempotency.claims import (
    ClaimReader,
    completed,
    earlier_answer,
    new_claim,
    stored_answer,
)
from runtime.idempotency.models import IdempotencyRecord
from runtime.idempotency.optimistic_update import retry_stale
from runtime.merchants.profiles import MerchantProfiles
from runtime.reconciliation.exceptions.api import Decision, ResolveRequest
from runtime.reconciliation.exceptions.decisions import (
    DecisionRequest,
    about,
    decide,
    must_be_the_merchants,
)
from runtime.reconciliation.exceptions.repository import ResolutionRepository, SettlementStep
from runtime.reconciliation.matching.candidates import read_about
from runtime.reconciliation.matching.draft import Attempt, Draft, LoadedRows, key_of
from runtime.reconciliation.matching.posting import writes_of
from runtime.reconciliation.matching.repository import BatchContended, SettlementBatchRepository
from runtime.reconciliation.settlements.api import SettlementLineAnswer
from runtime.reconciliation.settlements.deltas import with_sums
from runtime.reconciliation.settlements.lines_repository import SettlementLineRepository
from runtime.reconciliation.settlements.models import (
    LastResolution,
    Settlement,
    SettlementDelta,
    SettlementLine,
    SettlementStatus,
)
from runtime.reconciliation.settlements.writes import SettlementWrites

MAX_ATTEMPTS: Final = 20
"""Attempts at a line whose settlement others change meanwhile: each failure means that another
decision, or a file, has got on."""
LONGEST_NUMBER: Final = 12
"""Digits of the largest line number."""
OPERATION: Final = "rsl"
"""Prefix of the ids of resolutions."""
_COUNTED: Final = (SettlementStatus.COMPLETED, SettlementStatus.COMPLETED_WITH_EXCEPTIONS)


@dataclass(frozen=True)
class ResolutionDependencies:
    """Dependencies of resolving exceptions. `must_stop`: the invocation is about to time out."""

    resolutions: ResolutionRepository
    lines: SettlementLineRepository
    merchants: MerchantProfiles
    claims: ClaimReader
    outside: Outside
    must_stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that one commit writes, and the line after it."""

    line: SettlementLine
    writes: SettlementWrites
    steps: tuple[SettlementStep, ...]
    now: datetime


def resolve_exception(
    place: Mapping[str, str],
    request: ResolveRequest,
    call: Call,
    dependencies: ResolutionDependencies,
) -> StoredAnswer:
    """Resolve the line at `place` (settlement_id and line), or undo a resolution: 200.

    Raises NotFound, AlreadyResolved, NotResolved, ActionNotApplicable, LineDoesNotFit, Forbidden.
    """
    settlement_id, line = place["settlement_id"], _number(place["line"])
    owner = call.caller.owner(call.acting_for)
    buckets = dependencies.merchants.index_buckets(owner)

    def attempt() -> StoredAnswer:
        cause = call.new_id(OPERATION)
        try:
            prepared = prepare((settlement_id, line), request, cause, call, dependencies)
        except PlatformError:
            repeated = earlier_answer(call, owner, dependencies.claims)
            if repeated is None:
                raise
            return repeated
        answer = success(HTTPStatus.OK, SettlementLineAnswer.of(prepared.line))
        claim = new_claim(call, owner, owner=cause, index_buckets=buckets)
        try:
            commit(prepared, _answered(claim, answer, call), cause, dependencies)
        except AlreadyClaimed as earlier:
            if earlier.record.owner != cause:
                return stored_answer(earlier.record, call)
        return answer

    return retry_stale(MAX_ATTEMPTS, attempt, too_busy(settlement_id, line), stale=BatchContended)


def prepare(
    place: tuple[str, int],
    decision: Decision,
    cause: str,
    call: Call,
    dependencies: ResolutionDependencies,
) -> Prepared:
    """Read the rows of a resolution, and apply it in memory. Raises what `decide` raises."""
    settlement_id, number = place
    line = dependencies.lines.get(*place, call.scope)
    if line is None:
        raise NotFound(f"No such line: {number} of settlement {echoed(settlement_id)}")
    merchant = dependencies.merchants.require(line.merchant_id)
    rows = SettlementBatchRepository(dependencies.resolutions.store, Scope(merchant.id))
    now = dependencies.outside.now()
    context = call.caller.change(cause)
    draft = Draft(LoadedRows(), Attempt(merchant, context, now, dependencies.outside))
    draft.found.settlements = rows.settlements([line.settlement_id])
    draft.found.lines = {key_of(line): line}
    wanted = DecisionRequest(decision.action, decision.note, decision.transaction_id)
    read = about(line, wanted)
    read_about([] if read is None else [read], [line], draft, rows)
    decide(line, wanted, draft)
    if not call.caller.is_operator:
        must_be_the_merchants(line, wanted, draft)
    writes = writes_of(draft, cause)
    last = LastResolution(line=line.line, action=decision.action, note=decision.note)
    steps = tuple(
        _step(draft.found.settlements[each], delta, context, now, last)
        if each == line.settlement_id
        else _step(draft.found.settlements[each], delta, context, now)
        for each, delta in writes.deltas.items()
    )
    (after,) = (row for _, row in writes.lines if key_of(row) == place)
    return Prepared(after, writes, steps, now)


def _step(
    before: Settlement,
    delta: SettlementDelta,
    context: ChangeContext,
    now: datetime,
    last: LastResolution | None = None,
) -> SettlementStep:
    """The settlement with its new counts, completed if nothing is open any more."""
    summed = with_sums(before, delta)
    changes: dict[str, object] = {
        **context.stamp(),
        "version": before.version + 1,
        "updated_at": to_timestamp(now),
    }
    if before.status in _COUNTED:
        open_ones = summed.open_exceptions > 0
        status = _COUNTED[open_ones]
        changes["status"] = status
        if status is not before.status:
            changes["completed_at"] = to_timestamp(now)
    if last is not None:
        changes["last_resolution"] = last
    return before, summed.model_copy(update=changes)


def commit(
    prepared: Prepared,
    claim: IdempotencyRecord | None,
    token: str,
    dependencies: ResolutionDependencies,
) -> None:
    """Write all of it, and the answer. Raises AlreadyClaimed; BatchContended if rows changed."""
    dependencies.resolutions.record(
        prepared.writes, prepared.steps, claim, token=token, now=prepared.now
    )


def _answered(
    claim: IdempotencyRecord | None, answer: StoredAnswer, call: Call
) -> IdempotencyRecord | None:
    return claim and completed(claim, answer, to_epoch_seconds(call.now))


def _number(text: str) -> int:
    """The line number in a path; an impossible number if it is not a number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else -1


def too_busy(settlement_id: str, line: int) -> Unavailable:
    """The error when other requests have changed the line's settlement at every attempt."""
    return Unavailable(
        f"Line {line} of {settlement_id} is being changed by other requests; try again"
    )
