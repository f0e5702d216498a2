"""Entries: one per change of an account, derived from the change stream."""

from __future__ import annotations

from typing import Annotated

from runtime.core.fields import SignedMinorUnits, Timestamp
from runtime.dynamodb.schema import Row, UnlessDefault, partition, sort


class Entry(Row, table="entries", frozen=True):
    """One operation's change to one row of an account, and the exact balance after it.

    Row `00` has one entry per version; `sequence` is the version in 12 digits. Holds and status
    changes have the amount 0. A balance shard has one entry per operation; `sequence` is the
    time-sortable part of the operation's id and `fold_version` the first version of the shard that
    includes the amount. A shard's entry has no `balance_after`, because the account's exact balance
    is not known at that time.

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
    currency: str
    created_at: Timestamp


def entry_partition(account_id: str, shard: str) -> str:
    """Partition key of the entries of one row of an account, such as `acc_x#00`."""
    return f"{account_id}#{shard}"


def version_sequence(version: int) -> str:
    """Sort key of the entry of one version of row `00`."""
    return f"{version:012d}"


def shard_sequence(operation_id: str) -> str:
    """Sort key of an operation's entry on a balance shard: the ULID without its prefix."""
    return operation_id.partition("_")[2]
