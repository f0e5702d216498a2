"""Entries of accounts in the order of their statements, split only between positions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from runtime.ledger.accounts.models import Account
from runtime.ledger.accounts.queries import position_of
from runtime.ledger.entries.models import Entry


@dataclass(frozen=True, slots=True)
class Together:
    """Entries of one account with one position: a hot account has several of one operation."""

    entries: tuple[Entry, ...]
    position: str


def whole_operations(account: Account, entries: Iterable[Entry]) -> Iterator[Together]:
    """The account's entries by position: splitting between two positions loses none of them."""
    for position, group in groupby(entries, key=lambda entry: position_of(account, entry)):
        yield Together(tuple(group), position)
