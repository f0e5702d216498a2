"""The writes that book a fact: its transfer and the debit shards lowered in the same commit."""

from __future__ import annotations

from runtime.dynamodb.expressions import Update, Write, absent, put, update
from runtime.ledger.accounts.models import Account, Posting
from runtime.ledger.rules import chart_account, final_legs, net_by_account
from runtime.ledger.transfers.models import Transfer


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
        update(Account, {"id": account_id, "shard": transfer.debit_shard})
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
