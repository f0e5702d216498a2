"""Checks changes of balance shards: only postings and consolidations make them, with entries.

Entries are append-only and name the shard and its version, so they record such a change, and the
audit log does not repeat it. Any other change is out of band. The entry of the last operation is
checked here; that all entries of a shard add up to its balance is checked by ledger verification.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from runtime.audit.models import EntityType
from runtime.audit.projection.rows import AuditableChange
from runtime.core.observability import logger
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS
from runtime.ledger.accounts.models import PROFILE_SHARD, account_of_row, row_id
from runtime.ledger.entries.models import (
    Entry,
    EntryPlace,
    consolidation_key,
    credit_partition,
    shard_sequence,
)
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.rules import is_credit_shard, is_debit_shard
from runtime.ledger.rules import CONSOLIDATION_PREFIX, TRANSFER_PREFIX
from runtime.streams.images import changed_attributes, number_of, text_of

MAX_ID: Final = 100
"""Longest id of an account or operation. A longer one may not even be a valid key."""
_POSTED: Final = frozenset({"balance", "last_operation_id"})
"""Attributes that a posting changes."""
_PROFILE: Final = frozenset(
    {"id", "shard", "merchant_id", "account_type", "currency", "posting", "status", "created_at"}
)
"""Attributes that a new shard has besides; all others are 0 or absent."""


def is_shard(change: AuditableChange) -> bool:
    """Whether the change is of a balance shard, not of row 00 or another entity."""
    image = change.record.new or change.record.old or {}
    return change.entity_type is EntityType.ACCOUNT and text_of(image, "shard") != PROFILE_SHARD


@dataclass(frozen=True)
class ShardAttribution:
    """Compares changes of balance shards with the entries behind them."""

    entries: EntryRepository

    def unexplained(self, changes: Sequence[AuditableChange]) -> dict[str, str]:
        """Unexplained changes: the reason by stream sequence number.

        For debit shards, what moved is compared with the transfer (balance_attribution.py).
        """
        made = [each for each in changes if is_shard(each) and each.record.new is not None]
        wrong = {each.record.sequence_number: _shape_fault(each) for each in made}
        credited = [each for each in made if is_credit_shard(_new(each, "shard"))]
        doubted = _doubted(credited, self._read(credited, settled=False))
        # The stream may deliver one row of a commit before a plain read shows the others.
        faults = _doubted(doubted, self._read(doubted, settled=True)) if doubted else doubted
        wrong |= {
            each.record.sequence_number: _shape_fault(each)
            or f"its balance changed by {_delta(each)}, and no entry of {_new(each, 'cause')!r} "
            f"names its version {each.new_version}"
            for each in faults
        }
        return {number: fault for number, fault in wrong.items() if fault is not None}

    def _read(
        self, changes: Sequence[AuditableChange], *, settled: bool
    ) -> Mapping[EntryPlace, Entry]:
        places = sorted({place for each in changes if (place := _place(each)) is not None})
        return {
            (entry.account_shard, entry.sequence): entry
            for start in range(0, len(places), MAX_TRANSACTION_ITEMS)
            for entry in self._at(places[start : start + MAX_TRANSACTION_ITEMS], settled=settled)
        }

    def _at(self, places: Sequence[EntryPlace], *, settled: bool) -> Iterator[Entry]:
        try:
            yield from self.entries.at(places, settled=settled)
        except ValidationError:
            if len(places) == 1:
                logger.warning("an entry cannot be read", account_shard=places[0][0])
                return
            for place in places:  # one by one, so that it fails alone
                yield from self._at([place], settled=settled)


def _doubted(
    changes: Sequence[AuditableChange], found: Mapping[EntryPlace, Entry]
) -> list[AuditableChange]:
    return [each for each in changes if not _is_explained(each, found)]


def _is_explained(change: AuditableChange, found: Mapping[EntryPlace, Entry]) -> bool:
    """Whether the entry of the last operation names this version of the shard, and its cause."""
    place = _place(change)
    entry = None if place is None else found.get(place)
    if entry is None or entry.transfer_id != _new(change, "cause"):
        return False
    if (entry.balance_shard, entry.fold_version) != (_new(change, "shard"), change.new_version):
        return False
    empties = _new(change, "cause").startswith(CONSOLIDATION_PREFIX)
    return not empties or entry.amount == _delta(change)


def _place(change: AuditableChange) -> EntryPlace | None:
    """Where the entry of the last operation is; None if the ids cannot be those of a posting."""
    account = account_of_row(_new(change, "id"), _new(change, "shard"))
    cause = _new(change, "cause")
    operation = _new(change, "last_operation_id")
    if max(map(len, (account, cause, operation))) > MAX_ID or not shard_sequence(operation):
        return None
    if cause.startswith(TRANSFER_PREFIX):
        return credit_partition(account, cause), shard_sequence(operation)
    if cause.startswith(CONSOLIDATION_PREFIX) and cause == operation:
        return consolidation_key(account, _new(change, "shard"), operation)
    return None


def _shape_fault(change: AuditableChange) -> str | None:
    """Why no posting makes such a change, whatever its entries."""
    old, new = change.record.old or {}, change.record.new or {}
    shard, is_new = text_of(new, "shard"), change.record.old is None
    may = _POSTED | _PROFILE if is_new else _POSTED
    known = is_credit_shard(shard) or is_debit_shard(shard)
    row = text_of(new, "id")
    if not known or row != row_id(account_of_row(row, shard), shard):
        return f"{row} has no shard {shard!r}"
    others = [
        name
        for name in changed_attributes(old, new)
        if name not in may and not (is_new and number_of(new, name) == 0)
    ]
    if others:
        return f"its {', '.join(others)} changed, which no posting does"
    if is_debit_shard(shard) and not _delta(change):
        return "it changed without a posting"
    return None


def _delta(change: AuditableChange) -> int:
    new, old = change.record.new or {}, change.record.old or {}
    return (number_of(new, "balance") or 0) - (number_of(old, "balance") or 0)


def _new(change: AuditableChange, name: str) -> str:
    return text_of(change.record.new or {}, name)
