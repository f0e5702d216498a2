"""The rules an account must satisfy for a transfer to begin, and the error for each violation.

The write enforces the same rules as DynamoDB conditions (ledger/movements.py). This module derives
the error from the row that the failed condition returned. Ownership is checked first: another
owner's account is reported as not found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from runtime.core.echo import echoed
from runtime.core.errors import (
    CurrencyMismatch,
    Forbidden,
    InactiveAccount,
    InsufficientFunds,
    Locked,
    NotFound,
    PlatformError,
)
from runtime.core.fields import Timestamp
from runtime.customers.lockout_rules import is_locked
from runtime.ledger.accounts.models import Account, AccountStatus, AccountType, Posting
from runtime.ledger.rules import Movement

ORDINARY_TYPES: Final = (AccountType.CHECKING, AccountType.SAVINGS, AccountType.WALLET)
"""Account types that merchants may transfer between. The others are for operators only."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the caller may do with the accounts of a transfer.

    `owner`: required owner of the accounts; None allows any (operators). `ordinary_only`: only
    ORDINARY_TYPES, and no hot accounts. With `several_legs`, errors refer to the field `legs` and
    include the account id in their detail.
    """

    owner: str | None
    ordinary_only: bool
    currency: str
    at: Timestamp
    several_legs: bool = False


Touched = tuple[Movement, Account]
"""A movement, and the account's row when its condition was checked."""


def ownership_refusal(touched: Sequence[Touched], terms: Terms) -> NotFound | None:
    """The refusal for the first account of another owner, if any."""
    for movement, account in touched:
        if terms.owner not in (None, account.merchant_id):
            return unknown_account(movement, terms)
    return None


def unknown_account(movement: Movement, terms: Terms) -> NotFound:
    """The error for an account that does not exist or is not visible to the caller."""
    return NotFound(
        f"No such account: {echoed(movement.account_id)}", param=_param(movement, terms)
    )


def first_refusal(touched: Sequence[Touched], terms: Terms) -> PlatformError | None:
    """The refusal of the first rule that any of the accounts breaks, in the order of `_RULES`."""
    for rule in _RULES:
        for movement, account in touched:
            refusal = rule(movement, account, terms)
            if refusal is not None:
                return refusal
    return None


def hold_refusal(hold_id: str, touched: Sequence[Account]) -> Forbidden | None:
    """The refusal of a merchant that ends a hold, for the first account that is not ordinary."""
    for account in touched:
        if not _is_ordinary(account):
            return only_operators_end(hold_id, account.id)
    return None


def only_operators_end(hold_id: str, account_id: str) -> Forbidden:
    """The error for a hold that only operators may post or cancel, because of this account."""
    return Forbidden(
        f"Only operators can transfer from or to {account_id}, and so post or cancel {hold_id}"
    )


def _is_ordinary(account: Account) -> bool:
    return account.account_type in ORDINARY_TYPES and account.posting is Posting.IMMEDIATE


def _permitted(movement: Movement, account: Account, terms: Terms) -> PlatformError | None:
    if _is_ordinary(account) or not terms.ordinary_only:
        return None
    return Forbidden(
        f"Only operators can transfer from or to {account.id}", param=_param(movement, terms)
    )


def _active(movement: Movement, account: Account, terms: Terms) -> PlatformError | None:
    if account.status is AccountStatus.ACTIVE:
        return None
    return InactiveAccount(
        f"Account {account.id} is {account.status}", param=_param(movement, terms)
    )


def _same_currency(movement: Movement, account: Account, terms: Terms) -> PlatformError | None:
    if account.currency == terms.currency:
        return None
    return CurrencyMismatch(
        f"Account {account.id} is in {account.currency}, but the transfer is in {terms.currency}",
        param=_param(movement, terms),
    )


def _unlocked(movement: Movement, account: Account, terms: Terms) -> PlatformError | None:
    until = account.locked_until
    if movement.spendable >= 0 or until is None or not is_locked(until, terms.at):
        return None
    return Locked(
        f"Account {account.id}",
        until=until,
        at=terms.at,
        unlock=f"/v1/accounts/{account.id}/unlock (operators only)",
        param=_param(movement, terms),
    )


def _funded(movement: Movement, account: Account, terms: Terms) -> PlatformError | None:
    if account.spendable + movement.spendable >= 0 or movement.spendable >= 0:
        return None
    where = f" in {account.id}" if terms.several_legs else ""
    return InsufficientFunds(
        f"Insufficient funds{where}: available {account.spendable}, "
        f"requested {-movement.spendable}",
        param=_param(movement, terms),
    )


_Rule = Callable[[Movement, Account, Terms], PlatformError | None]
_RULES: Final[tuple[_Rule, ...]] = (_permitted, _active, _same_currency, _unlocked, _funded)


def _param(movement: Movement, terms: Terms) -> str:
    if terms.several_legs:
        return "legs"
    return "from_account_id" if movement.spendable < 0 else "to_account_id"
