"""Accounts: open, read."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.contract.accounts import AccountAnswer, AccountRequest
from runtime.contract.answers import StoredAnswer
from runtime.contract.call import Call
from runtime.contract.caller import visible
from runtime.domain.buckets import ACCOUNT_STATUS_BUCKETS, bucket_for
from runtime.domain.ids import new_id
from runtime.domain.instants import to_instant
from runtime.domain.money import format_amount
from runtime.models.account import Account, AccountStatus, Posting
from runtime.models.fields import PLATFORM
from runtime.repositories.accounts import AccountRepository
from runtime.services.idempotency import ClaimReader, create_once
from runtime.services.merchant_profiles import MerchantProfiles


@dataclass(frozen=True)
class AccountDesk:
    """What the account use-cases work with."""

    accounts: AccountRepository
    merchants: MerchantProfiles
    claims: ClaimReader


def create_account(request: AccountRequest, call: Call, desk: AccountDesk) -> StoredAnswer:
    """Open an account at zero. Raises NotFound (customer), AlreadyExists (number)."""
    owner = call.caller.owner(call.acting_for)
    index_buckets = 1 if owner == PLATFORM else desk.merchants.require(owner).index_buckets
    account_id = new_id("acc", call.now)
    status = AccountStatus.ACTIVE
    now = to_instant(call.now)
    account = Account(
        id=account_id,
        merchant_id=owner,
        customer_id=request.customer_id,
        account_number=request.account_number,
        account_type=request.account_type,
        status_bucket=bucket_for(status, account_id, ACCOUNT_STATUS_BUCKETS),
        currency=request.currency,
        status=status,
        posting=request.posting,
        credit_limit=request.credit_limit,
        spendable=request.credit_limit,
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=call.caller.request_id).stamp(),
    )
    return create_once(
        call,
        owner,
        _answer(account),
        lambda claim, token: desk.accounts.create(account, claim, token=token, now=call.now),
        claims=desk.claims,
        index_buckets=index_buckets,
    )


def get_account(account_id: str, call: Call, accounts: AccountRepository) -> AccountAnswer:
    """An account, strongly consistent. Raises NotFound."""
    return _answer(visible(call.caller, accounts.get(account_id), "account", account_id))


def _answer(account: Account) -> AccountAnswer:
    values = {
        **account.model_dump(exclude={"formatted_balance"}),
        "formatted_balance": format_amount(account.balance, account.currency),
        "as_of": account.updated_at if account.posting is Posting.FOLDED else None,
    }
    return AccountAnswer.model_validate(values)
