"""Accounts: profiles and balances, and the guard that keeps account numbers unique."""

from __future__ import annotations

from datetime import datetime

from runtime.errors import AlreadyExists, NotFound
from runtime.models.account import PROFILE_SHARD, Account, AccountNumberGuard
from runtime.models.customer import Customer
from runtime.models.idempotency import IdempotencyRecord
from runtime.repositories.creation import create_once
from runtime.repositories.expressions import Write, absent, check, equals, put
from runtime.repositories.store import Store, TransactionRefused


class AccountRepository:
    """The accounts table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, account: Account, claim: IdempotencyRecord | None, *, token: str, now: datetime
    ) -> None:
        """Store a new account.

        Raises AlreadyClaimed, NotFound (customer), AlreadyExists (number).
        """
        writes: list[Write] = [put(account).when(absent("id"))]
        if account.account_number is not None:
            guard = AccountNumberGuard.of(account)
            writes.append(put(guard).when(absent("id")))
        if account.customer_id is not None:
            owned = equals("merchant_id", account.merchant_id)
            writes.append(check(Customer, {"id": account.customer_id}, owned))
        try:
            create_once(self._store, writes, claim, token=token, now=now)
        except TransactionRefused as refused:
            if account.customer_id is not None and len(writes) - 1 in refused.failed:
                raise NotFound(
                    f"no customer {account.customer_id}; create it first", param="customer_id"
                ) from refused
            raise AlreadyExists(
                f"account number {account.account_number} is taken", param="account_number"
            ) from refused

    def get(self, account_id: str) -> Account | None:
        """An account's profile and balance, strongly consistent."""
        return self._store.get(Account, {"id": account_id, "shard": PROFILE_SHARD}, Account)
