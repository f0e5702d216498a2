"""Accounts stream → entries: one per version of row 00 or of a debit shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.core.change_context import ENTRY_CONFLICT, OUT_OF_BAND
from runtime.core.observability import logger
from runtime.dynamodb.errors import InvalidRequest
from runtime.dynamodb.store import Store
from runtime.ledger.accounts.models import PROFILE_SHARD, Account
from runtime.ledger.entries.models import Entry, entry_partition, shard_sequence, version_sequence
from runtime.ledger.hot_accounts.rules import is_debit_shard
from runtime.ledger.rules import CONSOLIDATION_PREFIX, TRANSFER_PREFIX
from runtime.streams.records import Change, Failed, Kind

PARALLEL_WRITES = 8
"""Entries written concurrently. They are independent, and the Lambda has little CPU."""
_OPERATIONS = (TRANSFER_PREFIX, CONSOLIDATION_PREFIX)


@dataclass(frozen=True)
class EntriesProjection:
    """Writes the entries of row 00 and of debit shards."""

    store: Store

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Write an entry for each new version of row 00 or of a debit shard."""
        wanted = [change for change in changes if _is_entry_source(change)]
        with self.store.outside.threads(PARALLEL_WRITES) as pool:
            done = list(pool.map(self._write, wanted))
        return frozenset(
            change.sequence_number
            for change, written in zip(wanted, done, strict=True)
            if not written
        )

    def _write(self, change: Change) -> bool:
        entry = entry_of(change.old, change.new)
        try:
            there = self.store.put_new(entry)
        except InvalidRequest:
            raise
        except Exception:  # noqa: BLE001 - this change is retried, the others are done
            logger.exception(
                "an entry could not be written",
                entry=entry.account_shard,
                request_id=change.new.request_id,
            )
            return False
        if there is not None and there != entry:
            # Entries are append-only. Ledger verification reports which of the two is wrong.
            logger.error(
                ENTRY_CONFLICT,
                stored=there.model_dump(),
                derived=entry.model_dump(),
                request_id=change.new.request_id,
            )
        return True


def entry_of(old: Account | None, new: Account) -> Entry:
    """The entry for the change from `old` to `new`."""
    before = (old.balance, old.held_out, old.held_in) if old is not None else (0, 0, 0)
    exact = new.shard == PROFILE_SHARD
    operation_id = new.last_operation_id or ""
    return Entry(
        account_shard=entry_partition(new.account_id, new.shard),
        sequence=version_sequence(new.version) if exact else shard_sequence(operation_id),
        transfer_id=new.cause if new.cause.startswith(_OPERATIONS) else None,
        operation_id=operation_id,
        account_id=new.account_id,
        amount=new.balance - before[0],
        held_out=new.held_out - before[1],
        held_in=new.held_in - before[2],
        balance_after=new.balance if exact else None,
        fold_version=None if exact else new.version,
        currency=new.currency,
        created_at=new.updated_at,
    )


def _is_entry_source(change: Change) -> bool:
    row: Account = change.new or change.old
    reason = _out_of_band_reason(change)
    if reason is not None:
        logger.error(OUT_OF_BAND, account=row.id, shard=row.shard, detail=reason)
        return False
    # A credit shard's entries are written in the same transaction as the shard.
    return row.shard == PROFILE_SHARD or is_debit_shard(row.shard)


def _out_of_band_reason(change: Change) -> str | None:
    """Why the change is out-of-band, or None. Every regular write increments the version by one."""
    if change.kind is Kind.REMOVE:
        return "the row was deleted"
    before = change.old.version if change.old is not None else 0
    if change.new.version != before + 1:
        return f"version {before} became {change.new.version}"
    return None
