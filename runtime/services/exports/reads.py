"""What exports are read from, and for whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from runtime.domain.instants import to_datetime
from runtime.models.fields import PLATFORM, Timestamp
from runtime.models.scope import Scope
from runtime.repositories.accounts import AccountRepository
from runtime.repositories.audit import AuditRepository
from runtime.repositories.entries import EntryRepository
from runtime.repositories.folding import ShardRepository
from runtime.repositories.payment_lists import PaymentLists
from runtime.repositories.payments import PaymentRepository
from runtime.repositories.settlements import SettlementRepository
from runtime.repositories.store import Store
from runtime.repositories.transfers import TransferRepository
from runtime.services.merchant_profiles import MerchantProfiles

INDEX_PAGE: Final = 1_000
"""Entries that a query of one key of an index gives at once."""
MERGED_PAGE: Final = 100
"""Of each of several keys that are merged: a page of all of them is in memory at once."""


@dataclass(frozen=True)
class ExportReads:
    """The tables that exports are read from."""

    payments: PaymentRepository
    payment_lists: PaymentLists
    transfers: TransferRepository
    accounts: AccountRepository
    shard_rows: ShardRepository
    entries: EntryRepository
    audit: AuditRepository
    settlements: SettlementRepository
    merchants: MerchantProfiles

    @classmethod
    def on(cls, store: Store, merchants: MerchantProfiles) -> Self:
        """All of them on one store."""
        return cls(
            payments=PaymentRepository(store),
            payment_lists=PaymentLists(store),
            transfers=TransferRepository(store),
            accounts=AccountRepository(store),
            shard_rows=ShardRepository(store),
            entries=EntryRepository(store),
            audit=AuditRepository(store),
            settlements=SettlementRepository(store),
            merchants=merchants,
        )


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose rows an export has, and until when."""

    owner: str
    until: Timestamp

    @property
    def scope(self) -> Scope:
        """What its reader may see: an operator who named no merchant sees everything."""
        return Scope(None if self.owner == PLATFORM else self.owner)

    @property
    def moment(self) -> datetime:
        """`until`, as a time."""
        return to_datetime(self.until)


def page_size_of(keys: int) -> int:
    """Entries to ask for at once, where so many keys of an index are merged."""
    return INDEX_PAGE if keys == 1 else MERGED_PAGE
