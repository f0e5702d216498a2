"""The text of a Beancount ledger; tests/integration checks that Beancount accepts it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.reporting.exports.sources.beancount import (
    ELSEWHERE,
    BooksTransaction,
    books_account,
    books_balance,
    books_opening,
    books_transaction,
    with_the_rest,
)

AT = "2026-03-14T09:00:00.000Z"
ACCOUNT_NAME = re.compile(r"Assets:[A-Z0-9][A-Za-z0-9-]*")
"""Beancount language syntax, "Accounts"."""
ID = st.from_regex(r"\Aacc_[A-Za-z0-9_]{1,60}\Z")


@given(ID)
def test_every_account_has_a_name_that_beancount_accepts(account_id: str) -> None:
    assert ACCOUNT_NAME.fullmatch(books_account(account_id))


@given(ID, ID)
def test_no_two_accounts_have_the_same_name(one: str, other: str) -> None:
    assert (books_account(one) == books_account(other)) == (one == other)


@pytest.mark.parametrize(
    ("currency", "amount", "said"),
    [("USD", -1, "-0.01"), ("JPY", 1234, "1234"), ("KWD", 5, "0.005"), ("CLF", 10001, "1.0001")],
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, amount: int, said: str) -> None:
    assert books_balance("acc_a", amount, currency, "2026-03-15") == (
        f"\n2026-03-15 balance Assets:Acc-a  {said} ~ 0 {currency}\n"
    )


def test_a_transaction_has_its_transfer_and_escapes_free_text() -> None:
    text = books_transaction(
        BooksTransaction(
            at=AT,
            narration='Invoice "7"\n2026-01-01 open Assets:Evil \\',
            operation_id="trf_1",
            transfer_id="trf_1",
            currency="USD",
            postings=(("Assets:Acc-a", -100), ("Assets:Acc-b", 100)),
        )
    )
    assert text == (
        "\n"
        '2026-03-14 * "Invoice \\"7\\" 2026-01-01 open Assets:Evil \\\\"\n'
        f'  at: "{AT}"\n'
        '  operation: "trf_1"\n'
        '  transfer: "trf_1"\n'
        "  Assets:Acc-a  -1.00 USD\n"
        "  Assets:Acc-b  1.00 USD\n"
    )


def test_the_difference_to_zero_is_posted_elsewhere() -> None:
    assert with_the_rest([("Assets:Acc-a", 3)]) == (("Assets:Acc-a", 3), (ELSEWHERE, -3))
    assert with_the_rest([("Assets:Acc-a", 3), ("Assets:Acc-b", -3)])[-1] == ("Assets:Acc-b", -3)


def test_an_account_is_opened_in_its_currency() -> None:
    assert "1970-01-01 open Assets:Acc-a JPY\n" in books_opening("acc_a", "JPY", AT, "wallet")
