"""A short-lived cache of hot accounts, so that a credit to one needs no read of the account.

Accounts are learned from the items that a failed condition returns. Cached status and lock may be
a few seconds old; id, owner, currency and posting never change.
"""

from __future__ import annotations

from collections.abc import Iterable

from runtime.core.cache import Cache
from runtime.core.outside import Outside
from runtime.ledger.accounts.models import Account

MAX_REMEMBERED = 1_000


class KnownHotAccounts:
    """A bounded cache of hot accounts."""

    def __init__(self, remember_seconds: float, outside: Outside) -> None:
        self._known: Cache[str, Account] = Cache(MAX_REMEMBERED, outside, seconds=remember_seconds)

    def learn(self, accounts: Iterable[Account]) -> None:
        """Cache the accounts in their current state."""
        for account in accounts:
            self._known.keep(account.id, account)

    def get(self, account_id: str) -> Account | None:
        """The account if it is cached as hot and the cache entry has not expired."""
        return self._known.get(account_id)
