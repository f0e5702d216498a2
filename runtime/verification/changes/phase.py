"""Phase of an incremental run: notes which rows changed since the last verified state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.audit.models import EntityType
from runtime.core.fields import Timestamp
from runtime.ledger.accounts.models import PROFILE_SHARD
from runtime.verification.accounts.credits import checkpoint_name
from runtime.verification.books_repository import TransferFacts
from runtime.verification.changes.feed import ArchivedChange
from runtime.verification.changes.notes import Notes, Subject, segment_of
from runtime.verification.segments import Work


def read_changes(work: Work) -> None:
    """Note the rows that the segment's objects name. Raises OutOfTime, StaleWrite."""
    since, feed, state = work.run.since, work.deps.changes, work.state
    assert since is not None, "a full run does not read the changes"
    after = str(state.cursor["name"]) if state.cursor is not None else ""
    for name in feed.names(since):
        if name <= after or segment_of(name, work.books.segments) != work.segment:
            continue
        changes = feed.changes(name)
        _note_all(changes, since, work)
        state.cursor = {"name": name}
        work.count(len(changes))
        if work.notes.is_full:
            work.save()
        work.step()
    work.finish()


def _note_all(changes: Sequence[ArchivedChange], since: Timestamp, work: Work) -> None:
    """Note the changed rows, and those that must agree with them.

    A change that was recorded late is suspect: its rows may be older than what this run adds up.
    Transfers need no such mark, because their ids contain their time.
    """
    unnamed: dict[EntityType, dict[str, bool]] = {
        EntityType.TRANSFER: {},
        EntityType.TRANSACTION: {},
    }
    for change in changes:
        entity, irregular = change.entity_id, change.is_irregular
        suspect = irregular or change.timestamp <= since
        if change.entity_type == EntityType.ACCOUNT:
            account_id, _, shard = entity.partition("#")
            work.notes.note(Subject.ACCOUNTS, account_id)
            if irregular:
                row = checkpoint_name(account_id, shard or PROFILE_SHARD)
                work.notes.note(Subject.ROWS, row, suspect=True)
        elif change.entity_type == EntityType.PAYMENT:
            work.notes.note(Subject.PAYMENTS, entity, suspect=suspect)
        elif change.entity_type == EntityType.SETTLEMENT:
            work.notes.note(Subject.SETTLEMENTS, entity, suspect=suspect)
        elif change.entity_type == EntityType.TRANSACTION:
            _note_related(change, work.notes, suspect=suspect)
            if not change.is_of_new_row:
                known = unnamed[EntityType.TRANSACTION]
                known[entity] = suspect or known.get(entity, False)
        elif change.entity_type == EntityType.TRANSFER:
            work.notes.note(Subject.TRANSFERS, entity, suspect=irregular)
            _note_accounts(change, work.notes)
            _note_related(change, work.notes, suspect=irregular)
            if not change.is_of_new_row:
                known = unnamed[EntityType.TRANSFER]
                known[entity] = irregular or known.get(entity, False)
    _look_up(unnamed, work)


def _look_up(unnamed: Mapping[EntityType, Mapping[str, bool]], work: Work) -> None:
    """Note the related rows of changes that do not name them: only what changed is archived."""
    transfers = unnamed[EntityType.TRANSFER]
    for transfer in work.books.transfers_by_id(list(transfers)).values():
        _note_transfer(transfer, work.notes, suspect=transfers[transfer.id])
    transactions = unnamed[EntityType.TRANSACTION]
    for transaction in work.books.transactions(list(transactions)).values():
        suspect = transactions[transaction.id]
        work.notes.note(Subject.PAYMENTS, transaction.payment_id, suspect=suspect)


def _note_accounts(change: ArchivedChange, notes: Notes) -> None:
    """The accounts that a transfer names, and those that it named before an edit."""
    for values in (change.old_values, change.new_values):
        legs: Any = values.get("legs")
        for leg in legs if isinstance(legs, list) else ():
            for side in ("from_account_id", "to_account_id"):
                if isinstance(leg, dict) and isinstance(leg.get(side), str):
                    notes.note(Subject.ACCOUNTS, leg[side])


def _note_related(change: ArchivedChange, notes: Notes, *, suspect: bool) -> None:
    """The payment and the settlement that a row names, and those that it named before an edit."""
    for values in (change.old_values, change.new_values):
        _note_ids(values.get("payment_id"), values.get("settlement_id"), notes, suspect=suspect)


def _note_ids(payment_id: Any, settlement_id: Any, notes: Notes, *, suspect: bool) -> None:
    if isinstance(settlement_id, str):
        notes.note(Subject.SETTLEMENTS, settlement_id, suspect=suspect)
    if isinstance(payment_id, str):
        notes.note(Subject.PAYMENTS, payment_id, suspect=suspect)


def _note_transfer(transfer: TransferFacts, notes: Notes, *, suspect: bool) -> None:
    for leg in transfer.legs:
        notes.note(Subject.ACCOUNTS, leg.from_account_id)
        notes.note(Subject.ACCOUNTS, leg.to_account_id)
    _note_ids(transfer.payment_id, transfer.settlement_id, notes, suspect=suspect)
