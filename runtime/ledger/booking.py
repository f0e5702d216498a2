"""The writes that book a fact: its transfer and the debit shards lowered in the same commit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from runtime.core.change_context import ChangeContext
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.expressions import Update, Write, absent, put, update
from runtime.dynamodb.index_shards import bucket_for
from runtime.ledger.accounts.models import Account, Posting, row_key
from runtime.ledger.hot_accounts.rules import accounts_of_fact
from runtime.ledger.rules import chart_account, final_legs, net_by_account
from runtime.ledger.transfers.models import Leg, Transfer, TransferStatus
from runtime.merchants.models import MerchantProfile


@dataclass(frozen=True, slots=True)
class FactPosting:
    """The posting of a fact at a processor, which no balance, status or lock can refuse.

    `id`: the transfer's id. `operation_id`: the attempt to commit it. `amount`: in minor units of
    `currency`. The fact belongs to `payment_id`, or to `settlement_lines` of `settlement_id`.
    """

    id: str
    operation_id: str
    currency: str
    legs: tuple[Leg, ...]
    amount: int
    payment_id: str | None = None
    settlement_id: str | None = None
    settlement_lines: tuple[int, ...] = ()

    def transfer(
        self,
        merchant: MerchantProfile,
        now: datetime,
        context: ChangeContext,
        *,
        taken: Iterable[str] = (),
        first_shard: int | None = None,
    ) -> Transfer:
        """The transfer to write. `taken` and `first_shard`: as `accounts_of_fact` uses them."""
        at = to_timestamp(now)
        return Transfer(
            id=self.id,
            merchant_id=merchant.id,
            merchant_bucket=bucket_for(merchant.id, self.id, merchant.index_buckets),
            operation_id=self.operation_id,
            **accounts_of_fact(self.id, self.legs, taken, first_shard),
            legs=self.legs,
            amount=self.amount,
            currency=self.currency,
            status=TransferStatus.PROCESSED,
            posted_amount=self.amount,
            processed_at=at,
            payment_id=self.payment_id,
            settlement_id=self.settlement_id,
            settlement_lines=self.settlement_lines,
            created_at=at,
            updated_at=at,
            **context.stamp(),
        )


def booked(transfer: Transfer) -> list[Write]:
    """The transfer first, then the debit shards it lowers.

    A fact has already happened at the processor, so it is booked whatever the account's funds,
    status or lock. Only requests are subject to those checks.
    """
    return [put(transfer).when(absent("id")), *_debits(transfer)]


def _debits(transfer: Transfer) -> list[Update]:
    nets = net_by_account(final_legs(transfer))
    return [_debit(transfer, name, nets[name]) for name in transfer.debited_accounts]


def _debit(transfer: Transfer, account_id: str, net: int) -> Update:
    """Lower a debit shard. The shard is created by the first debit."""
    chart = chart_account(account_id, transfer.merchant_id, transfer.currency)
    assert chart is not None, f"{transfer.id}: a fact debits {account_id}"
    assert net < 0, f"{transfer.id} changes {account_id} by {net}"
    assert transfer.debit_shard is not None, f"{transfer.id} has no debit shard"
    return (
        update(Account, row_key(account_id, transfer.debit_shard))
        .count(balance=net, version=1)
        .begin_with(
            merchant_id=chart.merchant_id,
            account_type=chart.account_type,
            currency=chart.currency,
            posting=Posting.FOLDED,
            created_at=transfer.updated_at,
        )
        .assign(
            last_operation_id=transfer.operation_id,
            updated_at=transfer.updated_at,
            changed_by=transfer.changed_by,
            request_id=transfer.request_id,
            ip_address=transfer.ip_address,
            user_agent=transfer.user_agent,
            cause=transfer.id,
        )
    )
