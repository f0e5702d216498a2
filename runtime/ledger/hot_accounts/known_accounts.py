"""A short-lived cache of hot accounts, so that a credit to one needs no read of the account.

Accounts are learned from the items that a failed condition returns. Cached status and lock may be
a few seconds old; id, owner, currency and posting never change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from runtime.ledger.accounts.models import Account

MAX_REMEMBERED = 1_000


class KnownHotAccounts:
    """A bounded cache of hot accounts."""

    def __init__(self, remember_seconds: float, monotonic: Callable[[], float]) -> None:
        self._remember_seconds = remember_seconds
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[float, Account]] = OrderedDict()

    def learn(self, accounts: Iterable[Account]) -> None:
        """Cache the accounts in their current state."""
        until = self._monotonic() + self._remember_seconds
        for account in accounts:
            self._known[account.id] = (until, account)
            self._known.move_to_end(account.id)
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    def get(self, account_id: str) -> Account | None:
        """The account if it is cached as hot and the cache entry has not expired."""
        known = self._known.get(account_id)
        return known[1] if known is not None and known[0] > self._monotonic() else None
