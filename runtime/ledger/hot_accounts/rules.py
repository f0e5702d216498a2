"""Hot accounts: what facts take from them at once, and what a guarded debit must still find.

A hot account has a row `00`, credit shards (`01` to `16`, raised by the change stream) and, where
facts may take money out of it, debit shards (`d00` to `d63`, lowered in the fact's own
transaction). Credits may arrive late, debits never: so the sum of all rows is never more than what
the account really has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypedDict
from zlib import crc32

from runtime.ledger.rules import CREDIT_SHARDS, is_receivable, net_by_account
from runtime.ledger.transfers.models import Leg

DEBIT_SHARDS: Final = 64
"""Debit shards of a receivable: at 500 refunds a second each takes 8. A transfer names its shard,
so the number may grow; whoever lowers it consolidates the shards that fall away."""
_DEBIT_PREFIX: Final = "d"


def debit_shard(transfer_id: str, taken: Iterable[str] = (), first: int | None = None) -> str:
    """Sort key of the debit shard that a fact lowers: by its id, the next one where it is `taken`.

    DynamoDB takes an item only once in a transaction: facts that share one must not share a shard.
    `first`: the number of the shard to try first, where those who work at once have numbers.
    """
    used = frozenset(taken)
    first = crc32(transfer_id.encode()) if first is None else first
    for step in range(DEBIT_SHARDS):
        shard = _shard((first + step) % DEBIT_SHARDS)
        if shard not in used:
            return shard
    raise AssertionError(f"more than {DEBIT_SHARDS} facts in one transaction")


def debit_shards() -> tuple[str, ...]:
    """Sort keys of all debit shards of an account."""
    return tuple(_shard(number) for number in range(DEBIT_SHARDS))


def shards_of(account_id: str) -> tuple[str, ...]:
    """Sort keys of every shard that a hot account may have beside its row 00."""
    return (*credit_shards(), *(debit_shards() if is_receivable(account_id) else ()))


def credit_shards() -> tuple[str, ...]:
    """Sort keys of the credit shards of an account, which transfers are folded into."""
    return tuple(f"{number:02d}" for number in range(1, CREDIT_SHARDS + 1))


def is_debit_shard(shard: str) -> bool:
    """Whether the sort key is a debit shard's."""
    return shard.startswith(_DEBIT_PREFIX)


class FactAccounts(TypedDict):
    """The attributes of a Transfer that say where its postings go."""

    folded_accounts: tuple[str, ...]
    debited_accounts: tuple[str, ...]
    debit_shard: str | None


def accounts_of_fact(
    transfer_id: str, legs: Iterable[Leg], taken: Iterable[str] = (), first: int | None = None
) -> FactAccounts:
    """Which accounts of a fact are debited in its own commit, on which shard; others are folded.

    `taken` and `first` as for `debit_shard`.
    Debited are receivables whose net is negative: the platform's own accounts have no floor that a
    late debit could pass, and a capture net of its fee is a credit.
    """
    nets = net_by_account(legs)
    debited = tuple(name for name, net in nets.items() if net < 0 and is_receivable(name))
    return FactAccounts(
        folded_accounts=tuple(name for name in nets if name not in debited),
        debited_accounts=debited,
        debit_shard=debit_shard(transfer_id, taken, first) if debited else None,
    )


@dataclass(frozen=True, slots=True)
class HotBalance:
    """A hot account as it was read, row `00` before all shards; amounts in minor units.

    `spendable` is row 00's, `in_shards` the sum of all shards, `debits` the balance of each debit
    shard (0 where there is none yet); empty for an account that no fact debits.
    """

    version: int
    spendable: int
    in_shards: int
    debits: Mapping[str, int]

    @property
    def total(self) -> int:
        """What the whole account can give away."""
        return self.spendable + self.in_shards

    def least_debits(self, amount: int) -> dict[str, int]:
        """The balance that each debit shard may not have passed when `amount` is taken.

        Together they may have lost what would be left of the total, and not a unit more. Empty
        where the total is too little anyway.
        """
        slack = self.total - amount
        if slack < 0 or not self.debits:
            return {}
        parts = shared_out(slack, len(self.debits))
        return {
            shard: seen - part
            for (shard, seen), part in zip(sorted(self.debits.items()), parts, strict=True)
        }


def shared_out(amount: int, parts: int) -> tuple[int, ...]:
    """`amount` in so many parts that differ by at most one and add up to it exactly."""
    each, left = divmod(amount, parts)
    return tuple(each + (place < left) for place in range(parts))


def _shard(number: int) -> str:
    return f"{_DEBIT_PREFIX}{number:02d}"
