"""Settlement lines: read strictly, judged by the first difference, added up exactly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.domain.settlement import (
    HEADER,
    MAX_CELL_CHARACTERS,
    InvalidLine,
    ParsedLine,
    add_line,
    judge,
    parse_line,
)
from runtime.models.fields import MAX_AMOUNT_MINOR
from runtime.models.settlement import CurrencyTotal, LineStatus
from runtime.models.transaction import Transaction, TransactionStatus, TransactionType

GOOD = {
    "payment_id": "pay_1",
    "transaction_id": "txn_1",
    "status": "settled",
    "amount": "1000",
    "fee": "59",
    "net": "941",
    "currency": "USD",
    "processed_date": "2026-03-14",
    "settlement_date": "2026-03-15",
}
OURS = Transaction(
    id="txn_1",
    payment_id="pay_1",
    merchant_id="mer_1",
    type=TransactionType.CAPTURE,
    amount=1000,
    fee=59,
    currency="USD",
    status=TransactionStatus.SUCCEEDED,
    processed_at="2026-03-14T00:00:00.000Z",
    created_at="2026-03-14T00:00:00.000Z",
    updated_at="2026-03-14T00:00:00.000Z",
    changed_by="x",
    request_id="r",
    cause="c",
)


def cells(**changes: str) -> list[str]:
    return list({**GOOD, **changes}.values())


def parsed(**changes: str) -> ParsedLine:
    line = parse_line(2, cells(**changes))
    assert isinstance(line, ParsedLine), line
    return line


def test_a_good_line_is_read_with_amounts_as_integers() -> None:
    line = parsed()
    assert (line.number, line.amount, line.fee, line.net) == (2, 1000, 59, 941)
    assert line.settlement_date == "2026-03-15"


def test_cells_are_trimmed_and_dates_may_be_missing() -> None:
    line = parsed(amount=" 1000 ", processed_date="", settlement_date=" ")
    assert (line.amount, line.processed_date, line.settlement_date) == (1000, "", "")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"payment_id": ""}, "payment_id is empty"),
        ({"transaction_id": "  "}, "transaction_id is empty"),
        ({"status": ""}, "status is empty"),
        ({"currency": ""}, "currency is empty"),
        ({"amount": ""}, "amount is empty"),
        ({"amount": "10.00"}, "no whole number"),
        ({"amount": "1e3"}, "no whole number"),
        ({"amount": "1,000"}, "no whole number"),
        ({"amount": "+1000"}, "no whole number"),
        ({"amount": "1_000"}, "no whole number"),
        ({"amount": "0x10"}, "no whole number"),
        ({"amount": "\u0661\u0660\u0660\u0660"}, "no whole number"),
        ({"fee": "abc"}, "no whole number"),
        ({"net": "--1"}, "no whole number"),
        ({"amount": "9" * 14}, "no whole number"),
        ({"amount": str(MAX_AMOUNT_MINOR + 1)}, "is above"),
        ({"currency": "usd"}, "no ISO 4217 code"),
        ({"currency": "XXX"}, "no ISO 4217 code"),
        ({"net": "940"}, "amount 1000 less fee 59 is not net 940"),
        ({"payment_id": "p" * (MAX_CELL_CHARACTERS + 1)}, "payment_id is longer than"),
    ],
)
def test_a_wrong_cell_makes_the_line_invalid_with_its_number_and_reason(
    changes: dict[str, str], reason: str
) -> None:
    line = parse_line(7, cells(**changes))
    assert isinstance(line, InvalidLine)
    assert line.number == 7
    assert reason in line.reason


@pytest.mark.parametrize("count", [0, 1, 8, 10, 50])
def test_another_number_of_columns_is_invalid(count: int) -> None:
    line = parse_line(3, ["x"] * count)
    assert line == InvalidLine(3, f"{count} columns instead of {len(HEADER)}")


@given(st.lists(st.text(max_size=20), min_size=9, max_size=9))
def test_any_nine_cells_are_read_or_refused_and_never_fail(row: list[str]) -> None:
    assert isinstance(parse_line(2, row), (ParsedLine, InvalidLine))


@given(st.integers(-MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR), st.integers(-1000, 1000))
def test_amounts_survive_the_text_to_the_unit(amount: int, fee: int) -> None:
    net = amount - fee
    if abs(net) <= MAX_AMOUNT_MINOR:
        line = parsed(amount=str(amount), fee=str(fee), net=str(net))
        assert (line.amount, line.fee, line.net) == (amount, fee, net)


def verdict(ours: Transaction | None, merchant: str = "mer_1", **changes: str) -> LineStatus:
    told = judge(parsed(**changes), ours, merchant_id=merchant)
    assert (told.reason is None) is (told.status is LineStatus.MATCHED)
    return told.status


def but(**changes: Any) -> Transaction:
    return OURS.model_copy(update=changes)


@pytest.mark.parametrize(
    ("status", "ours", "changes"),
    [
        ("matched", OURS, {}),
        ("unexpected", None, {}),
        ("unexpected", but(merchant_id="mer_2"), {}),
        ("unexpected", OURS, {"payment_id": "pay_2"}),
        ("duplicate", but(status=TransactionStatus.SETTLED), {}),
        ("status_mismatch", OURS, {"status": "refunded"}),
        ("status_mismatch", OURS, {"status": "Settled"}),
        ("status_mismatch", but(status=TransactionStatus.FAILED), {}),
        ("status_mismatch", but(status=TransactionStatus.PENDING), {}),
        ("status_mismatch", but(type=TransactionType.REFUND), {}),
        ("status_mismatch", but(type=TransactionType.AUTHORIZATION), {}),
        ("currency_mismatch", OURS, {"currency": "EUR"}),
        ("amount_mismatch", OURS, {"amount": "1001", "net": "942"}),
        ("fee_mismatch", OURS, {"fee": "60", "net": "940"}),
    ],
)
def test_the_first_difference_decides(
    status: str, ours: Transaction | None, changes: dict[str, str]
) -> None:
    assert verdict(ours, **changes) == status


def test_with_several_differences_the_graver_one_is_told() -> None:
    everything = {"status": "x", "currency": "EUR", "amount": "1", "fee": "0", "net": "1"}
    assert verdict(but(merchant_id="mer_2"), **everything) == "unexpected"
    assert verdict(but(status=TransactionStatus.SETTLED), **everything) == "status_mismatch"
    assert verdict(OURS, **everything) == "status_mismatch"
    del everything["status"]
    assert verdict(but(status=TransactionStatus.SETTLED), **everything) == "duplicate"
    assert verdict(OURS, **everything) == "currency_mismatch"
    del everything["currency"]
    assert verdict(OURS, **everything) == "amount_mismatch"


lines = st.tuples(
    st.sampled_from(["USD", "EUR", "JPY"]), st.integers(1, 10**12), st.integers(0, 100)
)


@given(st.lists(lines, max_size=30))
def test_totals_are_the_sums_of_each_currency_alone(added: list[tuple[str, int, int]]) -> None:
    totals: dict[str, CurrencyTotal] = {}
    for currency, amount, fee in added:
        totals = add_line(totals, currency, amount=amount, fee=fee, net=amount - fee)
    assert set(totals) == {currency for currency, _, _ in added}
    for currency, total in totals.items():
        mine = [(amount, fee) for c, amount, fee in added if c == currency]
        assert total.amount == sum(amount for amount, _ in mine)
        assert total.fee == sum(fee for _, fee in mine)
        assert total.net == total.amount - total.fee
