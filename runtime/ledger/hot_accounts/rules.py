"""Hot accounts: balance shards, immediate debits by facts, and guarded debits by requests.

A hot account has row `00`, credit shards (`01` to `16` at first, raised by the change stream) and,
if it is a receivable, debit shards (`d00` to `d63`, lowered in the fact's own transaction). Credits
may arrive late, debits never do, so the sum of all rows never exceeds the account's real balance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypedDict
from zlib import crc32

from runtime.ledger.accounts.models import PROFILE_SHARD
from runtime.ledger.rules import is_receivable, net_by_account
from runtime.ledger.transfers.models import Leg

MAX_CREDIT_SHARDS: Final = 256
"""Most credit shards of an account. A transfer may be added to any of them."""
DEBIT_SHARDS: Final = 64
"""Debit shards of a receivable: at 500 refunds per second each takes 8. A transfer stores its
shard, so the number may grow. Before lowering it, consolidate the shards to be removed."""
_DEBIT_PREFIX: Final = "d"


def debit_shard(transfer_id: str, taken: Iterable[str] = (), first: int | None = None) -> str:
    """Sort key of the debit shard for a fact: chosen by its id, skipping shards in `taken`.

    A DynamoDB transaction may contain an item only once, so facts in one transaction need
    different shards. `first`: the shard number to try first, for numbered parallel workers.
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


def shards_of(account_id: str, credits_: int) -> tuple[str, ...]:
    """Sort keys of every shard that a hot account may have besides row 00.

    `credits_`: the number of its credit shards.
    """
    return (*credit_shards(credits_), *(debit_shards() if is_receivable(account_id) else ()))


def credit_shards(number: int) -> tuple[str, ...]:
    """Sort keys of so many credit shards, at most MAX_CREDIT_SHARDS.

    Row `00` has a larger number only if it was edited by hand.
    """
    return tuple(credit_shard(each) for each in range(1, min(number, MAX_CREDIT_SHARDS) + 1))


def credit_shard(number: int) -> str:
    """Sort key of a credit shard; the first is 1."""
    return f"{number:02d}"


def is_credit_shard(shard: str) -> bool:
    """Whether the sort key belongs to a credit shard."""
    return shard.isdecimal() and shard != PROFILE_SHARD


def is_debit_shard(shard: str) -> bool:
    """Whether the sort key belongs to a debit shard."""
    return shard.startswith(_DEBIT_PREFIX)


class FactAccounts(TypedDict):
    """The attributes of a Transfer that determine how its postings are applied."""

    folded_accounts: tuple[str, ...]
    debited_accounts: tuple[str, ...]
    debit_shard: str | None


def accounts_of_fact(
    transfer_id: str, legs: Iterable[Leg], taken: Iterable[str] = (), first: int | None = None
) -> FactAccounts:
    """Which accounts a fact debits in its own commit and on which shard. Others are credited later.

    `taken` and `first`: see `debit_shard`. Only receivables with a negative net are debited
    immediately. The platform's own accounts have no floor that a late debit could violate.
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
    """A hot account as it was read, row `00` before the shards. Amounts are in minor units.

    `spendable` is that of row 00, `in_shards` the sum of all shards, and `debits` the balance of
    each debit shard (0 if it does not exist yet). `debits` is empty unless it is a receivable.
    """

    version: int
    spendable: int
    in_shards: int
    debits: Mapping[str, int]

    @property
    def total(self) -> int:
        """Spendable amount of the whole account."""
        return self.spendable + self.in_shards

    def least_debits(self, amount: int) -> dict[str, int]:
        """The lowest balance each debit shard may have at the commit of a debit of `amount`.

        What the debit leaves of the total is shared out among the shards, so together they may
        fall by exactly that much. Empty if the total does not cover `amount`.
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
    """Split `amount` into `parts` that differ by at most one and add up to it exactly."""
    each, left = divmod(amount, parts)
    return tuple(each + (place < left) for place in range(parts))


def _shard(number: int) -> str:
    return f"{_DEBIT_PREFIX}{number:02d}"
