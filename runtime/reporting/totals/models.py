"""Totals: counts and sums per merchant, day, currency and status, kept by the change stream."""

from typing import Annotated, Final, NamedTuple, Self

from pydantic import BaseModel

from runtime.core.fields import SignedMinorUnits
from runtime.dynamodb.schema import Row, partition, sort
from runtime.payments.models import PaymentStatus

COUNTED_ITEM: Final = "counted"
"""Sort key of a payment's counted state."""
MARK_ITEM: Final = "moves"
"""Sort key of a merchant's mark; no day begins like this."""


class Group(NamedTuple):
    """The group of one total: a merchant's payments of one UTC day (YYYY-MM-DD) and currency."""

    merchant_id: str
    day: str
    currency: str

    @property
    def item(self) -> str:
        """Sort key of the group's rows: day#currency."""
        return f"{self.day}#{self.currency}"

    @classmethod
    def of(cls, bucket: str, item: str) -> Self:
        """The group of a total row, by its key."""
        day, _, currency = item.partition("#")
        return cls(bucket.partition("#")[0], day, currency)


class Figures(BaseModel, frozen=True, defer_build=True):
    """Payments by status, and their amounts in minor units. A difference may be negative.

    `captured_count` is the number of payments that captured something.
    """

    count_requires_action: int = 0
    count_requires_capture: int = 0
    count_succeeded: int = 0
    count_failed: int = 0
    count_canceled: int = 0
    count_unknown: int = 0
    captured_count: int = 0
    captured: SignedMinorUnits = 0
    refunded: SignedMinorUnits = 0
    fees: SignedMinorUnits = 0

    def plus(self, other: "Figures") -> "Figures":
        """The sum of both."""
        mine, more = self.__dict__, other.__dict__
        return Figures.model_construct(**{name: mine[name] + more[name] for name in FIGURES})

    def minus(self, other: "Figures") -> "Figures":
        """The difference to the other."""
        mine, less = self.__dict__, other.__dict__
        return Figures.model_construct(**{name: mine[name] - less[name] for name in FIGURES})

    def not_zero(self) -> dict[str, int]:
        """The numbers that are not zero."""
        return {name: self.__dict__[name] for name in FIGURES if self.__dict__[name]}

    def by_status(self) -> dict[PaymentStatus, int]:
        """The number of payments in each status that occurs."""
        counts = {status: self.__dict__.get(f"count_{status.value}", 0) for status in PaymentStatus}
        return {status: count for status, count in counts.items() if count}

    def figures(self) -> "Figures":
        """Only the numbers, of a row that has more."""
        return Figures.model_construct(**{name: self.__dict__[name] for name in FIGURES})


FIGURES: Final = tuple(Figures.model_fields)
NOTHING: Final = Figures()


class Total(Row, Figures, table="totals", frozen=True):
    """A part of one group's figures, or, once folded, all of a closed day's; parts may be negative.

    `id` is the merchant's bucket (`mer_x#007`) that projections add to, or the merchant (`mer_x`)
    for folded figures; `item` is day#currency. A bucket's row is in `gsi-unfolded` until it is
    folded. `version` counts the steps in the row, and folding moves them along with the figures: a
    group whose versions add up to the same was not changed in between.

    The same table has each payment's counted state (`pay_x`, CountedPayment) and each
    merchant's mark (`mer_x`, TotalsMark).
    """

    id: Annotated[str, partition()]
    item: Annotated[str, sort(), sort("gsi-unfolded")]
    unfolded: Annotated[str | None, partition("gsi-unfolded")] = None
    version: int = 0

    @property
    def group(self) -> Group:
        """The group of the row."""
        return Group.of(self.id, self.item)


class CountedPayment(Row, frozen=True):
    """A payment's counted state: the version that was counted last, and what it added where.

    Everything that a payment adds is in the row of one bucket, so that a reader of that row
    sees the payment at one moment. The row's keys are the payment's id and `counted`.
    """

    id: str
    item: str = COUNTED_ITEM
    version: int
    bucket: str
    day: str
    currency: str
    status: PaymentStatus
    captured: SignedMinorUnits = 0
    refunded: SignedMinorUnits = 0
    fee: SignedMinorUnits = 0

    table_schema = Total.table_schema

    @property
    def group(self) -> Group:
        """The group that the payment is counted in."""
        return Group(self.bucket.partition("#")[0], self.day, self.currency)


class TotalsMark(Row, frozen=True):
    """Changes whenever a merchant's figures move between rows; readers compare it."""

    id: str
    item: str = MARK_ITEM
    version: int = 0

    table_schema = Total.table_schema
