"""Payments' stream → totals: what each payment adds to its merchant's day, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runtime.core.errors import Unavailable
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.dynamodb.errors import InvalidRequest
from runtime.payments.models import Payment
from runtime.reporting.totals.models import CountedPayment, Group
from runtime.reporting.totals.repository import CountedMeanwhile, TotalsRepository, fitting
from runtime.reporting.totals.rules import changes_totals, is_counted, merchant_group, step_to
from runtime.streams.records import Change, Failed

PARALLEL_GROUPS: Final = 8
"""Groups counted concurrently: their rows differ, and a Lambda has CPU for few threads."""
MAX_ATTEMPTS: Final = 20
"""Commits for one group; a failed one means that another projector has counted some of it."""


@dataclass(frozen=True)
class TotalsProjection:
    """Counts payments by merchant, day and currency, each in its newest version."""

    totals: TotalsRepository
    outside: Outside

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Count by group, so that a total row is written once for many payments."""
        newest = _newest(changes)
        # A condition determines whether the others are counted: most are new.
        seen_before = [p for p, each in newest.items() if each.old and is_counted(each.old)]
        counted = self.totals.counted(seen_before)
        groups: dict[Group, list[Change]] = {}
        for change in newest.values():
            groups.setdefault(merchant_group(change.new), []).append(change)

        def count(group: list[Change]) -> Failed:
            try:
                self._count([change.new for change in group], counted)
            except InvalidRequest:
                raise
            except Exception:  # noqa: BLE001 - these come again, the other groups are done
                logger.exception(
                    "totals could not be counted",
                    payment=group[0].new.id,
                    request_ids=sorted({each.new.request_id for each in group}),
                )
                return frozenset(change.sequence_number for change in group)
            return frozenset()

        with self.outside.threads(PARALLEL_GROUPS) as pool:
            failed = list(pool.map(count, groups.values()))
        return frozenset().union(*failed)

    def _count(self, payments: Sequence[Payment], read: dict[str, CountedPayment]) -> None:
        """Count payments of one group that others may count as well. Raises Unavailable."""
        known: dict[str, CountedPayment | None] = dict(read)
        # The first one's bucket will do: ids are evenly distributed, and so are first ones.
        bucket = payments[0].merchant_bucket
        assert bucket is not None, "a payment that is in no list has no totals to change"
        for _ in range(MAX_ATTEMPTS):
            steps = [step_to(each, known.get(each.id), bucket) for each in payments]
            taken = fitting([step for step in steps if step is not None])
            if not taken:
                return
            token = self.outside.new_id("cnt", self.outside.now())
            try:
                self.totals.count(taken, token=token)
            except CountedMeanwhile as meanwhile:
                known.update(meanwhile.known)
            else:
                known.update({step.after.id: step.after for step in taken})
        raise Unavailable(f"The totals of {merchant_group(payments[0])} are busy; try again")


def _newest(changes: Sequence[Change]) -> dict[str, Change]:
    """The newest relevant change of each payment. Deletions, which are forbidden, are ignored."""
    newest: dict[str, Change] = {}
    for change in changes:
        if change.new is None or not changes_totals(change.old, change.new):
            continue
        known = newest.get(change.new.id)
        if known is None or change.new.version > known.new.version:
            newest[change.new.id] = change
    return newest
