"""Checks totals against the payments themselves, while payments continue; and repairs them.

First everything is read once: the payments are added up by group and compared with the sums, and
each payment with its counted state. A difference may be in flight, so each such group
is then read separately, several times: a payment is miscounted only if it stays so in one
version, and a sum is wrong only if it differs from what is counted between two readings of the same
steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from zlib import crc32

from operations.totals.books import SEGMENTS, CountablePayment, TotalsScan
from operations.totals.snapshot import Snapshot, SnapshotDependencies, take_snapshot
from runtime.core.outside import Outside
from runtime.core.scope import UNRESTRICTED
from runtime.payments.repository import PaymentRepository
from runtime.reporting.totals.models import NOTHING, Figures, Group
from runtime.reporting.totals.repository import CountedMeanwhile, MovedMeanwhile, TotalsRepository
from runtime.reporting.totals.rules import (
    CountStep,
    contribution_of,
    figures_of,
    is_counted,
    is_counted_right,
    merchant_group,
)

MAX_GROUPS: Final = 200_000
"""Groups held in memory, some 150 MB; beyond, the tables are read several times, a share each."""
MAX_PASSES: Final = 1_024
LOOKS: Final = 4
"""Reads of a group with a difference, with a pause between them."""
PAUSE_SECONDS: Final = 2.0
"""Streams and indexes settle within seconds."""
MAX_NAMED: Final = 10
"""Miscounted payments listed in a difference."""


@dataclass(frozen=True)
class TotalsReconcilerDependencies:
    """Dependencies of a check. `progress` gets a table's name and the number of rows read."""

    books: TotalsScan
    totals: TotalsRepository
    payments: PaymentRepository
    look: SnapshotDependencies
    outside: Outside
    progress: Callable[[str, int], None] = lambda table, rows: None
    max_groups: int = MAX_GROUPS


@dataclass(frozen=True, slots=True)
class Difference:
    """A group with wrong totals. `expected`: from its payments; `found`: from its rows."""

    group: Group
    expected: Figures
    found: Figures
    miscounted: tuple[str, ...] = ()
    repaired: bool = False


@dataclass
class CheckReport:
    """The result of a check. `unsettled` groups were changing whenever they were read."""

    payments: int = 0
    groups: int = 0
    passes: int = 1
    differences: list[Difference] = field(default_factory=list)
    unsettled: list[Group] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether no difference is left."""
        return all(each.repaired for each in self.differences)


class _TooManyGroups(Exception):
    """More than memory is meant to hold."""


def check_totals(deps: TotalsReconcilerDependencies, *, repair: bool = False) -> CheckReport:
    """Compare all totals with the payments, and repair differences, if `repair`."""
    passes = 1
    while True:
        report = CheckReport(passes=passes)
        try:
            suspects = [
                suspect
                for number in range(passes)
                for suspect in _suspects(deps, passes, number, report)
            ]
        except _TooManyGroups:
            passes *= 2
            assert passes <= MAX_PASSES, "one merchant alone has more groups than memory holds"
            continue
        break
    for group in sorted(suspects):
        _judge(group, deps, report, repair=repair)
    return report


# ------------------------------------------------------------ reading everything once


@dataclass
class _Sums:
    """The sums of the payments and of the rows of totals, for one share of the merchants."""

    most: int
    lock: AbstractContextManager[Any]
    expected: dict[Group, Figures] = field(default_factory=dict)
    found: dict[Group, Figures] = field(default_factory=dict)
    suspects: set[Group] = field(default_factory=set)

    def add(self, sums: dict[Group, Figures], more: Iterable[tuple[Group, Figures]]) -> None:
        for group, figures in more:
            sums[group] = sums.get(group, NOTHING).plus(figures)
        if len(self.expected) + len(self.found) > self.most:
            raise _TooManyGroups


def _suspects(
    deps: TotalsReconcilerDependencies, passes: int, number: int, report: CheckReport
) -> set[Group]:
    sums = _Sums(deps.max_groups, deps.outside.lock())

    def mine(merchant_id: str) -> bool:
        return crc32(merchant_id.encode()) % passes == number

    def add_payments(segment: int) -> int:
        return sum(_add_page(page, mine, sums, deps) for page in deps.books.payments(segment))

    def add_totals(segment: int) -> None:
        for page in deps.books.totals(segment):
            deps.progress("totals", len(page))
            with sums.lock:
                sums.add(sums.found, (each for each in page if mine(each[0].merchant_id)))

    with deps.outside.threads(SEGMENTS) as pool:
        report.payments += sum(pool.map(add_payments, range(SEGMENTS)))
        list(pool.map(add_totals, range(SEGMENTS)))
    groups = sums.expected.keys() | sums.found.keys()
    report.groups += len(groups)
    differing = {
        group
        for group in groups
        if sums.expected.get(group, NOTHING) != sums.found.get(group, NOTHING)
    }
    return differing | sums.suspects


def _add_page(
    page: Sequence[CountablePayment],
    mine: Callable[[str], bool],
    sums: _Sums,
    deps: TotalsReconcilerDependencies,
) -> int:
    payments = [payment for payment in page if mine(payment.merchant_id)]
    counted = deps.totals.counted([payment.id for payment in payments])
    with sums.lock:
        for payment in payments:
            if not is_counted_right(payment, counted.get(payment.id)):
                sums.suspects.add(merchant_group(payment))
                if payment.id in counted:
                    sums.suspects.add(counted[payment.id].group)
        sums.add(
            sums.expected,
            (
                (merchant_group(payment), figures_of(contribution_of(payment, "")))
                for payment in payments
                if is_counted(payment)
            ),
        )
    deps.progress("payments", len(page))
    return len(payments)


# ------------------------------------------------------------ reading again, and repairing


def _judge(
    group: Group, deps: TotalsReconcilerDependencies, report: CheckReport, *, repair: bool
) -> None:
    verdict = _verdict(group, deps)
    if verdict.is_right:
        return
    if not verdict.is_wrong:
        report.unsettled.append(group)
        return
    named = tuple(sorted(verdict.miscounted)[:MAX_NAMED])
    difference = Difference(group, verdict.last.expected, verdict.last.found, named)
    if repair:
        _repair(group, verdict, deps)
        difference = replace(difference, repaired=_verdict(group, deps).is_right)
    report.differences.append(difference)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What several reads of a group agree on. `lacking`: what is missing in its rows."""

    last: Snapshot
    miscounted: Mapping[str, int]
    lacking: Figures | None

    @property
    def is_right(self) -> bool:
        return not self.miscounted and self.lacking == NOTHING

    @property
    def is_wrong(self) -> bool:
        return bool(self.miscounted) or self.lacking not in (None, NOTHING)


def _verdict(group: Group, deps: TotalsReconcilerDependencies) -> _Verdict:
    """Correct as soon as one read says so; wrong only by what all reads have found."""
    looks = [take_snapshot(group, deps.look)]
    while not (verdict := _agreed(looks)).is_right and len(looks) < LOOKS:
        deps.outside.sleep(PAUSE_SECONDS)
        looks.append(take_snapshot(group, deps.look))
    return verdict


def _agreed(looks: Sequence[Snapshot]) -> _Verdict:
    last = looks[-1]
    always = set(last.miscounted.items()).intersection(*(each.miscounted.items() for each in looks))
    if last.is_settled and last.lacking == NOTHING:
        return _Verdict(last, dict(always), NOTHING)
    settled = [each.lacking for each in looks if each.is_settled]
    agree = len(settled) > 1 and len(set(settled)) == 1
    return _Verdict(last, dict(always), settled[0] if agree else None)


def _repair(group: Group, verdict: _Verdict, deps: TotalsReconcilerDependencies) -> None:
    """Count the miscounted payments in their current state, then add what the rows lack."""
    for payment_id in sorted(verdict.miscounted):
        _count_again(payment_id, deps)
    after = _verdict(group, deps)
    if after.lacking is None or after.lacking == NOTHING:
        return
    bucket = deps.look.keys_of(group.merchant_id)[1]
    token = deps.outside.new_id("cor", deps.outside.now())
    try:
        deps.totals.correct(group, bucket, after.last.mark, after.lacking, token=token)
    except MovedMeanwhile:
        return  # folded or corrected by another: the next read has the result


def _count_again(payment_id: str, deps: TotalsReconcilerDependencies) -> None:
    found = deps.payments.get(payment_id, UNRESTRICTED)
    counted = deps.totals.counted([payment_id]).get(payment_id)
    if found is None or not is_counted(found) or is_counted_right(found, counted):
        return
    assert found.merchant_bucket is not None, f"{payment_id} has no list bucket"
    stays = counted is not None and counted.group.merchant_id == found.merchant_id
    bucket = counted.bucket if counted is not None and stays else found.merchant_bucket
    step = CountStep(counted, contribution_of(found, bucket))
    token = deps.outside.new_id("cor", deps.outside.now())
    try:
        deps.totals.count([step], token=token)
    except CountedMeanwhile:
        return  # by the projector: the next read has the result
