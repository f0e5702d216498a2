"""Entries: one per change of an account, derived from the change stream."""

from typing import Annotated, Final
from zlib import crc32

from runtime.core.fields import SignedMinorUnits, Timestamp
from runtime.dynamodb.schema import Row, UnlessDefault, partition, sort

CREDIT_PARTITIONS: Final = 64
"""Partitions of the entries of an account's credit shards, each for 500 entries per second. Never
change this: a transfer's entry is found, and written only once, by its partition."""
_CREDITS: Final = "e"


EntryPlace = tuple[str, str]
"""Partition and sort key of an entry."""


class Entry(Row, table="entries", frozen=True):
    """One operation's change to one row of an account, and the exact balance after it.

    Row `00` has one entry per version; `sequence` is the version in 12 digits. Holds and status
    changes have the amount 0. A balance shard has one entry per operation; `sequence` is the
    time-sortable part of the operation's id and `fold_version` the first version of the shard that
    includes the amount. A shard's entry has no `balance_after`, because the account's exact balance
    is not known at that time.

    The entries of a debit shard have a partition of their own. Those of all credit shards together
    are in 64 partitions (`acc_x#e00` to `acc_x#e63`), chosen by the transfer's id, and
    `balance_shard` is the credit shard that includes the amount. So the key of an entry depends
    only on the transfer, and a transfer cannot be added twice, whichever shard it is added to.

    `held_out` and `held_in` are the operation's changes to the held amounts.
    """

    account_shard: Annotated[str, partition()]
    sequence: Annotated[str, sort()]
    transfer_id: Annotated[str | None, partition("transfer-index")] = None
    operation_id: str
    account_id: str
    amount: SignedMinorUnits
    held_out: Annotated[SignedMinorUnits, UnlessDefault()] = 0
    held_in: Annotated[SignedMinorUnits, UnlessDefault()] = 0
    balance_after: SignedMinorUnits | None = None
    fold_version: int | None = None
    balance_shard: str | None = None
    currency: str
    created_at: Timestamp


def entry_partition(account_id: str, shard: str) -> str:
    """Partition key of the entries of one row of an account, such as `acc_x#00`."""
    return f"{account_id}#{shard}"


def credit_partition(account_id: str, transfer_id: str) -> str:
    """Partition key of the entry of a transfer that is credited to a hot account."""
    return _credit_partition(account_id, crc32(transfer_id.encode()) % CREDIT_PARTITIONS)


def credit_partitions(account_id: str) -> tuple[str, ...]:
    """Partition keys of the entries of all credit shards of an account."""
    return tuple(_credit_partition(account_id, number) for number in range(CREDIT_PARTITIONS))


def is_credit_partition(partition: str) -> bool:
    """Whether the partition has entries of credit shards."""
    return partition.rpartition("#")[2].startswith(_CREDITS)


def version_sequence(version: int) -> str:
    """Sort key of the entry of one version of row `00`."""
    return f"{version:012d}"


def shard_sequence(operation_id: str) -> str:
    """Sort key of an operation's entry on a balance shard: the ULID without its prefix."""
    return operation_id.partition("_")[2]


def consolidation_key(account_id: str, shard: str, operation_id: str) -> EntryPlace:
    """Partition and sort key of a consolidation's entry on a balance shard.

    It empties many shards. The entries of credit shards are in one partition, so their sort keys
    have the shard, too.
    """
    sequence = shard_sequence(operation_id)
    if shard.isdecimal():
        return _credit_partition(account_id, 0), f"{sequence}#{shard}"
    return entry_partition(account_id, shard), sequence


def _credit_partition(account_id: str, number: int) -> str:
    return entry_partition(account_id, f"{_CREDITS}{number:02d}")
