"""The daily poll: find events whose notification never arrived, and retry kept events.

A round covers all merchants and can stop anywhere; the next run resumes there. Rounds overlap by
days, and events that were already received are recognized by their id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from runtime.core.change_context import POLL_UNFINISHED, ChangeContext
from runtime.core.errors import InvalidState, PlatformError, ProcessorUnknown, Unavailable
from runtime.core.observability import logger
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.idempotency.rules import event_key
from runtime.merchants.repository import MerchantPage, MerchantRepository
from runtime.payments.disputes.api import EventResult
from runtime.payments.disputes.apply_processor_event import ApplyEventDependencies
from runtime.payments.disputes.kept_event_routes import ProcessorEventDependencies, apply_row
from runtime.payments.disputes.kept_events import applied, apply_event, event_of
from runtime.payments.disputes.models import PollProgress, ProcessorEventStatus
from runtime.payments.disputes.repository import first_round
from runtime.payments.processors.events import EventKind, ProcessorEvent
from runtime.payments.processors.port import Processor

POLLED_BY: Final = "system:poll"
PARALLEL_MERCHANTS: Final = 8
"""Merchants polled in parallel: most of the time is spent waiting for answers."""
MERCHANTS_PER_PAGE: Final = 100
_CUT: Final = "cut"
"""The counter of merchants whose events were not all read before time ran out."""
_POLLED_KINDS: Final = (EventKind.DISPUTE_CHANGED, EventKind.REFUND_FAILED)
"""Events that move money without a request from this platform. The resolver handles the others."""


@dataclass(frozen=True)
class PollDependencies:
    """Dependencies of polling. `must_stop` is true when the invocation is about to time out."""

    events: ProcessorEventDependencies
    merchants: MerchantRepository
    overlap: timedelta
    must_stop: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class PollReport:
    """The result of one run. `finished`: the round is complete; otherwise the next run resumes it.

    `applied`: disputes and refunds for which no notification arrived, and kept ones that could be
    applied now. `kept` ones wait for an operator, `waiting` ones for the next round. `failed`:
    merchants or events with an error; the error is in the log.
    """

    finished: bool
    since: str
    merchants: int
    applied: int
    kept: int
    waiting: int
    failed: int


def poll(deps: PollDependencies, request_id: str) -> PollReport:
    """Resume the round, or begin a new one, while there is time."""
    progress = _begun(deps)
    counts: Counter[str] = Counter()
    pages = deps.merchants.pages(progress.last_merchant, page_size=MERCHANTS_PER_PAGE)
    for number, page in enumerate(pages):
        if deps.must_stop():
            return _unfinished(progress, counts)
        polled = _poll_page(page, progress, deps, request_id)
        counts += polled
        if polled[_CUT] and number > 0:
            return _unfinished(progress, counts)
        if polled[_CUT]:
            # This page used the whole run. Starting with it again would block all others
            # forever; the next round asks the same merchants again.
            logger.error(POLL_UNFINISHED, since=progress.since, left_out=polled[_CUT])
        progress = progress.model_copy(update={"last_merchant": page.last})
        _save(progress, deps)
    counts += _try_kept_again(deps, request_id)
    now = to_timestamp(deps.events.payments.outside.now())
    _save(progress.model_copy(update={"finished_at": now, "last_merchant": None}), deps)
    return _report(progress, counts, finished=True)


def _unfinished(progress: PollProgress, counts: Counter[str]) -> PollReport:
    """Report an unfinished round; the next run resumes with the page after `progress`."""
    logger.error(POLL_UNFINISHED, since=progress.since, last=progress.last_merchant)
    return _report(progress, counts, finished=False)


def _begun(deps: PollDependencies) -> PollProgress:
    """The unfinished round, or a new one: from the earlier of `overlap` ago and the last start."""
    now, last = deps.events.payments.outside.now(), deps.events.kept.events.poll_progress()
    if last is not None and last.finished_at is None:
        return last
    since = to_timestamp(now - deps.overlap)
    if last is not None:
        since = min(since, last.started_at)
    begun = first_round(to_timestamp(now), since)
    _save(begun, deps)
    return begun


def _save(progress: PollProgress, deps: PollDependencies) -> None:
    outside = deps.events.payments.outside
    token = outside.new_id("pol", outside.now())
    deps.events.kept.events.save_progress(progress, token=token)


def _poll_page(
    page: MerchantPage, progress: PollProgress, deps: PollDependencies, request_id: str
) -> Counter[str]:
    def one(merchant_id: str) -> Counter[str]:
        return _poll_merchant(merchant_id, progress, deps, request_id)

    with deps.events.payments.outside.threads(PARALLEL_MERCHANTS) as pool:
        return sum(pool.map(one, page.ids), Counter({"merchants": len(page.ids)}))


def _poll_merchant(
    merchant_id: str, progress: PollProgress, deps: PollDependencies, request_id: str
) -> Counter[str]:
    """Ask all of a merchant's accounts; a failing account does not block the others.

    If time runs out, the merchant counts as cut.
    """
    connectors, counts = deps.events.payments.connectors, Counter[str]()
    for processor in connectors.processors:
        try:
            kept = connectors.kept(merchant_id, processor)
        except Exception:  # noqa: BLE001 - one merchant's error must not block others
            logger.exception("a merchant's accounts could not be read", merchant=merchant_id)
            counts["failed"] += 1
            continue
        for account, connector in kept.items():
            if connector.mode != deps.events.payments.timing.processors:
                continue
            try:
                for event in _polled_events(connector, progress, deps):
                    booking = _booking(event, merchant_id, processor, account, deps, request_id)
                    counts[_applied(event, booking, deps)] += 1
            except _OutOfTime:
                return counts + Counter({_CUT: 1})
            except Exception as fault:  # noqa: BLE001 - as above; the next round asks again
                if isinstance(fault, ProcessorUnknown):
                    logger.warning("a processor did not answer the poll", merchant=merchant_id)
                else:
                    logger.exception("a poll failed", merchant=merchant_id, processor=processor)
                counts["failed"] += 1
    return counts


def _polled_events(
    connector: Processor, progress: PollProgress, deps: PollDependencies
) -> Iterator[ProcessorEvent]:
    """The account's recent events that move money. Raises _OutOfTime and the connector's errors.

    The number is not limited: it depends only on the account's own activity.
    """
    if deps.must_stop():
        raise _OutOfTime
    for event in connector.recent_events(to_datetime(progress.since)):
        if deps.must_stop():
            raise _OutOfTime
        if event.kind in _POLLED_KINDS:
            yield event


class _OutOfTime(Exception):
    """The run has to end before all events were read."""


def _booking(
    event: ProcessorEvent,
    merchant_id: str,
    processor: str,
    account: str | None,
    deps: PollDependencies,
    request_id: str,
) -> ApplyEventDependencies:
    payments = deps.events.payments
    return ApplyEventDependencies(
        payments=payments,
        merchant=payments.merchants.require(merchant_id),
        processor=processor,
        account=account,
        connector=payments.connectors.of(merchant_id, processor, account),
        key=event_key(merchant_id, processor, event.id),
        context=_context(event.id, request_id),
        now=payments.outside.now(),
    )


def _applied(event: ProcessorEvent, booking: ApplyEventDependencies, deps: PollDependencies) -> str:
    """Apply the event, and return the counter that it belongs to."""
    try:
        result = apply_event(event, booking, deps.events.kept)
    except Unavailable:
        return "waiting"
    except Exception:  # noqa: BLE001 - one event's error must not block others
        logger.exception("a polled event failed", event=event.id, merchant=booking.merchant.id)
        return "failed"
    if result is not EventResult.APPLIED:
        return "known"  # kept events are counted when they are retried
    logger.warning("there was no notification about this", event=event.id, kind=event.kind)
    return "applied"


def _try_kept_again(deps: PollDependencies, request_id: str) -> Counter[str]:
    """Retry kept events; some can be applied by now, for example once the payment is known."""
    events, counts = deps.events.kept.events, Counter[str]()
    unapplied = (ProcessorEventStatus.UNAPPLIED,)
    for entry in events.newest_first(None, unapplied, after_id=None):
        if deps.must_stop():
            break
        row = events.get(entry.id, UNRESTRICTED)
        if row is None or row.status is not ProcessorEventStatus.UNAPPLIED:
            continue
        now = deps.events.payments.outside.now()
        context = _context(event_of(row).id, request_id)
        try:
            apply_row(row, deps.events, context, now)
            after = row.next_version(to_timestamp(now), applied(row, now), context)
            events.alter(row, after, None, token=deps.events.payments.outside.new_id("pea", now))
            counts["applied"] += 1
        except InvalidState:
            counts["kept"] += 1
        except PlatformError as refused:
            logger.warning("a kept event waits", kept=row.id, code=refused.code)
            counts["waiting"] += 1
        except Exception:  # noqa: BLE001 - one event's error must not block others
            logger.exception("a kept event failed", kept=row.id)
            counts["failed"] += 1
    return counts


def _context(event_id: str, request_id: str) -> ChangeContext:
    return ChangeContext(changed_by=POLLED_BY, request_id=request_id, cause=event_id)


def _report(progress: PollProgress, counts: Counter[str], *, finished: bool) -> PollReport:
    return PollReport(
        finished=finished,
        since=progress.since,
        merchants=counts["merchants"],
        applied=counts["applied"],
        kept=counts["kept"],
        waiting=counts["waiting"],
        failed=counts["failed"] + counts[_CUT],
    )
