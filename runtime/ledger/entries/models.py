"""Entries: one line per change of an account, derived from the streams, read for statements."""

from __future__ import annotations

from typing import Annotated

from runtime.core.fields import SignedMinorUnits, Timestamp
from runtime.dynamodb.schema import Row, UnlessDefault, partition, sort


class Entry(Row, table="entries", frozen=True):
    """What one operation changed in one account, and the exact balance after it.

    Of row `00` there is an entry per version, `sequence` being the version in 12 digits; holds and
    changes of status have the amount 0. Of a hot account's shard there is an entry per operation,
    `sequence` being the time-sortable part of its id; `fold_version` is the version of the shard
    that first holds the amount, and no balance of the account is exact at that instant, so
    `balance_after` is absent.

    `held_out` and `held_in` are what the operation changed of what is held; mostly nothing.
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
    """Partition key of the entries of one row of an account: `acc_x#00`."""
    return f"{account_id}#{shard}"


def version_sequence(version: int) -> str:
    """Sort key of the entry of one version of row `00`."""
    return f"{version:012d}"


def shard_sequence(operation_id: str) -> str:
    """Sort key of an operation's entry on a fold row: its ULID, the same for every prefix."""
    return operation_id.partition("_")[2]
