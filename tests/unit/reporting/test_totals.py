"""What payments add to totals, in any order of their changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.ids import lowest_id
from runtime.core.timestamps import in_days, to_timestamp
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS
from runtime.payments.models import Payment, PaymentStatus
from runtime.reporting.summary_rules import Summary
from runtime.reporting.totals.models import FIGURES, NOTHING, CountedPayment, Figures, Group
from runtime.reporting.totals.repository import fitting
from runtime.reporting.totals.rules import (
    NOT_COUNTED,
    TotalKey,
    added_up,
    changes_totals,
    contribution_of,
    day_of,
    figures_of,
    is_counted,
    step_to,
)
from tests.support.oracles.totals import summarize

S = PaymentStatus
MOMENT = datetime(2026, 3, 14, 9, tzinfo=UTC)
AT = to_timestamp(MOMENT)
DAY = timedelta(days=1)


def a_payment(number: int = 1, **changes: object) -> Payment:
    values: dict[str, object] = {
        "id": lowest_id("pay", MOMENT)[:-3] + f"{number:03}",
        "merchant_id": "mer_1",
        "merchant_bucket": "mer_1#003",
        "status": S.SUCCEEDED,
        "amount": 100,
        "currency": "USD",
        "payment_method": "tok",
        "processor": "sandbox",
        "created_at": AT,
        "updated_at": AT,
        "changed_by": "x",
        "request_id": "r",
        "cause": "c",
        **changes,
    }
    return Payment.model_validate(values)


states = st.builds(
    lambda status, captured, refunded, fee: {
        "status": status,
        "merchant_bucket": None if status in NOT_COUNTED else "mer_1#003",
        "amount_captured": captured,
        "amount_refunded": refunded,
        "fee": fee,
    },
    st.sampled_from(S),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
)


@given(steps=st.lists(states, min_size=1, max_size=12), order=st.randoms(use_true_random=False))
def test_only_the_newest_state_is_counted_in_any_order_and_number(
    steps: list[dict[str, object]], order: Random
) -> None:
    # Once a payment has an outcome it never is without one again.
    first = next((at for at, each in enumerate(steps) if each["merchant_bucket"]), len(steps))
    steps = steps[:first] + [each for each in steps[first:] if each["merchant_bucket"]]
    rows = [a_payment(version=at + 1, **step) for at, step in enumerate(steps)]
    changes = list(zip([None, *rows], rows, strict=False))
    several = [change for change in changes for _ in range(order.randint(1, 3))]
    order.shuffle(several)
    counted: CountedPayment | None = None
    total = NOTHING
    for old, new in several:
        step = step_to(new, counted, "mer_1#003") if changes_totals(old, new) else None
        if step is not None:
            counted = step.after
            for figures in step.moves().values():
                total = total.plus(figures)
    last = rows[-1]
    expected = figures_of(contribution_of(last, "b")) if is_counted(last) else NOTHING
    assert total == expected
    assert (counted is not None) == is_counted(last)


@pytest.mark.parametrize("status", S)
def test_every_status_with_an_outcome_has_its_own_count(status: S) -> None:
    payment = a_payment(status=status)
    assert is_counted(payment) == (status not in {S.PENDING, S.PROCESSING})
    if is_counted(payment):
        assert figures_of(contribution_of(payment, "b")).by_status() == {status: 1}


def test_a_payment_stays_in_the_bucket_where_it_was_first_counted() -> None:
    first = step_to(a_payment(), None, "mer_1#007")
    assert first is not None
    assert list(first.moves()) == [TotalKey("mer_1#007", "2026-03-14#USD")]
    refunded = step_to(a_payment(version=2, amount_refunded=5), first.after, "mer_1#001")
    assert refunded is not None
    place, figures = next(iter(refunded.moves().items()))
    assert (place.bucket, figures.not_zero()) == ("mer_1#007", {"refunded": 5})
    assert step_to(a_payment(version=2), refunded.after, "b") is None


def test_counts_add_up_like_the_payments_themselves() -> None:
    payments = [
        a_payment(1, amount_captured=100, amount_refunded=30, fee=3),
        a_payment(2, status=S.REQUIRES_CAPTURE),
        a_payment(3, status=S.FAILED),
        a_payment(4, amount_captured=51, fee=1),
    ]
    reported = Summary()
    reported.add("USD", added_up(figures_of(contribution_of(each, "b")) for each in payments))
    reported.add("JPY", NOTHING)
    assert reported == summarize(payments)
    assert reported.by_currency["USD"].average == 75


@given(one=st.lists(st.integers(-9, 9), min_size=10, max_size=10), zero=st.booleans())
def test_figures_subtracted_from_themselves_are_zero(one: list[int], zero: bool) -> None:
    figures = Figures(**dict(zip(FIGURES, one, strict=True)))
    assert figures.minus(figures) == NOTHING
    assert figures.plus(NOTHING if zero else figures).minus(figures) == (
        NOTHING if zero else figures
    )


def test_one_commit_takes_as_many_payments_as_fit() -> None:
    together = [step_to(a_payment(n), None, "mer_1#001") for n in range(150)]
    apart = [step_to(a_payment(n), None, f"mer_1#{n:03}") for n in range(150)]
    assert len(fitting([s for s in together if s])) == MAX_TRANSACTION_ITEMS - 1
    assert len(fitting([s for s in apart if s])) == MAX_TRANSACTION_ITEMS // 2


def test_the_day_comes_from_the_id_and_not_from_the_row() -> None:
    assert day_of(a_payment(created_at="2020-01-01T00:00:00.000Z")) == "2026-03-14"
    assert day_of(a_payment(id="by hand", created_at="2020-01-01T00:00:00.000Z")) == "2020-01-01"


def test_a_rows_group_can_be_derived_from_its_key() -> None:
    group = Group("mer_1", "2026-03-14", "USD")
    assert Group.of("mer_1#007", group.item) == Group.of("mer_1", group.item) == group


# ------------------------------------------------------------ windows of time

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
moments = st.integers(0, 8 * 86_400_000).map(lambda ms: MARCH + timedelta(milliseconds=ms))
midnights = st.integers(0, 8).map(lambda days: MARCH + timedelta(days=days))
MILLISECOND = timedelta(milliseconds=1)


@given(
    start=moments | midnights,
    end=moments | midnights.map(lambda midnight: midnight + DAY - MILLISECOND),
    now=moments | st.just(datetime(2027, 1, 1, tzinfo=UTC)),
)
def test_whole_days_and_parts_cover_a_window_once_up_to_now(
    start: datetime, end: datetime, now: datetime
) -> None:
    if start > end:
        return
    days = in_days(start, end, now)
    pieces = list(days.parts)
    if days.whole is not None:
        first, last = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in days.whole)
        pieces.append((first, last + DAY - MILLISECOND))
    pieces.sort()
    assert pieces[0][0] == start
    assert pieces[-1][1] == end or pieces[-1][1] > end >= now
    for (_, before), (after, _) in pairwise(pieces):
        assert before + MILLISECOND == after
    for low, high in days.parts:
        assert (low, high) == (start, end) or high - low < DAY - MILLISECOND
