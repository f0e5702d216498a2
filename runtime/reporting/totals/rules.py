"""What a payment adds to its merchant's totals, and how that changes. Pure.

Totals are kept by state, not by event: a payment's newest version determines what it adds, and
its counted state what it has added so far. So changes may arrive twice, late and in any
order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from runtime.core.fields import Timestamp
from runtime.core.ids import created_at
from runtime.core.timestamps import to_timestamp
from runtime.payments.models import PaymentStatus
from runtime.reporting.summary_rules import Summable
from runtime.reporting.totals.models import NOTHING, CountedPayment, Figures, Group

NOT_COUNTED: Final = frozenset({PaymentStatus.PENDING, PaymentStatus.PROCESSING})
"""A payment enters its merchant's lists, and totals, with its outcome."""


class Countable(Summable, Protocol):
    """The attributes that totals need beside the figures: the row itself, or a projection."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def version(self) -> int:
        """Its version."""
        ...

    @property
    def merchant_id(self) -> str:
        """Its merchant."""
        ...

    @property
    def merchant_bucket(self) -> str | None:
        """Its bucket among the merchant's; None until it has an outcome."""
        ...

    @property
    def created_at(self) -> Timestamp:
        """Its creation time."""
        ...


@dataclass(frozen=True, slots=True)
class TotalKey:
    """A total row that projections add to: a bucket of a merchant, and day#currency."""

    bucket: str
    item: str


@dataclass(frozen=True, slots=True)
class CountStep:
    """Counting a payment again: `before` must still be its counted state (None: not yet)."""

    before: CountedPayment | None
    after: CountedPayment

    def moves(self) -> dict[TotalKey, Figures]:
        """What the step adds to each total row: one row, unless an edit has moved the payment."""
        moves: dict[TotalKey, Figures] = {}
        if self.before is not None:
            moves[_place(self.before)] = NOTHING.minus(figures_of(self.before))
        place = _place(self.after)
        moves[place] = moves.get(place, NOTHING).plus(figures_of(self.after))
        return {place: figures for place, figures in moves.items() if figures.not_zero()}


def day_of(payment: Countable) -> str:
    """The UTC day that the payment belongs to permanently: YYYY-MM-DD.

    The id contains the time of creation, and it cannot be edited.
    """
    try:
        return to_timestamp(created_at(payment.id))[:10]
    except ValueError:  # not an id of the platform: the row was written out of band
        return payment.created_at[:10]


def is_counted(payment: Countable) -> bool:
    """Whether the payment has an outcome, and so a place in lists and totals."""
    return payment.status not in NOT_COUNTED and payment.merchant_bucket is not None


def contribution_of(payment: Countable, bucket: str) -> CountedPayment:
    """What a payment that is counted adds, to `bucket`."""
    return CountedPayment(
        id=payment.id,
        version=payment.version,
        bucket=bucket,
        day=day_of(payment),
        currency=payment.currency,
        status=payment.status,
        captured=payment.amount_captured,
        refunded=payment.amount_refunded,
        fee=payment.fee,
    )


def figures_of(counted: CountedPayment) -> Figures:
    """The same as numbers."""
    return Figures(
        **{f"count_{counted.status.value}": 1},
        captured_count=int(counted.captured > 0),
        captured=counted.captured,
        refunded=counted.refunded,
        fees=counted.fee,
    )


def changes_totals(old: Countable | None, new: Countable) -> bool:
    """Whether the step from `old` to `new` changes what the payment adds.

    A step that does not can be skipped for good: the payment's newest step that does, whenever it
    arrives, has the same effect as its newest step of all.
    """
    if not is_counted(new):
        return False
    if old is None or not is_counted(old):
        return True
    return not adds_the_same(contribution_of(old, ""), contribution_of(new, ""))


def adds_the_same(one: CountedPayment, other: CountedPayment) -> bool:
    """Whether two states of a payment add the same to the same group, in any bucket."""
    return one.group[1:] == other.group[1:] and figures_of(one) == figures_of(other)


def step_to(payment: Countable, counted: CountedPayment | None, bucket: str) -> CountStep | None:
    """Counting `payment` after `counted`; None if that is at least as new.

    A new payment goes to `bucket`, another one to the bucket where it is counted.
    """
    if counted is not None and counted.version >= payment.version:
        return None
    place = bucket if counted is None else counted.bucket
    return CountStep(counted, contribution_of(payment, place))


def is_counted_right(payment: Countable, counted: CountedPayment | None) -> bool:
    """Whether a payment's counted state matches it, in its own group."""
    if counted is None or not is_counted(payment):
        return counted is None and not is_counted(payment)
    right = contribution_of(payment, counted.bucket)
    return adds_the_same(right, counted) and counted.group.merchant_id == payment.merchant_id


def added_up(several: Iterable[Figures]) -> Figures:
    """The sum of figures."""
    total = NOTHING
    for each in several:
        total = total.plus(each)
    return total


def merchant_group(payment: Countable) -> Group:
    """The group in which the payment is counted."""
    return Group(payment.merchant_id, day_of(payment), payment.currency)


def _place(counted: CountedPayment) -> TotalKey:
    return TotalKey(counted.bucket, counted.group.item)
