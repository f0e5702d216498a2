"""The resolver: a scheduled run that finishes payments and operations left open by a request.

If a request died, or the processor's answer was lost, the processor is asked for the outcome.
A charge that waits for its customer is asked about, and canceled in the end;
expired authorizations are voided. Each row is leased first, so that concurrent runs do not resolve
it twice. Nothing is ever charged a second time.

Merchants take turns, and each has a limited number in flight. So a slow or unavailable processor
delays only its own merchants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import zip_longest
from typing import Final

from runtime.alerts.models import Detail
from runtime.alerts.operational_alerts import OperationalAlerts, UnknownOutcome
from runtime.core.change_context import UNKNOWN_TOO_OLD
from runtime.core.errors import DecryptionFailure, Internal
from runtime.core.fair_run import ONE_BY_ONE, Due, RunLimits, WorkerThreads, run_fairly
from runtime.core.ids import age_seconds, created_at
from runtime.core.observability import logger
from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.index_merge import MAX_PARALLEL_BUCKETS
from runtime.dynamodb.store import Store
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment
from runtime.payments.resolution.charge import resolve_payment
from runtime.payments.resolution.leases import ResolutionResult
from runtime.payments.resolution.open_queue import Model, OpenQueue
from runtime.payments.resolution.operation import resolve_operation
from runtime.payments.transaction_models import Transaction

PROCESSOR_CALLS: Final = 2
"""Most calls to the processor for one payment. A run starts nothing without the time for them."""
MERCHANTS_NAMED: Final = 5
"""Merchants named in the log: those with the most payments left to the next run."""

Resolve = Callable[[str, PaymentDependencies, str], ResolutionResult]
Within = Callable[[float], AbstractContextManager[None]]
"""Limits the time that a thread spends in the context, in seconds."""


def _as_long_as_the_run(_seconds: float) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class ResolverReport:
    """The result of one run. `stopped_early`: time ran out before the queue was empty.

    `over`: already finished by another process. `customer`: their customers still have time to act.
    `failed`: an internal error, which is in the log; a
    later run tries again. `too_old`: the outcome has been unknown for longer than is acceptable.
    `oldest_open_seconds`: the age of the oldest payment or operation that the run left open.
    """

    due: int
    resolved: int
    waiting: int
    over: int
    failed: int
    too_old: int
    oldest_open_seconds: float
    stopped_early: bool
    customer: int = 0


@dataclass(frozen=True, slots=True)
class _Resolved:
    """What became of one payment or operation. `open_seconds`: its age, if it is still open."""

    counts: Counter[str]
    open_seconds: float = 0.0


def resolve_due(
    deps: PaymentDependencies,
    store: Store,
    request_id: str,
    operational_alerts: OperationalAlerts,
    limits: RunLimits = ONE_BY_ONE,
    within: Within = _as_long_as_the_run,
) -> ResolverReport:
    """Resolve due rows while there is time: merchants in turn, and each one's oldest first.

    Each is worked on `within` its lease, because another run may take it afterwards.
    """
    at_once = min(limits.workers, MAX_PARALLEL_BUCKETS)
    queue = OpenQueue(store, at_once)
    owners: dict[str, str] = {}

    def resolve(identifier: str, resolve_one: Resolve) -> _Resolved:
        with within(deps.resolver_lease.total_seconds()):
            return _resolved(identifier, resolve_one, deps, request_id, operational_alerts)

    def look() -> Iterator[Due[_Resolved]]:
        """Alternate payments and operations, so that neither blocks the other."""
        payments = _due(queue, Payment, owners, partial(resolve, resolve_one=resolve_payment), deps)
        operations = _due(
            queue, Transaction, owners, partial(resolve, resolve_one=resolve_operation), deps
        )
        for pair in zip_longest(payments, operations):
            yield from (each for each in pair if each is not None)

    def has_time() -> bool:
        margin = PROCESSOR_CALLS * deps.timing.processor_timeout_seconds
        return store.remaining_seconds() >= margin

    with WorkerThreads[_Resolved](deps.outside.threads(limits.workers)) as workers:
        run = run_fairly(look, workers, limits, has_time, deps.outside.monotonic)
    counts = sum((each.counts for each in run.results), Counter[str]())
    if run.left:
        most = dict(Counter(run.left).most_common(MERCHANTS_NAMED))
        logger.warning("payments were left to the next run", merchants=most)
    return ResolverReport(
        due=run.due,
        resolved=counts[ResolutionResult.RESOLVED],
        waiting=counts[ResolutionResult.WAITING],
        over=counts[ResolutionResult.OVER],
        failed=counts["failed"],
        too_old=counts["too_old"],
        oldest_open_seconds=max((each.open_seconds for each in run.results), default=0.0),
        stopped_early=bool(run.left),
        customer=counts[ResolutionResult.CUSTOMER],
    )


def _due(
    queue: OpenQueue,
    model: Model,
    owners: dict[str, str],
    resolve: Callable[[str], _Resolved],
    deps: PaymentDependencies,
) -> list[Due[_Resolved]]:
    """Due rows of one table, oldest first, with their merchants, which `owners` caches.

    All rows without a merchant take turns as one merchant.
    """
    due = queue.due(model, deps.outside.now())
    new = [each for each in due if each not in owners]
    found = queue.owners(model, new)
    owners.update({each: found.get(each, "") for each in new})
    return [Due(each, owners[each], partial(resolve, each)) for each in due]


def _resolved(
    identifier: str,
    resolve: Resolve,
    deps: PaymentDependencies,
    request_id: str,
    operational_alerts: OperationalAlerts,
) -> _Resolved:
    """Resolve one payment or operation. An error does not affect the others."""
    try:
        result = resolve(identifier, deps, request_id)
    except Exception as fault:  # noqa: BLE001 - see above
        logger.exception("a payment could not be resolved", payment=identifier)
        _report_error(fault, operational_alerts)
        counts, still_open = Counter(["failed"]), True
    else:
        counts, still_open = Counter([result.value]), result is ResolutionResult.WAITING
    if not still_open:
        return _Resolved(counts)
    if _is_too_old(identifier, deps, operational_alerts):
        counts["too_old"] += 1
    return _Resolved(counts, age_seconds(identifier, deps.outside.now()) or 0.0)


def _report_error(fault: Exception, operational_alerts: OperationalAlerts) -> None:
    if isinstance(fault, Internal):
        logger.error(fault.code, detail=fault.detail)
    if isinstance(fault, DecryptionFailure):
        operational_alerts.decryption_failed(fault)


def _is_too_old(
    identifier: str, deps: PaymentDependencies, operational_alerts: OperationalAlerts
) -> bool:
    """Whether a payment or operation has been open for too long. If so, raise an alert."""
    try:
        made_at = created_at(identifier)
    except ValueError:
        # A row written out of band: its id does not contain its age.
        logger.error(UNKNOWN_TOO_OLD, payment=identifier, since="unknown")
        return True
    since = made_at + timedelta(seconds=deps.timing.unknown_too_old_seconds)
    if deps.outside.now() <= since:
        return False
    logger.error(UNKNOWN_TOO_OLD, payment=identifier, since=str(made_at))
    operational_alerts.unknown_too_old(
        identifier, lambda: _unknown_outcome(identifier, deps), since
    )
    return True


def _unknown_outcome(identifier: str, deps: PaymentDependencies) -> UnknownOutcome | None:
    """The alert facts of the payment or operation with this id; None if there is neither."""
    row = deps.payments.get(identifier, UNRESTRICTED) or deps.payments.transaction(
        identifier, UNRESTRICTED
    )
    return None if row is None else unknown_outcome_of(row)


def unknown_outcome_of(row: Payment | Transaction) -> UnknownOutcome:
    """The facts for an alert about a payment or operation with an unknown outcome."""
    detail: Detail = {"amount": row.amount, "currency": row.currency}
    if isinstance(row, Payment):
        return UnknownOutcome("payment", row.id, row.merchant_id, detail)
    detail = {**detail, "payment_id": row.payment_id, "transaction_type": row.type.value}
    return UnknownOutcome("transaction", row.id, row.merchant_id, detail)
