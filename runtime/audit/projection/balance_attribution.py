"""Checks balance changes against the transfers in their `cause`: a stamp is easy to forge.

Every balance change in shard 00 or a debit shard is a leg of the transfer named by `cause`, or a
consolidation of the account's shards into shard 00. Processed transfers and consolidation entries
are immutable, so reading them later gives the values at the time of the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from runtime.audit.models import EntityType
from runtime.audit.projection.rows import AuditableChange
from runtime.audit.projection.shard_attribution import ShardAttribution
from runtime.core.observability import logger
from runtime.core.scope import UNRESTRICTED, Scope
from runtime.ledger.accounts.models import (
    FIRST_CREDIT_SHARDS,
    PROFILE_SHARD,
    Posting,
    account_of_row,
)
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.rules import is_debit_shard, shards_of
from runtime.ledger.rules import CONSOLIDATION_PREFIX, TRANSFER_PREFIX, postings
from runtime.ledger.transfers.models import Transfer
from runtime.ledger.transfers.repository import TransferRepository
from runtime.streams.images import Image, number_of, text_of

READ_AT_ONCE: Final = 100
"""Keys of one BatchGetItem or TransactGetItems (DynamoDB API reference)."""
ReadTransfers = Callable[[Sequence[str], Scope], list[Transfer]]
MAX_CAUSE: Final = 100
"""Longest cause that can be an id. A longer one may not even be a valid key."""


@dataclass(frozen=True)
class BalanceAttribution:
    """Compares balance changes with the transfers or consolidation entries behind them."""

    transfers: TransferRepository
    entries: EntryRepository

    def unexplained(self, changes: Sequence[AuditableChange]) -> dict[str, str]:
        """Unexplained changes: the reason by stream sequence number."""
        moved = [each for each in changes if _delta(each)]
        known = self._read(_causes(moved), self.transfers.get_many)
        doubted = [each for each in moved if self._fault(each, known) is not None]
        # The stream may deliver one row of a commit before a plain read shows the others.
        known |= self._read(_causes(doubted), self.transfers.get_settled)
        wrong = {each.record.sequence_number: self._fault(each, known) for each in doubted}
        of_shards = ShardAttribution(self.entries).unexplained(changes)
        return of_shards | {number: fault for number, fault in wrong.items() if fault is not None}

    def _fault(self, change: AuditableChange, known: Mapping[str, Transfer]) -> str | None:
        cause, delta = _cause(change), _delta(change)
        if cause.startswith(CONSOLIDATION_PREFIX):
            explained: int | None = self._consolidated(change)
        elif cause in known:
            explained = _moved_by(known[cause], _account(change), _shard(change))
        else:
            return f"its balance changed by {delta}, and its cause {cause!r} is not a transfer"
        if explained is None:
            return f"its balance changed by {delta}, and {cause} is inconsistent"
        if explained != delta:
            return f"its balance changed by {delta}, but {cause} changes it by {explained}"
        return None

    def _consolidated(self, change: AuditableChange) -> int | None:
        """What a consolidation took out of this shard, or moved into shard 00."""
        cause, images = _cause(change), (change.record.old or {}, change.record.new or {})
        if len(cause) > MAX_CAUSE or not all(_is_folded(image) for image in images):
            return 0
        account, shard = _account(change), _shard(change)
        credits_ = number_of(change.record.new or {}, "credit_shards") or FIRST_CREDIT_SHARDS
        shards = shards_of(account, credits_) if shard == PROFILE_SHARD else (shard,)
        try:
            taken = self.entries.of_consolidation(account, shards, cause)
        except ValidationError:
            logger.warning("an entry cannot be read", account=account, operation=cause)
            return None
        if shard == PROFILE_SHARD:
            return -sum(entry.amount for entry in taken)
        return sum(entry.amount for entry in taken)

    def _read(self, causes: Sequence[str], get: ReadTransfers) -> dict[str, Transfer]:
        """The transfers among the causes that exist and can be read."""
        ids = [each for each in causes if each.startswith(TRANSFER_PREFIX)]
        ids = [each for each in ids if len(each) <= MAX_CAUSE]
        known: dict[str, Transfer] = {}
        for start in range(0, len(ids), READ_AT_ONCE):
            some = ids[start : start + READ_AT_ONCE]
            try:
                rows = get(some, UNRESTRICTED)
            except ValidationError:
                # One of them cannot be read: read them one by one, so that it fails alone.
                rows = [row for each in some for row in _read_one(each, get)]
            known |= {row.id: row for row in rows}
        return known


def _read_one(transfer_id: str, get: ReadTransfers) -> list[Transfer]:
    try:
        return get([transfer_id], UNRESTRICTED)
    except ValidationError:
        logger.warning("a transfer cannot be read", transfer=transfer_id)
        return []


def _moved_by(transfer: Transfer, account_id: str, shard: str) -> int | None:
    """What a transfer changes in a shard of the account; None if the transfer is inconsistent.

    Hot accounts and debit shards leave shard 00 unchanged.
    """
    debited = account_id in transfer.debited_accounts
    if account_id in transfer.folded_accounts:
        return 0
    if shard != (transfer.debit_shard if debited else PROFILE_SHARD):
        return 0
    nets = postings(
        transfer.operation_id,
        transfer.status,
        transfer.legs,
        transfer.posted_amount,
    )
    return None if nets is None else nets.get(account_id, 0)


def _delta(change: AuditableChange) -> int:
    """Balance change in shard 00 or a debit shard, in minor units; 0 for everything else."""
    new, old = change.record.new, change.record.old or {}
    if change.entity_type is not EntityType.ACCOUNT or new is None:
        return 0
    shard = text_of(new, "shard")
    if shard != PROFILE_SHARD and not is_debit_shard(shard):
        return 0  # a credit shard collects many transfers at once: shard_attribution.py
    return (number_of(new, "balance") or 0) - (number_of(old, "balance") or 0)


def _causes(changes: Sequence[AuditableChange]) -> list[str]:
    return sorted({_cause(each) for each in changes})


def _cause(change: AuditableChange) -> str:
    return text_of(change.record.new or {}, "cause")


def _account(change: AuditableChange) -> str:
    return account_of_row(text_of(change.record.new or {}, "id"), _shard(change))


def _shard(change: AuditableChange) -> str:
    return text_of(change.record.new or {}, "shard")


def _is_folded(image: Image) -> bool:
    return text_of(image, "posting") == Posting.FOLDED
