"""Changes to an account's status and lock, made by operators."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus

from runtime.core.errors import (
    AccountInUse,
    BalanceNotZero,
    Conflict,
    OpenHolds,
    Unavailable,
)
from runtime.core.timestamps import to_datetime
from runtime.dynamodb.index_shards import account_status_bucket
from runtime.http.caller import require_found
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import create_once, earlier_answer
from runtime.idempotency.optimistic_update import next_version, retry_stale, row_update
from runtime.ledger.accounts.accounts import AccountDependencies, whole_account
from runtime.ledger.accounts.models import Account, AccountStatus, Posting
from runtime.ledger.rules import is_of_chart

MAX_ATTEMPTS = 10
"""Attempts at changing an account that transfers change concurrently."""
INACTIVITY_BEFORE_CLOSE = timedelta(minutes=10)
"""How long a hot account must be inactive before it can be closed. By then the change stream has
applied every transfer that began while it was active, or the alarm on its age is active."""

_Step = Callable[[Account], Account]


def deactivate_account(account_id: str, call: Call, deps: AccountDependencies) -> StoredAnswer:
    """Stop new transfers from and to the account. Holds can still be posted or voided."""
    return _alter(account_id, lambda row: _to(row, AccountStatus.INACTIVE), call, deps)


def activate_account(account_id: str, call: Call, deps: AccountDependencies) -> StoredAnswer:
    """Allow transfers again. Raises Conflict for a closed account."""
    return _alter(account_id, lambda row: _to(row, AccountStatus.ACTIVE), call, deps)


def unlock_account(account_id: str, call: Call, deps: AccountDependencies) -> StoredAnswer:
    """Remove the account's lock before it expires."""
    return _alter(account_id, lambda row: row.model_copy(update={"locked_until": None}), call, deps)


def close_account(account_id: str, call: Call, deps: AccountDependencies) -> StoredAnswer:
    """Close an account permanently. Its balance must be zero and it must have no open holds.

    Raises AccountInUse, OpenHolds, BalanceNotZero, Conflict.
    """
    emptied = False

    def closed(row: Account) -> Account:
        nonlocal emptied
        if row.status is AccountStatus.CLOSED:
            return row
        _must_be_closable(row)
        balance = row.balance
        if row.posting is Posting.FOLDED:
            _must_be_inactive(row, call, emptied=emptied)
            balance = sum(each.balance for each in deps.shard_rows.rows_of(row.id))
        if balance:
            raise BalanceNotZero(
                f"Account {row.id} has a balance of {balance}; transfer it to zero first"
            )
        if row.posting is Posting.FOLDED and not emptied:
            # Every row of a closed account must be zero. Consolidation increments the version of
            # row 00, so the close is retried with a fresh read.
            deps.shard_rows.consolidate(row.id, call.caller.change, call.now, status=row.status)
            emptied = True
        return _to(row, AccountStatus.CLOSED)

    return _alter(account_id, closed, call, deps)


def _must_be_closable(row: Account) -> None:
    """Every hold increments the version of row 00, so a concurrent hold makes the write stale."""
    if is_of_chart(row.id):
        raise AccountInUse(
            f"{row.id} is part of the chart of accounts; payments and settlements are booked on "
            "it, so it cannot be closed"
        )
    if row.held_out or row.held_in:
        raise OpenHolds(
            f"Account {row.id} has {row.held_out} held and {row.held_in} incoming; post or "
            "cancel these holds first"
        )


def _must_be_inactive(row: Account, call: Call, *, emptied: bool) -> None:
    """`emptied`: the period has already passed, and the shards have been consolidated since."""
    waited = emptied or call.now - to_datetime(row.updated_at) >= INACTIVITY_BEFORE_CLOSE
    if row.status is not AccountStatus.INACTIVE or not waited:
        minutes = int(INACTIVITY_BEFORE_CLOSE.total_seconds() // 60)
        raise Conflict(
            f"A hot account can be closed after {minutes} minutes of inactivity; "
            f"{row.id} has been {row.status} since {row.updated_at}"
        )


def _to(row: Account, status: AccountStatus) -> Account:
    if row.status is status:
        return row
    if row.status is AccountStatus.CLOSED:
        raise Conflict(f"Account {row.id} is closed and cannot be reopened")
    return row.model_copy(update={"status": status})


def _alter(account_id: str, step: _Step, call: Call, deps: AccountDependencies) -> StoredAnswer:
    """Change the account under the version that was read; retry if a transfer changed it."""
    owner = call.caller.owner(call.acting_for)
    buckets = deps.merchants.index_buckets(owner)

    def attempt() -> StoredAnswer:
        earlier = earlier_answer(call, owner, deps.claims)
        if earlier is not None:
            return earlier
        row = require_found(deps.accounts.get(account_id, call.scope), "account", account_id)
        after = _stamped(row, step(row), call, deps)
        return create_once(
            call,
            owner,
            whole_account(after, deps.shard_rows),
            row_update(deps.accounts, row, after, call),
            claims=deps.claims,
            index_buckets=buckets,
            status=HTTPStatus.OK,
        )

    return retry_stale(
        MAX_ATTEMPTS,
        attempt,
        Unavailable(f"Account {account_id} is being changed by other requests; try again"),
    )


def _stamped(row: Account, after: Account, call: Call, deps: AccountDependencies) -> Account:
    buckets = deps.merchants.index_buckets(row.merchant_id)
    return next_version(
        after,
        {
            "status_bucket": account_status_bucket(row.merchant_id, after.status, row.id, buckets),
            "last_operation_id": call.new_id("chg"),
        },
        call,
    )
