"""What the console asks of the API for what a person fills in, and what it adds up."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.console.javascript import run_in_node

_QUERIES: Final = 'import * as queries from "./queries.js";'
_FIGURES: Final = 'import * as figures from "./figures.js";'


def query(name: str, filled_in: dict[str, Any]) -> Any:
    return run_in_node(_QUERIES, f"return queries.{name}(given);", filled_in)


@pytest.mark.parametrize(
    ("currency", "typed", "minor"),
    [("usd", "1,234.5", 123450), ("JPY", "40", 40), ("KWD", "1", 1000)],
)
def test_amounts_are_asked_in_minor_units_of_the_currency(
    currency: str, typed: str, minor: int
) -> None:
    asked = query("paymentQuery", {"currency": currency, "min_amount": typed, "status": "failed"})
    assert asked == {"currency": currency.upper(), "min_amount": minor, "status": "failed"}


@pytest.mark.parametrize(
    ("filled_in", "message"),
    [
        ({"min_amount": "1"}, "Fill in the currency to filter by amount."),
        ({"max_amount": "1.5", "currency": "JPY"}, "JPY has 0 decimals."),
        ({"min_amount": "12,34", "currency": "EUR"}, "Write an amount such as 12.34."),
    ],
)
def test_an_amount_that_cannot_be_asked_says_why(filled_in: dict[str, str], message: str) -> None:
    body = "try { queries.paymentQuery(given); } catch (error) { return error.message; }"
    assert run_in_node(_QUERIES, body, filled_in) == message


def test_accounts_are_asked_by_one_way_of_finding_them() -> None:
    by_type = {"account_type": "wallet", "status": "active"}
    assert query("accountQuery", by_type) == by_type
    assert query("accountQuery", {**by_type, "customer_id": "cus_a"}) == {"customer_id": "cus_a"}
    assert query("accountQuery", {**by_type, "account_number": "N-1234"}) == {
        "account_number": "N-1234"
    }


def test_what_the_platform_owns_is_asked_without_a_merchant() -> None:
    system = {"account_type": "system", "status": "active"}
    assert query("accountQuery", system) == {**system, "merchant_id": ""}
    assert query("transferQuery", {"owner": "platform"}) == {"merchant_id": ""}
    assert query("transferQuery", {"owner": "merchant", "status": "pending"}) == {
        "status": "pending"
    }


@pytest.mark.parametrize(
    ("identifier", "screen"),
    [
        ("pay_01ABC", "payments"),
        ("acc_receivable_mer_01ABC_USD", "accounts"),
        ("trf_01ABC", "transfers"),
        ("txn_01ABC", "transactions"),
        ("set_01ABC", "settlements"),
        ("req_01ABC", None),
        ("pay 01ABC", None),
        ("ch_3Abc", None),
        ("constructor_a", None),
    ],
)
def test_ids_of_ours_are_found_by_their_prefix(identifier: str, screen: str | None) -> None:
    found = run_in_node(_QUERIES, "return queries.screenOfId(given) ?? null;", identifier)
    assert found == screen


def test_search_asks_only_where_the_api_accepts_the_text() -> None:
    body = """return Object.fromEntries(given.map((text) => [text,
      ["processor_id", "idempotency_key", "reference", "account_number", "email", "request_id"]
        .filter((name) => queries.fits(name, text))]));"""
    wanted = ["req_a-b=", "ada@readers.example", "order 7", "N-1234"]
    assert run_in_node(_QUERIES, body, wanted) == {
        "req_a-b=": ["processor_id", "idempotency_key", "reference", "request_id"],
        "ada@readers.example": ["processor_id", "idempotency_key", "reference", "email"],
        "order 7": ["processor_id", "reference"],
        "N-1234": ["processor_id", "idempotency_key", "reference", "account_number"],
    }


def test_amounts_are_added_by_currency_and_exactly() -> None:
    payments = [
        {"currency": "USD", "amount": 2**53},
        {"currency": "JPY", "amount": 5},
        {"currency": "USD", "amount": 1},
    ]
    body = "return figures.sums(given).map(([currency, sum]) => [currency, String(sum)]);"
    added = run_in_node(_FIGURES, body, payments)
    assert added == [["JPY", "5"], ["USD", str(2**53 + 1)]]


def test_the_success_rate_counts_only_decided_payments() -> None:
    days = [{"succeeded": 3, "failed": 1, "unknown": 6}, {"requires_capture": 2}, {}]
    body = "return given.map((day) => [figures.total(day), figures.successRate(day)]);"
    assert run_in_node(_FIGURES, body, [*days]) == [[10, 0.75], [2, None], [0, None]]
