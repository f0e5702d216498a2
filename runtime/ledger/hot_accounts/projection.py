"""Transfers stream → credit shards: applies the credits of transfers to hot accounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from runtime.core.cache import Cache
from runtime.core.change_context import ChangeContext
from runtime.core.errors import NotFound
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.errors import InvalidRequest
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.hot_accounts.repository import CreditShard, ShardCredit, ShardRepository
from runtime.ledger.rules import chart_account, credit_shard_of, final_legs, net_by_account
from runtime.ledger.transfers.models import Transfer, TransferStatus
from runtime.streams.records import Change, Failed, Parking, park_record

CREDITED_BY = "system:project"
MAX_TARGETS_REMEMBERED = 10_000


@dataclass
class ShardProjection:
    """Adds processed transfers to their hot accounts, each exactly once."""

    shard_rows: ShardRepository
    accounts: AccountRepository
    outside: Outside
    request_id: Callable[[], str]
    parking: Parking
    credited_by: str = CREDITED_BY
    _targets: Cache[str, CreditShard] = field(init=False)

    def __post_init__(self) -> None:
        self._targets = Cache(MAX_TARGETS_REMEMBERED, self.outside)

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Group credits by account and shard, so that each shard is written once per batch."""
        groups: dict[tuple[str, str], list[tuple[str, Transfer, ShardCredit | None]]] = {}
        for change in changes:
            if not _became_processed(change):
                continue
            transfer: Transfer = change.new
            # Debits were applied in the fact's own commit, but their account needs a profile too.
            debited = [(account_id, None) for account_id in transfer.debited_accounts]
            for account_id, item in [*items_of(transfer), *debited]:
                place = (account_id, credit_shard_of(transfer.id))
                groups.setdefault(place, []).append((change.sequence_number, transfer, item))
        failed: set[str] = set()
        for (account_id, shard), members in groups.items():
            try:
                items = [item for _, _, item in members if item is not None]
                self._credit(account_id, shard, members[0][1], items)
            except NotFound as unknown:
                failed |= self._park_records({number for number, _, _ in members}, changes, unknown)
            except InvalidRequest:
                raise
            except Exception:  # noqa: BLE001 - these are retried, the other shards are done
                logger.exception(
                    "a credit shard could not be written", account=account_id, row=shard
                )
                failed |= {sequence for sequence, _, _ in members}
        return frozenset(failed)

    def _park_records(
        self, numbers: set[str], changes: Sequence[Change], unknown: NotFound
    ) -> set[str]:
        """Park records that name an unknown account. Returns those that could not be parked."""
        records = [c.record for c in changes if c.record and c.sequence_number in numbers]
        return {
            record.sequence_number
            for record in records
            if not park_record(self.parking, record, unknown.detail)
        }

    def _credit(
        self, account_id: str, shard: str, transfer: Transfer, items: Sequence[ShardCredit]
    ) -> None:
        now = self.outside.now()
        context = ChangeContext(
            changed_by=self.credited_by, request_id=self.request_id(), cause=transfer.id
        )
        target = self._target(account_id, transfer, context, now)
        self.shard_rows.credit(target, shard, items, context, now)

    def _target(
        self, account_id: str, transfer: Transfer, context: ChangeContext, now: datetime
    ) -> CreditShard:
        known = self._targets.get(account_id)
        if known is not None:
            return known
        chart = chart_account(account_id, transfer.merchant_id, transfer.currency)
        if chart is not None:
            self.shard_rows.ensure_profile(chart, context, now)
            target = CreditShard(chart.id, chart.merchant_id, chart.account_type, chart.currency)
        else:
            row = self.accounts.get(account_id, UNRESTRICTED)
            if row is None:
                raise NotFound(f"Transfer {transfer.id} names the unknown account {account_id}")
            target = CreditShard(row.id, row.merchant_id, row.account_type, row.currency)
        return self._targets.keep(account_id, target)


def items_of(transfer: Transfer) -> list[tuple[str, ShardCredit]]:
    """The credit of a processed transfer to each of its hot accounts."""
    net = net_by_account(final_legs(transfer))
    return [
        (
            account_id,
            ShardCredit(
                transfer_id=transfer.id,
                operation_id=transfer.operation_id,
                amount=net[account_id],
                processed_at=transfer.processed_at or transfer.updated_at,
            ),
        )
        for account_id in transfer.folded_accounts
        if net.get(account_id)
    ]


def _became_processed(change: Change) -> bool:
    """Whether this change processed the transfer. Later edits of the row do not count."""
    if change.new is None or change.new.status is not TransferStatus.PROCESSED:
        return False
    return change.old is None or change.old.status is not TransferStatus.PROCESSED
