"""Events that cannot be booked: they are kept, raise an alert, and can be applied again.

A dispute or returned refund has one row, however many notifications arrive for it. Applying it asks
the processor again, on the same path as a notification, so it is booked once, however often tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from runtime.alerts.models import AlertFacts, AlertType, Detail, Window
from runtime.alerts.raising import raise_alert
from runtime.alerts.repository import AlertRepository
from runtime.core.errors import StaleWrite, Unavailable
from runtime.core.ids import repeatable_id
from runtime.core.observability import logger
from runtime.core.scope import Scope
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.dynamodb.index_shards import KEPT_EVENT_BUCKETS, bucket_for
from runtime.idempotency.optimistic_update import retry_stale
from runtime.payments.disputes.api import EventResult
from runtime.payments.disputes.apply_processor_event import ApplyEventDependencies
from runtime.payments.disputes.hints import outcome_of
from runtime.payments.disputes.models import KeptEvent, ProcessorEventStatus
from runtime.payments.disputes.repository import KeptEventRepository
from runtime.payments.processors.events import EventKind, NotApplicable, ProcessorEvent

MAX_ATTEMPTS: Final = 10
"""Attempts to write one row under concurrent writes."""
_UNAPPLIED, _APPLIED = ProcessorEventStatus.UNAPPLIED, ProcessorEventStatus.APPLIED


@dataclass(frozen=True)
class KeptEvents:
    """The store for kept events, and the alerts that they raise."""

    events: KeptEventRepository
    alerts: AlertRepository

    def keep(
        self, event: ProcessorEvent, why: NotApplicable, deps: ApplyEventDependencies
    ) -> KeptEvent:
        """Keep what cannot be applied, and raise an alert: one per object and reason.

        The alert is raised first; a repeated event raises the same alert.
        """
        kept_id = _kept_id(event, why.since, deps)
        raise_alert(_finding(kept_id, event, why, deps), self.alerts)

        def attempt() -> KeptEvent:
            before = self.events.get(kept_id, Scope(deps.merchant.id))
            after = _kept(kept_id, before, event, why, deps)
            token = deps.payments.outside.new_id("pek", deps.now)
            self.events.keep(before, after, token=token)
            logger.warning(
                "a processor event is kept", event=event.id, kept=kept_id, reason=why.reason
            )
            return after

        return retry_stale(
            MAX_ATTEMPTS,
            attempt,
            Unavailable(f"{kept_id} is being changed by other requests; send it again"),
        )

    def settle(self, event: ProcessorEvent, since: datetime, deps: ApplyEventDependencies) -> None:
        """Mark the kept event, if there is one, as applied once its object is booked."""
        row = self.events.get(_kept_id(event, since, deps), Scope(deps.merchant.id))
        if row is None or row.status is _APPLIED:
            return
        after = row.next_version(to_timestamp(deps.now), applied(row, deps.now), deps.context)
        token = deps.payments.outside.new_id("pea", deps.now)
        try:
            self.events.alter(row, after, None, token=token)
        except StaleWrite:
            # The event arrived again meanwhile; the next attempt finds nothing new to book.
            logger.info("a kept event changed while it was applied", kept=row.id)


def apply_event(
    event: ProcessorEvent, deps: ApplyEventDependencies, kept: KeptEvents
) -> EventResult:
    """Book the processor's current state of the event's object, or keep the event.

    Raises Unavailable if the event must be sent again.
    """
    try:
        outcome = outcome_of(event, deps)
    except NotApplicable as why:
        kept.keep(event, why, deps)
        return EventResult.KEPT
    if outcome.since is not None:
        kept.settle(event, outcome.since, deps)
    return outcome.result


def event_of(row: KeptEvent) -> ProcessorEvent:
    """The processor event that a kept event stores."""
    return ProcessorEvent(
        id=row.event_id,
        kind=EventKind(row.kind),
        at=to_datetime(row.event_at),
        charge_id=row.charge_id,
        reference=row.reference,
        object_id=row.object_id,
    )


def applied(row: KeptEvent, now: datetime) -> dict[str, Any]:
    """The fields that change when a kept event is applied."""
    at = to_timestamp(now)
    bucket = bucket_for(_APPLIED, row.id, KEPT_EVENT_BUCKETS)
    return {"status": _APPLIED, "status_bucket": bucket, "applied_at": at}


def _kept_id(event: ProcessorEvent, since: datetime, deps: ApplyEventDependencies) -> str:
    is_dispute = event.kind is EventKind.DISPUTE_CHANGED
    about = event.object_id if is_dispute else event.reference
    assert about is not None, f"{event.id} names neither a dispute nor a refund"
    kind = "dispute" if is_dispute else "refund"
    return repeatable_id("pev", since, deps.merchant.id, deps.processor, kind, about)


def _kept(
    kept_id: str,
    before: KeptEvent | None,
    event: ProcessorEvent,
    why: NotApplicable,
    deps: ApplyEventDependencies,
) -> KeptEvent:
    at = to_timestamp(deps.now)
    return KeptEvent(
        id=kept_id,
        merchant_bucket=bucket_for(deps.merchant.id, kept_id, KEPT_EVENT_BUCKETS),
        status_bucket=bucket_for(_UNAPPLIED, kept_id, KEPT_EVENT_BUCKETS),
        status=_UNAPPLIED,
        reason=why.reason,
        detail=why.detail,
        processor=deps.processor,
        account=deps.account,
        kind=event.kind,
        event_id=event.id,
        event_at=to_timestamp(event.at),
        charge_id=event.charge_id,
        reference=event.reference,
        object_id=event.object_id,
        payment_id=why.payment_id,
        attempts=before.attempts + 1 if before else 1,
        merchant_id=deps.merchant.id,
        version=before.version + 1 if before else 1,
        created_at=before.created_at if before else at,
        updated_at=at,
        **deps.context.stamp(),
    )


def _finding(
    kept_id: str, event: ProcessorEvent, why: NotApplicable, deps: ApplyEventDependencies
) -> AlertFacts:
    detail: Detail = {
        "reason": why.reason.value,
        "processor": deps.processor,
        "about": event.object_id or event.reference or "",
    }
    if why.payment_id is not None:
        detail["payment_id"] = why.payment_id
    return AlertFacts(
        AlertType.PROCESSOR_EVENT_UNAPPLIED,
        "processor_event",
        kept_id,
        deps.merchant.id,
        detail,
        deps.now,
        Window(why.since, why.reason),
    )
