"""Sums of settlement lines: independent of chunks, and added once per file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.reconciliation.settlements.deltas import (
    MAX_PAYOUT_LINES,
    by_settlement,
    combined,
    remainders,
    with_delta,
)
from runtime.reconciliation.settlements.models import (
    CurrencyTotal,
    LineStatus,
    Settlement,
    SettlementDelta,
    SettlementStatus,
    TypeTotal,
)

AT = "2026-03-14T09:00:00.000Z"

amounts = st.integers(-(10**12), 10**12)
currencies = st.sampled_from(["USD", "JPY"])
deltas = st.builds(
    SettlementDelta,
    counts=st.dictionaries(st.sampled_from(LineStatus), st.integers(-3, 3)),
    open_exceptions=st.integers(-3, 3),
    totals=st.dictionaries(
        currencies, st.builds(CurrencyTotal, amount=amounts, fee=amounts, net=amounts)
    ),
    by_type=st.dictionaries(
        st.sampled_from(["capture", "refund", "payout"]),
        st.dictionaries(
            currencies,
            st.builds(TypeTotal, amount=amounts, fee=amounts, net=amounts, count=st.integers(0, 9)),
            min_size=1,
        ),
    ),
    payout=st.dictionaries(currencies, amounts),
    buckets=st.frozensets(st.integers(0, 5)).map(lambda found: tuple(sorted(found))),
    payout_lines=st.frozensets(st.integers(2, 9)).map(lambda found: tuple(sorted(found))),
    date=st.none() | st.sampled_from(["2026-03-01", "2026-03-02"]),
)


def settlement() -> Settlement:
    return Settlement(
        id="set_1",
        merchant_id="mer_1",
        date="2026-03-14",
        status=SettlementStatus.PROCESSING,
        source="a.csv",
        sha256="",
        created_at=AT,
        updated_at=AT,
        changed_by="test",
        request_id="test",
        cause="test",
    )


@given(st.lists(deltas, max_size=6), st.data())
def test_the_sums_of_a_file_do_not_depend_on_the_order_of_its_chunks(
    chunks: list[SettlementDelta], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(chunks))
    one = by_settlement({"set_1": each} for each in chunks)
    other = by_settlement({"set_1": each} for each in shuffled)
    assert [_canonical(each) for each in one.values()] == [
        _canonical(each) for each in other.values()
    ]


def _canonical(delta: SettlementDelta) -> SettlementDelta:
    """Without zeros, in one order."""
    return combined(combined(SettlementDelta(), delta), SettlementDelta())


@given(deltas, deltas)
def test_a_corrections_differences_lead_to_the_sums_of_the_current_lines(
    before: SettlementDelta, after: SettlementDelta
) -> None:
    first = with_delta(settlement(), before, "fil_1")
    change = combined(_negative(before), after)
    second = with_delta(first, change, "fil_2")
    alone = with_delta(settlement(), after, "fil_1")
    assert second.counts == alone.counts
    assert second.totals == alone.totals
    assert second.by_type == alone.by_type
    assert second.open_exceptions == alone.open_exceptions
    assert {c: a for c, a in second.payout.items() if a} == {
        c: a for c, a in alone.payout.items() if a
    }
    assert second.added_files == ("fil_1", "fil_2")


def _negative(delta: SettlementDelta) -> SettlementDelta:
    return SettlementDelta(
        counts={status: -count for status, count in delta.counts.items()},
        open_exceptions=-delta.open_exceptions,
        totals={
            c: CurrencyTotal(amount=-t.amount, fee=-t.fee, net=-t.net)
            for c, t in delta.totals.items()
        },
        by_type={
            kind: {
                c: TypeTotal(amount=-t.amount, fee=-t.fee, net=-t.net, count=-t.count)
                for c, t in totals.items()
            }
            for kind, totals in delta.by_type.items()
        },
        payout={c: -amount for c, amount in delta.payout.items()},
    )


def test_a_file_is_added_to_a_settlement_once() -> None:
    once = with_delta(settlement(), SettlementDelta(), "fil_1")
    with pytest.raises(AssertionError, match="fil_1 is in the sums"):
        with_delta(once, SettlementDelta(), "fil_1")


def test_the_remainder_is_the_payout_less_every_other_line_in_each_currency_paid_out() -> None:
    by_type = {
        "capture": {"USD": TypeTotal(net=2405, count=1), "EUR": TypeTotal(net=7, count=1)},
        "refund": {"USD": TypeTotal(net=-1000, count=1)},
        "payout": {"USD": TypeTotal(net=-1400, count=1)},
    }
    assert remainders({"USD": 1400}, by_type) == {"USD": -5}
    assert remainders({}, by_type) == {}


def test_a_settlement_stores_only_its_first_payout_lines() -> None:
    many = SettlementDelta(payout_lines=tuple(range(1000, 2, -1)))
    after = with_delta(settlement(), many, "fil_1")
    assert after.payout_lines == tuple(range(3, 3 + MAX_PAYOUT_LINES))
