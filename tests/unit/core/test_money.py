"""Amounts are integers: exact fees, and text with the currency's own decimals."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import iso4217
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.core.currency import DECIMALS
from runtime.core.fields import MAX_AMOUNT_MINOR
from runtime.core.money import fee_of, format_amount
from runtime.ledger.rules import capture_legs
from runtime.reconciliation.matching.flows import flow_legs
from runtime.reconciliation.settlements.models import Flows
from runtime.settings import MAX_FEE_BASIS_POINTS, MAX_FEE_FIXED_MINOR

amounts = st.integers(1, MAX_AMOUNT_MINOR)


@given(amounts, st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_fee_is_the_share_rounded_half_up_plus_the_fixed_part(
    amount: int, basis_points: int, fixed: int
) -> None:
    share = (Decimal(amount) * basis_points / 10_000).quantize(Decimal(1), ROUND_HALF_UP)
    fee = fee_of(amount, basis_points=basis_points, fixed_minor=fixed)
    assert fee == int(share) + fixed


@pytest.mark.parametrize(
    ("amount", "fee"),
    [(1000, 59), (50, 31), (52, 32), (1, 30), (30, 31), (10**12, 29 * 10**9 + 30)],
)
def test_the_sandboxes_fee_is_two_point_nine_percent_and_thirty(amount: int, fee: int) -> None:
    assert fee_of(amount, basis_points=290, fixed_minor=30) == fee


def test_half_a_unit_is_rounded_up() -> None:
    assert fee_of(50, basis_points=100, fixed_minor=0) == 1
    assert fee_of(49, basis_points=100, fixed_minor=0) == 0


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1234, "USD", "12.34 USD"),
        (4, "USD", "0.04 USD"),
        (0, "USD", "0.00 USD"),
        (-1234, "USD", "-12.34 USD"),
        (-4, "EUR", "-0.04 EUR"),
        (1234, "JPY", "1234 JPY"),
        (-7, "JPY", "-7 JPY"),
        (0, "JPY", "0 JPY"),
        (1234, "KWD", "1.234 KWD"),
        (5, "KWD", "0.005 KWD"),
        (12345, "CLF", "1.2345 CLF"),
    ],
)
def test_amounts_are_shown_with_the_decimals_of_their_currency(
    amount: int, currency: str, text: str
) -> None:
    assert format_amount(amount, currency) == text


@given(st.integers(-(10**15), 10**15), st.sampled_from(sorted(DECIMALS)))
def test_a_shown_amount_parses_to_the_same_units(amount: int, currency: str) -> None:
    number, code = format_amount(amount, currency).split(" ")
    assert code == currency
    assert Decimal(number).scaleb(DECIMALS[currency]) == amount
    assert -Decimal(number).as_tuple().exponent == DECIMALS[currency]  # type: ignore[operator]


def test_the_currencies_are_those_of_iso_4217_with_a_minor_unit() -> None:
    listed = {c.code: c.exponent for c in iso4217.Currency if c.exponent is not None}
    assert dict(DECIMALS) == listed


@given(amounts, st.integers(0, MAX_FEE_BASIS_POINTS), st.integers(0, MAX_FEE_FIXED_MINOR))
@example(MAX_AMOUNT_MINOR, MAX_FEE_BASIS_POINTS, MAX_FEE_FIXED_MINOR)
@example(1, 290, 30)
def test_a_capture_and_its_settlement_take_clearing_and_fees_back_to_zero(
    amount: int, basis_points: int, fixed: int
) -> None:
    fee = fee_of(amount, basis_points=basis_points, fixed_minor=fixed)
    legs = [
        *capture_legs("mer_1", "USD", amount, fee),
        *flow_legs(Flows(net=amount - fee, fee=fee), "mer_1", "USD"),
    ]
    balance: dict[str, int] = {}
    for leg in legs:
        assert leg.amount > 0
        balance[leg.from_account_id] = balance.get(leg.from_account_id, 0) - leg.amount
        balance[leg.to_account_id] = balance.get(leg.to_account_id, 0) + leg.amount
    assert set(balance.values()) == {0}
