"""A ledger file for Beancount (its language reference, version 3), for independent verification.

Every account is under `Assets` with its own sign: Beancount gives signs no
meaning, and a balance is the same number in both. A closing balance has the explicit tolerance
zero: by default Beancount would accept a difference of one minor unit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from runtime.core.fields import Timestamp
from runtime.core.money import format_amount

ELSEWHERE: Final = "Equity:Elsewhere"
"""The other side of a movement between an exported account and one that its reader may not see."""
FIRST_DAY: Final = "1970-01-01"
"""Accounts are opened before everything else; their real opening time is in the metadata."""
_DAY_LENGTH: Final = len("YYYY-MM-DD")


@dataclass(frozen=True, slots=True)
class BooksTransaction:
    """What one transfer changed, in minor units by Beancount account; the sum is zero."""

    at: Timestamp
    narration: str
    operation_id: str
    transfer_id: str | None
    currency: str
    postings: tuple[tuple[str, int], ...]


def books_header(title: str) -> str:
    """The options. Other owners' accounts in transfers are opened by Beancount's plugin."""
    return (
        f"; Amounts have the sign that they have in the accounts; times are UTC.\n"
        f'option "title" {_quoted(title)}\n'
        f'plugin "beancount.plugins.auto_accounts"\n'
    )


def books_account(account_id: str) -> str:
    """The name of an account: `acc_01H…` is `Assets:Acc-01H…`. Names are unique.

    A component begins with an upper-case letter and has letters, digits and hyphens. Our ids have
    no hyphen.
    """
    component = account_id.replace("_", "-")
    return f"Assets:{component[:1].upper()}{component[1:]}"


def books_opening(account_id: str, currency: str, created_at: Timestamp, account_type: str) -> str:
    """The directive that opens an account, in one currency."""
    return (
        f"\n{FIRST_DAY} open {books_account(account_id)} {currency}\n"
        f"  account_id: {_quoted(account_id)}\n"
        f"  account_type: {_quoted(account_type)}\n"
        f"  created_at: {_quoted(created_at)}\n"
    )


def books_transaction(transaction: BooksTransaction) -> str:
    """One transaction with its postings. Their sum must be zero."""
    assert not sum(amount for _, amount in transaction.postings), transaction.operation_id
    lines = [
        f"{transaction.at[:_DAY_LENGTH]} * {_quoted(transaction.narration)}",
        f"  at: {_quoted(transaction.at)}",
        f"  operation: {_quoted(transaction.operation_id)}",
    ]
    if transaction.transfer_id is not None:
        lines.append(f"  transfer: {_quoted(transaction.transfer_id)}")
    lines += [
        f"  {account}  {format_amount(amount, transaction.currency)}"
        for account, amount in transaction.postings
    ]
    return "\n" + "\n".join(lines) + "\n"


def books_balance(account_id: str, balance: int, currency: str, day_after: str) -> str:
    """The closing balance, to the minor unit: asserted at the beginning of `day_after`."""
    number, _, code = format_amount(balance, currency).rpartition(" ")
    return f"\n{day_after} balance {books_account(account_id)}  {number} ~ 0 {code}\n"


def with_the_rest(postings: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """The postings, with their difference to zero on `Equity:Elsewhere`."""
    known = tuple(postings)
    rest = -sum(amount for _, amount in known)
    return (*known, (ELSEWHERE, rest)) if rest else known


def _quoted(text: str) -> str:
    """A Beancount string, on one line."""
    flat = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{flat}"'
