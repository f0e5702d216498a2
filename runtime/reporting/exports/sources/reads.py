"""The tables that exports read, and for whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from runtime.audit.repository import AuditRepository
from runtime.core.fields import PLATFORM, Timestamp
from runtime.core.scope import Scope
from runtime.core.timestamps import to_datetime
from runtime.dynamodb.store import Store
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.transfers.repository import TransferRepository
from runtime.merchants.profiles import MerchantProfiles
from runtime.payments.lists_repository import PaymentLists
from runtime.payments.processing_list import ProcessingList
from runtime.payments.repository import PaymentRepository
from runtime.reconciliation.settlements.repository import SettlementRepository

INDEX_PAGE: Final = 1_000
"""Entries that a query of one index key returns at once."""
MERGED_PAGE: Final = 100
"""Of each of several merged keys: a page of all of them is in memory at once."""


@dataclass(frozen=True)
class ExportReads:
    """The tables that exports are read from."""

    payments: PaymentRepository
    lists: PaymentLists
    processing: ProcessingList
    transfers: TransferRepository
    accounts: AccountRepository
    shard_rows: ShardRepository
    entries: EntryRepository
    audit: AuditRepository
    settlements: SettlementRepository
    merchants: MerchantProfiles

    @classmethod
    def on(cls, store: Store, merchants: MerchantProfiles, intent_lease: timedelta) -> Self:
        """All of them on one store."""
        return cls(
            payments=PaymentRepository(store),
            lists=PaymentLists(store),
            processing=ProcessingList(store, intent_lease),
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
    """The owner of an export's rows, and its end."""

    owner: str
    until: Timestamp

    @property
    def scope(self) -> Scope:
        """What its reader may see: an operator without a merchant sees everything."""
        return Scope(None if self.owner == PLATFORM else self.owner)

    @property
    def moment(self) -> datetime:
        """`until`, as a time."""
        return to_datetime(self.until)


def page_size_of(keys: int) -> int:
    """Entries to request at once, if this many keys of an index are merged."""
    return INDEX_PAGE if keys == 1 else MERGED_PAGE
