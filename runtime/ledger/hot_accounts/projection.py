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
from runtime.ledger.hot_accounts.repository import (
    MAX_SHARD_CREDITS,
    HotAccount,
    ShardCredit,
    ShardRepository,
)
from runtime.ledger.hot_accounts.rules import MAX_CREDIT_SHARDS
from runtime.ledger.rules import chart_account, final_legs, net_by_account
from runtime.ledger.transfers.models import Transfer, TransferStatus
from runtime.streams.records import Change, Failed, Parking, park_record

CREDITED_BY = "system:project"
MAX_TARGETS_REMEMBERED = 10_000
TARGET_SECONDS = 60.0
"""How long the number of an account's credit shards is remembered; an earlier number is valid."""
BUSY_SHARDS = 3
"""Credit shards in a row that other writers changed meanwhile: the account gets more of them. If a
tenth of the attempts meet another writer, a thousandth of the commits do so three times."""
PARALLEL_COMMITS = 8
"""Commits at once: they lock different rows, and the Lambda has little CPU."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A transfer of the batch, and its credit to one account.

    Debits were applied in the fact's own commit and have no `credit`, but their account needs a
    profile too.
    """

    sequence_number: str
    transfer: Transfer
    credit: ShardCredit | None


@dataclass(frozen=True, slots=True)
class _Group:
    """Transfers of one batch that are added to one account in one commit."""

    account_id: str
    members: Sequence[_Member]

    @property
    def numbers(self) -> set[str]:
        """The sequence numbers of the records."""
        return {member.sequence_number for member in self.members}


@dataclass
class ShardProjection:
    """Adds processed transfers to their hot accounts, each exactly once."""

    shard_rows: ShardRepository
    accounts: AccountRepository
    outside: Outside
    request_id: Callable[[], str]
    parking: Parking
    credited_by: str = CREDITED_BY
    _targets: Cache[str, HotAccount] = field(init=False)

    def __post_init__(self) -> None:
        self._targets = Cache(MAX_TARGETS_REMEMBERED, self.outside, seconds=TARGET_SECONDS)

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Add the batch's credits to their accounts, as many as possible in each commit."""
        groups = _groups_of(changes)
        with self.outside.threads(PARALLEL_COMMITS) as pool:
            outcomes = list(pool.map(self._apply, groups))
        failed: set[str] = set()
        for group, error in zip(groups, outcomes, strict=True):
            if isinstance(error, NotFound):
                failed |= self._park_records(group.numbers, changes, error)
            elif error is not None:
                failed |= group.numbers
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

    def _apply(self, group: _Group) -> Exception | None:
        """Add one group. Returns the error if its records must be parked or retried."""
        try:
            self._credit(group)
        except NotFound as unknown:
            return unknown
        except InvalidRequest:
            raise
        except Exception as error:  # noqa: BLE001 - these are retried, the others are done
            logger.exception(
                "a credit shard could not be written",
                account=group.account_id,
                request_ids=sorted({member.transfer.request_id for member in group.members}),
            )
            return error
        return None

    def _credit(self, group: _Group) -> None:
        now, transfer = self.outside.now(), group.members[0].transfer
        context = ChangeContext(
            changed_by=self.credited_by, request_id=self.request_id(), cause=transfer.id
        )
        target = self._target(group.account_id, transfer, context, now)
        credits_ = [member.credit for member in group.members if member.credit is not None]
        busy = self.shard_rows.credit(target, credits_, context, now)
        if busy >= BUSY_SHARDS and target.credit_shards < MAX_CREDIT_SHARDS:
            self.shard_rows.grow(target, context, now)
            self._targets.forget(lambda account_id: account_id == target.account_id)

    def _target(
        self, account_id: str, transfer: Transfer, context: ChangeContext, now: datetime
    ) -> HotAccount:
        known = self._targets.get(account_id)
        if known is not None:
            return known
        row = self.accounts.get(account_id, UNRESTRICTED)
        if row is None:
            chart = chart_account(account_id, transfer.merchant_id, transfer.currency)
            if chart is None:
                raise NotFound(f"Transfer {transfer.id} names the unknown account {account_id}")
            self.shard_rows.open(chart, context, now)
            return HotAccount(chart.id, chart.merchant_id, chart.account_type, chart.currency)
        return self._targets.keep(account_id, HotAccount.of(row))


def _groups_of(changes: Sequence[Change]) -> list[_Group]:
    """The credits of a batch by account, in parts that fit in one commit."""
    by_account: dict[str, list[_Member]] = {}
    for change in changes:
        if not _became_processed(change):
            continue
        transfer: Transfer = change.new
        debited = [(account_id, None) for account_id in transfer.debited_accounts]
        for account_id, credit in [*items_of(transfer), *debited]:
            member = _Member(change.sequence_number, transfer, credit)
            by_account.setdefault(account_id, []).append(member)
    return [
        _Group(account_id, members[start : start + MAX_SHARD_CREDITS])
        for account_id, members in by_account.items()
        for start in range(0, len(members), MAX_SHARD_CREDITS)
    ]


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
