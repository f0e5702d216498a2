"""Finishing what a request left open: the schedule behind the resolver.

Charges, captures, refunds and voids whose request died or whose answer was lost are finished by
asking the processor; authorizations that have expired are voided. Each is leased before it is asked
about, so two runs at once do not both finish it. There is never a second charge.

Merchants take turns, and each has only so many in flight: a processor that is slow, or does not
answer, keeps its own merchants' payments waiting and nobody else's.
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
from runtime.core.ids import created_at
from runtime.core.observability import logger
from runtime.core.scope import EVERYBODY
from runtime.dynamodb.index_merge import MAX_PARALLEL_BUCKETS
from runtime.dynamodb.store import Store
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment
from runtime.payments.resolution.charge import ResolutionResult, resolve_payment
from runtime.payments.resolution.open_queue import Model, OpenQueue
from runtime.payments.resolution.operation import resolve_operation
from runtime.payments.transaction_models import Transaction

MERCHANTS_NAMED: Final = 5
"""Of those whose payments are left to the next run, the ones with most of them."""

Resolve = Callable[[str, PaymentDependencies, str], ResolutionResult]
Counts = Counter[str]
Within = Callable[[float], AbstractContextManager[None]]
"""Bounds the seconds of what a thread does inside of it."""


def _as_long_as_the_run(_seconds: float) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class ResolverReport:
    """What one run did; `stopped_early` when time ran out before the queue did.

    `over` ones needed nothing any more: somebody else was faster. `failed` ones met a fault of
    ours: the log has it, and a later run tries them again. `too_old` ones have been waiting for the
    processor for longer than they should.
    """

    due: int
    resolved: int
    waiting: int
    over: int
    failed: int
    too_old: int
    stopped_early: bool


def resolve_due(
    deps: PaymentDependencies,
    store: Store,
    request_id: str,
    operational_alerts: OperationalAlerts,
    limits: RunLimits = ONE_BY_ONE,
    within: Within = _as_long_as_the_run,
) -> ResolverReport:
    """Look at all that is due, merchants by turns, each one's oldest first, while there is time.

    Each is worked on `within` its lease: afterwards another run may take it.
    """
    at_once = min(limits.workers, MAX_PARALLEL_BUCKETS)
    queue = OpenQueue(store, deps.timing.open_buckets, at_once)
    owners: dict[str, str] = {}

    def resolve(identifier: str, resolve_one: Resolve) -> Counts:
        with within(deps.resolver_lease.total_seconds()):
            return _resolved(identifier, resolve_one, deps, request_id, operational_alerts)

    def look() -> Iterator[Due[Counts]]:
        """Payments and operations by turns: many of the one do not keep the other waiting."""
        payments = _due(queue, Payment, owners, partial(resolve, resolve_one=resolve_payment), deps)
        operations = _due(
            queue, Transaction, owners, partial(resolve, resolve_one=resolve_operation), deps
        )
        for pair in zip_longest(payments, operations):
            yield from (each for each in pair if each is not None)

    def has_time() -> bool:
        return store.remaining_seconds() >= 2 * deps.timing.processor_timeout_seconds

    with WorkerThreads[Counts](deps.outside.threads(limits.workers)) as workers:
        run = run_fairly(look, workers, limits, has_time, deps.outside.monotonic)
    counts = sum(run.results, Counter[str]())
    if run.left:
        most = dict(Counter(run.left).most_common(MERCHANTS_NAMED))
        logger.warning("payments are left to the next run", merchants=most)
    return ResolverReport(
        due=run.due,
        resolved=counts[ResolutionResult.RESOLVED],
        waiting=counts[ResolutionResult.WAITING],
        over=counts[ResolutionResult.OVER],
        failed=counts["failed"],
        too_old=counts["too_old"],
        stopped_early=bool(run.left),
    )


def _due(
    queue: OpenQueue,
    model: Model,
    owners: dict[str, str],
    resolve: Callable[[str], Counts],
    deps: PaymentDependencies,
) -> list[Due[Counts]]:
    """What is due of one table, oldest first, by merchant; `owners` remembers whose they are.

    A row that says nothing of its merchant waits with others of that kind.
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
) -> Counts:
    """One payment or operation, and what became of it; its fault keeps no other one waiting."""
    try:
        result = resolve(identifier, deps, request_id)
    except Exception as fault:  # noqa: BLE001 - see above
        logger.exception("a payment could not be resolved", payment=identifier)
        _tell(fault, operational_alerts)
        counts, still_open = Counter(["failed"]), True
    else:
        counts, still_open = Counter([result.value]), result is ResolutionResult.WAITING
    if still_open and _is_too_old(identifier, deps, operational_alerts):
        counts["too_old"] += 1
    return counts


def _tell(fault: Exception, operational_alerts: OperationalAlerts) -> None:
    if isinstance(fault, Internal):
        logger.error(fault.code, detail=fault.detail)
    if isinstance(fault, DecryptionFailure):
        operational_alerts.decryption_failed(fault)


def _is_too_old(
    identifier: str, deps: PaymentDependencies, operational_alerts: OperationalAlerts
) -> bool:
    """Whether a payment or operation has been open for too long: then a person hears of it."""
    try:
        made_at = created_at(identifier)
    except ValueError:
        # No id of ours: somebody has put the row there, so that nobody knows how old it is.
        logger.error(UNKNOWN_TOO_OLD, payment=identifier, since="nobody knows")
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
    """The payment or operation of that id; None if there is neither."""
    row = deps.payments.get(identifier, EVERYBODY) or deps.payments.transaction(
        identifier, EVERYBODY
    )
    return None if row is None else unknown_outcome_of(row)


def unknown_outcome_of(row: Payment | Transaction) -> UnknownOutcome:
    """The facts of a payment or operation that an alert about its unknown outcome shows."""
    detail: Detail = {"amount": row.amount, "currency": row.currency}
    if isinstance(row, Payment):
        return UnknownOutcome("payment", row.id, row.merchant_id, detail)
    detail = {**detail, "payment_id": row.payment_id, "transaction_type": row.type.value}
    return UnknownOutcome("transaction", row.id, row.merchant_id, detail)
