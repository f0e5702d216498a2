"""Opening accounts. An opening balance is booked as a transfer."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from runtime.core.errors import MissingIdempotencyKey
from runtime.core.fields import Timestamp
from runtime.core.money import format_amount
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import account_status_bucket, bucket_for
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import ClaimReader, create_once
from runtime.ledger.accounts.api import AccountAnswer, AccountRequest
from runtime.ledger.accounts.models import Account, AccountStatus, Posting
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.rules import opening_account
from runtime.ledger.transfers.models import Leg, Transfer, TransferStatus
from runtime.merchants.profiles import MerchantProfiles


@dataclass(frozen=True)
class AccountDependencies:
    """Dependencies of the account use cases."""

    accounts: AccountRepository
    shard_rows: ShardRepository
    merchants: MerchantProfiles
    claims: ClaimReader


def create_account(request: AccountRequest, call: Call, deps: AccountDependencies) -> StoredAnswer:
    """Open an account: 201. Raises NotFound (customer), AlreadyExists (number)."""
    if request.opening_balance and call.idempotency_key is None:
        raise MissingIdempotencyKey(
            "Idempotency-Key is required with an opening_balance; use a unique value per account"
        )
    owner = call.caller.owner(call.acting_for)
    buckets = deps.merchants.index_buckets(owner)
    account = _new_account(request, call, owner, buckets)
    opening = _opening(account, request, call, buckets) if request.opening_balance else None
    if opening is not None:
        account = _with_opening(account, opening)
    return create_once(
        call,
        owner,
        account_answer(account),
        lambda claim, token: deps.accounts.create(
            account, opening, claim, token=token, now=call.now
        ),
        claims=deps.claims,
        index_buckets=buckets,
        status=HTTPStatus.CREATED,
    )


def account_answer(account: Account, as_of: Timestamp | None = None) -> AccountAnswer:
    """The public shape of an account. `as_of` is when a hot account's balance was last updated."""
    folded = account.posting is Posting.FOLDED
    values = {
        **account.__dict__,
        "formatted_balance": format_amount(account.balance, account.currency),
        "as_of": (as_of or account.updated_at) if folded else None,
    }
    return AccountAnswer.model_validate(values)


def whole_account(row: Account, shard_rows: ShardRepository) -> AccountAnswer:
    """The public shape of an account, from its row 00 and the shards of a hot account."""
    if row.posting is not Posting.FOLDED:
        return account_answer(row)
    shards = shard_rows.shards_of(row)
    sharded = sum(each.balance for each in shards)
    whole = row.model_copy(
        update={"balance": row.balance + sharded, "spendable": row.spendable + sharded}
    )
    return account_answer(whole, as_of=max(each.updated_at for each in (row, *shards)))


def _new_account(request: AccountRequest, call: Call, owner: str, buckets: int) -> Account:
    account_id = call.new_id("acc")
    status = AccountStatus.ACTIVE
    now = to_timestamp(call.now)
    return Account(
        id=account_id,
        merchant_id=owner,
        customer_id=request.customer_id,
        account_number=request.account_number,
        account_type=request.account_type,
        status_bucket=account_status_bucket(owner, status, account_id, buckets),
        currency=request.currency,
        status=status,
        posting=request.posting,
        credit_limit=request.credit_limit,
        spendable=request.credit_limit,
        last_operation_id=call.new_id("chg"),
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=call.caller.request_id).stamp(),
    )


def _with_opening(account: Account, opening: Transfer) -> Account:
    """An immediate account starts with the amount; the change stream credits a hot account."""
    if account.posting is Posting.FOLDED:
        return account
    return account.model_copy(
        update={
            "balance": opening.amount,
            "spendable": account.spendable + opening.amount,
            "last_operation_id": opening.id,
            "cause": opening.id,
        }
    )


def _opening(account: Account, request: AccountRequest, call: Call, buckets: int) -> Transfer:
    opening = opening_account(account.currency)
    transfer_id = call.new_id("trf")
    folded = (opening, account.id) if account.posting is Posting.FOLDED else (opening,)
    amount = request.opening_balance
    return Transfer(
        id=transfer_id,
        operation_id=transfer_id,
        merchant_id=account.merchant_id,
        merchant_bucket=bucket_for(account.merchant_id, transfer_id, buckets),
        customer_id=account.customer_id,
        folded_accounts=folded,
        legs=(Leg(from_account_id=opening, to_account_id=account.id, amount=amount),),
        amount=amount,
        currency=account.currency,
        status=TransferStatus.PROCESSED,
        posted_amount=amount,
        processed_at=account.created_at,
        description="Opening balance",
        created_at=account.created_at,
        updated_at=account.created_at,
        **call.caller.change(cause=transfer_id).stamp(),
    )
