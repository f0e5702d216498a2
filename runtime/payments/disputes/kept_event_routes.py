"""Routes for operators: list kept processor events, and apply one again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

from runtime.core.change_context import ChangeContext
from runtime.core.errors import InvalidState, Unavailable
from runtime.http.caller import require_found
from runtime.http.pagination import Cursors, take_page
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer, success
from runtime.idempotency.claims import create_once, earlier_answer
from runtime.idempotency.optimistic_update import next_version, retry_stale, row_update
from runtime.idempotency.rules import event_key
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.disputes.api import (
    EventResult,
    KeptEventAnswer,
    KeptEventList,
    KeptEventQuery,
)
from runtime.payments.disputes.apply_processor_event import ApplyEventDependencies
from runtime.payments.disputes.hints import outcome_of
from runtime.payments.disputes.kept_events import KeptEvents, applied, event_of
from runtime.payments.disputes.models import KeptEvent, ProcessorEventStatus
from runtime.payments.disputes.repository import KeptEventRepository
from runtime.payments.processors.events import NotApplicable

MAX_ATTEMPTS: Final = 5
"""Attempts to apply one kept event while its row changes concurrently."""


@dataclass(frozen=True)
class ProcessorEventDependencies:
    """Dependencies for applying processor events."""

    payments: PaymentDependencies
    kept: KeptEvents


@dataclass(frozen=True)
class KeptEventReads:
    """Dependencies for reading kept events."""

    events: KeptEventRepository
    cursors: Cursors


def list_kept_events(query: KeptEventQuery, call: Call, reads: KeptEventReads) -> KeptEventList:
    """A page of kept events of all merchants, or of the given merchant, newest first.

    Raises BadCursor.
    """
    owner = call.scope.owner
    cursor = reads.cursors.of(query, "processor_events", owner or "everybody")
    statuses = tuple(ProcessorEventStatus) if query.status is None else (query.status,)
    entries = reads.events.newest_first(owner, statuses, after_id=cursor.position)
    page = take_page(entries, limit=query.limit, position=lambda entry: entry.id)
    rows = reads.events.get_many([entry.id for entry in page.entries], call.scope)
    answers = (KeptEventAnswer.of(row) for row in rows if row.status in statuses)
    return KeptEventList.from_items(answers, cursor.after(page.next_position))


def apply_kept_event(event_id: str, call: Call, deps: ProcessorEventDependencies) -> StoredAnswer:
    """Ask the processor again, and book its answer once, however often this is called.

    Raises NotFound; InvalidState with the reason if it still cannot be applied;
    ProcessorAccountRemoved; Unavailable while the processor does not answer.
    """

    def attempt() -> StoredAnswer:
        row = require_found(deps.kept.events.get(event_id, call.scope), "processor event", event_id)
        repeated = earlier_answer(call, row.merchant_id, deps.payments.claims)
        if repeated is not None:
            return repeated
        if row.status is ProcessorEventStatus.APPLIED:
            return success(HTTPStatus.OK, KeptEventAnswer.of(row))
        apply_row(row, deps, call.caller.change(row.event_id), call.now)
        after = next_version(row, applied(row, call.now), call)
        return create_once(
            call,
            row.merchant_id,
            KeptEventAnswer.of(after),
            row_update(deps.kept.events, row, after, call),
            claims=deps.payments.claims,
            status=HTTPStatus.OK,
        )

    return retry_stale(
        MAX_ATTEMPTS,
        attempt,
        Unavailable(f"{event_id} is being changed by other requests; try again"),
    )


def apply_row(
    row: KeptEvent, deps: ProcessorEventDependencies, context: ChangeContext, now: datetime
) -> None:
    """Ask the processor again, and book its answer. On success the row is not changed.

    Raises InvalidState if it still cannot be booked, after storing the reason in the row.
    """
    booking = booking_dependencies(row, deps, context, now)
    event = event_of(row)
    try:
        outcome = outcome_of(event, booking)
    except NotApplicable as why:
        deps.kept.keep(event, why, booking)
        raise InvalidState(f"{row.id} cannot be applied: {why.detail}") from why
    if outcome.result is EventResult.IGNORED:
        raise InvalidState(f"{row.id} cannot be applied: the processor no longer has the object")


def booking_dependencies(
    row: KeptEvent, deps: ProcessorEventDependencies, context: ChangeContext, now: datetime
) -> ApplyEventDependencies:
    """The context for applying the row's event. Raises NotFound, ProcessorAccountRemoved."""
    return ApplyEventDependencies(
        payments=deps.payments,
        merchant=deps.payments.merchants.require(row.merchant_id),
        processor=row.processor,
        account=row.account,
        connector=deps.payments.connectors.of(row.merchant_id, row.processor, row.account),
        key=event_key(row.merchant_id, row.processor, row.event_id),
        context=context,
        now=now,
    )
