"""Changes of balances against the transfers that they name: a stamp is easily forged, money is not.

Every change of the balance in row 00 of an account is a leg of a transfer, which `cause` names, or
a sweep of the account's own fold rows. Transfers that moved money are never changed again, so what
is read here is what it was then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from runtime.domain.images import number_of, text_of
from runtime.domain.ledger import final_legs, net_by_account
from runtime.models.account import PROFILE_SHARD
from runtime.models.audit import EntityType
from runtime.models.scope import EVERYBODY
from runtime.models.transfer import Transfer, TransferStatus
from runtime.observability import logger
from runtime.repositories.transfers import TransferRepository
from runtime.services.audit_rows import Told

TRANSFER_PREFIX: Final = "trf_"
SWEEP_PREFIX: Final = "swp_"
READ_AT_ONCE: Final = 100
"""Keys of one BatchGetItem (DynamoDB API reference)."""


@dataclass(frozen=True)
class AccountDeltas:
    """Looks at the transfers behind changes of accounts."""

    transfers: TransferRepository

    def disowned(self, told: Sequence[Told]) -> dict[str, str]:
        """Of the changes that no transfer explains: what is wrong, by their stream numbers."""
        moved = [each for each in told if _delta(each)]
        causes = {_cause(each) for each in moved}
        known = self._read(sorted(cause for cause in causes if cause.startswith(TRANSFER_PREFIX)))
        wrong = {each.record.sequence_number: _fault(each, known) for each in moved}
        return {number: fault for number, fault in wrong.items() if fault is not None}

    def _read(self, ids: Sequence[str]) -> dict[str, Transfer]:
        """Those that are there and can be read."""
        known: dict[str, Transfer] = {}
        for start in range(0, len(ids), READ_AT_ONCE):
            some = ids[start : start + READ_AT_ONCE]
            try:
                rows = self.transfers.get_many(some, EVERYBODY)
            except ValidationError:
                # One of them was edited past reading; it explains nothing, and the others do.
                rows = [row for each in some for row in self._read_one(each)]
            known |= {row.id: row for row in rows}
        return known

    def _read_one(self, transfer_id: str) -> list[Transfer]:
        try:
            return self.transfers.get_many([transfer_id], EVERYBODY)
        except ValidationError:
            logger.warning("a transfer cannot be read", transfer=transfer_id)
            return []


def _fault(told: Told, known: dict[str, Transfer]) -> str | None:
    cause, delta = _cause(told), _delta(told)
    if cause.startswith(SWEEP_PREFIX):
        return None
    transfer = known.get(cause)
    if transfer is None:
        return f"its balance changed by {delta}, and its cause {cause!r} is no transfer"
    account = text_of(told.record.new or {}, "id")
    moved = transfer.status is TransferStatus.PROCESSED
    net = net_by_account(final_legs(transfer)).get(account, 0) if moved else 0
    if net != delta:
        return f"its balance changed by {delta}, and by transfer {cause} it changes by {net}"
    return None


def _delta(told: Told) -> int:
    """Change of a balance in row 00, in minor units; 0 for everything else."""
    new, old = told.record.new, told.record.old or {}
    if told.entity_type is not EntityType.ACCOUNT or new is None:
        return 0
    if text_of(new, "shard") != PROFILE_SHARD:
        return 0  # a fold row takes many transfers at once; its entries name each
    return (number_of(new, "balance") or 0) - (number_of(old, "balance") or 0)


def _cause(told: Told) -> str:
    return text_of(told.record.new or {}, "cause")
