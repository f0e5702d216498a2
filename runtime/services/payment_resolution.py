"""Finishing what a request left open: the schedule behind the resolver.

Charges, captures, refunds and voids whose request died or whose answer was lost are finished by
asking the processor; authorizations that have expired are voided. Each is leased before it is asked
about, so two runs at once do not both finish it. There is never a second charge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import Final

from runtime.domain.ids import created_at
from runtime.errors import Internal, Unopenable
from runtime.models.change import UNKNOWN_TOO_OLD
from runtime.models.payment import Payment
from runtime.models.scope import EVERYBODY
from runtime.models.transaction import Transaction
from runtime.observability import logger
from runtime.repositories.store import Store
from runtime.services.charge_resolution import Fate, resolve_payment
from runtime.services.operation_resolution import resolve_operation
from runtime.services.payment_desk import PaymentDesk
from runtime.services.trouble import TroubleReports

MAX_PER_RUN: Final = 100
"""Payments, and operations, that one run looks at."""

Resolve = Callable[[str, PaymentDesk, str], Fate]


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
    desk: PaymentDesk, store: Store, request_id: str, trouble: TroubleReports
) -> ResolverReport:
    """Look at everything that is due, oldest first, while there is time for another one."""
    due = list(_due(desk))
    counts: Counter[str] = Counter()
    for identifier, resolve in due:
        if store.remaining_seconds() < 2 * desk.timing.processor_timeout_seconds:
            return _report(len(due), counts, stopped_early=True)
        try:
            fate = resolve(identifier, desk, request_id)
        except Exception as fault:  # noqa: BLE001 - one payment's fault must not keep others waiting
            logger.exception("a payment could not be resolved", payment=identifier)
            _tell(fault, trouble)
            counts["failed"] += 1
            still_open = True
        else:
            counts[fate] += 1
            still_open = fate is Fate.WAITING
        if still_open and _is_too_old(identifier, desk, trouble):
            counts["too_old"] += 1
    return _report(len(due), counts)


def _tell(fault: Exception, trouble: TroubleReports) -> None:
    if isinstance(fault, Internal):
        logger.error(fault.code, detail=fault.detail)
    if isinstance(fault, Unopenable):
        trouble.unopened(fault)


def _is_too_old(identifier: str, desk: PaymentDesk, trouble: TroubleReports) -> bool:
    """Whether a payment or operation has been open for too long: then a person hears of it."""
    try:
        made_at = created_at(identifier)
    except ValueError:
        # No id of ours: somebody has put the row there, so that nobody knows how old it is.
        logger.error(UNKNOWN_TOO_OLD, payment=identifier, since="nobody knows")
        return True
    since = made_at + timedelta(seconds=desk.timing.unknown_too_old_seconds)
    if desk.clock() <= since:
        return False
    logger.error(UNKNOWN_TOO_OLD, payment=identifier, since=str(made_at))
    trouble.unknown_too_old(identifier, lambda: _row(identifier, desk), since)
    return True


def _report(due: int, counts: Mapping[str, int], *, stopped_early: bool = False) -> ResolverReport:
    return ResolverReport(
        due=due,
        resolved=counts["resolved"],
        waiting=counts["waiting"],
        over=counts["over"],
        failed=counts["failed"],
        too_old=counts["too_old"],
        stopped_early=stopped_early,
    )


def _due(desk: PaymentDesk) -> Iterator[tuple[str, Resolve]]:
    """Payments and operations by turns: many of the one do not keep the other waiting."""
    now = desk.clock()
    payments: list[tuple[str, Resolve]] = [
        (payment_id, resolve_payment) for payment_id in desk.payments.due(now, MAX_PER_RUN)
    ]
    operations: list[tuple[str, Resolve]] = [
        (operation_id, resolve_operation)
        for operation_id in desk.payments.due_operations(now, MAX_PER_RUN)
    ]
    for pair in zip_longest(payments, operations):
        yield from (each for each in pair if each is not None)


def _row(identifier: str, desk: PaymentDesk) -> Payment | Transaction | None:
    """The payment or operation of that id."""
    payment = desk.payments.get(identifier, EVERYBODY)
    return payment or desk.payments.transaction(identifier, EVERYBODY)
