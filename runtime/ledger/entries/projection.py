"""Accounts' stream → entries: one per version of row 00, or of a debit shard of a hot account."""

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
"""Entries written at once: they are independent of each other, and a Lambda has CPU for few."""
_OPERATIONS = (TRANSFER_PREFIX, CONSOLIDATION_PREFIX)


@dataclass(frozen=True)
class EntriesProjection:
    """Puts the entries of immediate accounts, and of all debits of folded ones."""

    store: Store

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Write an entry for each new version of a row 00 or a debit shard."""
        wanted = [change for change in changes if _is_a_version(change)]
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
        except Exception:  # noqa: BLE001 - this change comes again, the others are done
            logger.exception("an entry could not be written", entry=entry.account_shard)
            return False
        if there is not None and there != entry:
            # Append only: whichever is right, the proof of the books will name it.
            logger.error(ENTRY_CONFLICT, stored=there.model_dump(), derived=entry.model_dump())
        return True


def entry_of(old: Account | None, new: Account) -> Entry:
    """The entry of the step from `old` to `new`."""
    before = (old.balance, old.held_out, old.held_in) if old is not None else (0, 0, 0)
    exact = new.shard == PROFILE_SHARD
    operation_id = new.last_operation_id or ""
    return Entry(
        account_shard=entry_partition(new.id, new.shard),
        sequence=version_sequence(new.version) if exact else shard_sequence(operation_id),
        transfer_id=new.cause if new.cause.startswith(_OPERATIONS) else None,
        operation_id=operation_id,
        account_id=new.id,
        amount=new.balance - before[0],
        held_out=new.held_out - before[1],
        held_in=new.held_in - before[2],
        balance_after=new.balance if exact else None,
        fold_version=None if exact else new.version,
        currency=new.currency,
        created_at=new.updated_at,
    )


def _is_a_version(change: Change) -> bool:
    row: Account = change.new or change.old
    operational_alerts = _audit_reason(change)
    if operational_alerts is not None:
        logger.error(OUT_OF_BAND, account=row.id, shard=row.shard, detail=operational_alerts)
        return False
    # The entries of a credit shard are written with it.
    return row.shard == PROFILE_SHARD or is_debit_shard(row.shard)


def _audit_reason(change: Change) -> str | None:
    """What nobody who keeps to the rules has done to the row: each write is one version more."""
    if change.kind is Kind.REMOVE:
        return "the row was deleted"
    before = change.old.version if change.old is not None else 0
    if change.new.version != before + 1:
        return f"version {before} became {change.new.version}"
    return None
