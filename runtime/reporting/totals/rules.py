"""What a payment adds to its merchant's totals, and how that changes. Pure.

Totals are kept by state, not by event: a payment's row in its newest version says what it adds, and
what it is counted with says what it has added so far. So changes may come twice, late and in any
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
    """What of a payment totals need beside what is added up: the row itself, or a view of it."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def version(self) -> int:
        """How often it has changed."""
        ...

    @property
    def merchant_id(self) -> str:
        """Whose it is."""
        ...

    @property
    def merchant_bucket(self) -> str | None:
        """Its bucket among the merchant's; None until it has an outcome."""
        ...

    @property
    def created_at(self) -> Timestamp:
        """When it was made."""
        ...


@dataclass(frozen=True, slots=True)
class TotalKey:
    """A total row that projections add to: a bucket of a merchant, and day#currency."""

    bucket: str
    item: str


@dataclass(frozen=True, slots=True)
class CountStep:
    """Counting a payment anew: `before` must still be what it is counted with (None: not yet)."""

    before: CountedPayment | None
    after: CountedPayment

    def moves(self) -> dict[TotalKey, Figures]:
        """What the step adds to each total row: to one, unless an edit has moved the payment."""
        moves: dict[TotalKey, Figures] = {}
        if self.before is not None:
            moves[_place(self.before)] = NOTHING.minus(figures_of(self.before))
        place = _place(self.after)
        moves[place] = moves.get(place, NOTHING).plus(figures_of(self.after))
        return {place: figures for place, figures in moves.items() if figures.not_zero()}


def day_of(payment: Countable) -> str:
    """The UTC day that the payment belongs to, whatever becomes of it later: YYYY-MM-DD.

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

    One that does not can be left out for good: the payment's newest step that does, whenever it
    comes, says the same as its newest step of all.
    """
    if not is_counted(new):
        return False
    if old is None or not is_counted(old):
        return True
    return not adds_the_same(contribution_of(old, ""), contribution_of(new, ""))


def adds_the_same(one: CountedPayment, other: CountedPayment) -> bool:
    """Whether two states of a payment add the same to the same group, in whatever bucket."""
    return one.group[1:] == other.group[1:] and figures_of(one) == figures_of(other)


def step_to(payment: Countable, counted: CountedPayment | None, bucket: str) -> CountStep | None:
    """Counting `payment` after `counted`; None when that is as new.

    A payment that is not counted yet goes to `bucket`, another one to where it is counted.
    """
    if counted is not None and counted.version >= payment.version:
        return None
    place = bucket if counted is None else counted.bucket
    return CountStep(counted, contribution_of(payment, place))


def is_counted_right(payment: Countable, counted: CountedPayment | None) -> bool:
    """Whether a payment is counted with what it adds as it stands, and where it belongs."""
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
