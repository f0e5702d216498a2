"""Folded accounts, remembered for seconds: a credit to one touches no row of it, so none is read.

What is remembered comes from a refused write's old item. Status and lock may be so many seconds
old; id, owner, currency and posting never change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from runtime.ledger.accounts.models import Account

MAX_REMEMBERED = 1_000


class KnownHotAccounts:
    """A bounded memory of accounts whose posting is folded."""

    def __init__(self, remember_seconds: float, monotonic: Callable[[], float]) -> None:
        self._remember_seconds = remember_seconds
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[float, Account]] = OrderedDict()

    def learn(self, accounts: Iterable[Account]) -> None:
        """Remember these as they stand now."""
        until = self._monotonic() + self._remember_seconds
        for account in accounts:
            self._known[account.id] = (until, account)
            self._known.move_to_end(account.id)
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    def get(self, account_id: str) -> Account | None:
        """The account, if it is known to be folded and the memory is fresh."""
        known = self._known.get(account_id)
        return known[1] if known is not None and known[0] > self._monotonic() else None
