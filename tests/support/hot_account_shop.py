"""A merchant with a hot receivable account, whose balance reads can be interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from runtime.customers.repository import CustomerRepository
from runtime.http.pagination import Cursors
from runtime.http.responses import StoredAnswer
from runtime.ledger.accounts.models import Account
from runtime.ledger.accounts.queries import AccountReads
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.hot_accounts.rules import (
    HotBalance,
)
from runtime.ledger.rules import receivable_account
from runtime.payments.transaction_models import Transaction
from tests.support.engines.engine import Engine
from tests.support.platform import (
    CURSOR_KEY,
    settlement_file,
    settlement_key,
    settlement_line,
)
from tests.support.simulation.ledger import LedgerPlatform


class Shop:
    """A merchant with payments, its receivable, and the destination account of payouts."""

    def __init__(self, engine: Engine) -> None:
        self.ledger = LedgerPlatform(engine, seed="hot")
        self.platform, self.merchant = self.ledger.platform, self.ledger.merchant
        self.receivable = receivable_account(self.merchant.id, "USD")
        self.bank = self.ledger.open()
        self.shard_rows = ShardRepository(self.platform.store)

    def project(self) -> None:
        self.ledger.poller.drain()

    def rows(self) -> dict[str, int]:
        rows = self.platform.rows(Account)
        return {row.shard: row.balance for row in rows if row.account_id == self.receivable}

    def total(self) -> int:
        return sum(self.rows().values())

    def sell(self, amount: int) -> str:
        payment = self.platform.paid(self.merchant, amount=amount)
        self.project()
        return payment

    def pay_out(self, amount: int, **more: Any) -> StoredAnswer:
        return self.ledger.calm.send(self.ledger.order(self.receivable, self.bank, amount, **more))

    def refund(self, payment_id: str, amount: int) -> None:
        answer = self.platform.operate(self.merchant, payment_id, "refund", amount=amount)
        assert answer.status == 200, answer

    def settle(self) -> None:
        """A settlement file of every capture."""
        captures = [row for row in self.platform.rows(Transaction) if row.status == "succeeded"]
        key = settlement_key(self.merchant)
        lines = [settlement_line(row) for row in captures if row.type == "capture"]
        self.platform.s3.objects[key] = settlement_file(lines)
        self.platform.reconcile(key)

    def between_read_and_commit(self, *happen: Callable[[], object]) -> None:
        """Call each function after one of the next reads of the balance."""
        calm = self.ledger.calm
        calm.deps = replace(calm.deps, shard_rows=_Interrupted(self.platform.store, list(happen)))

    def account_reads(self) -> AccountReads:
        store = self.platform.store
        return AccountReads(
            AccountRepository(store),
            self.shard_rows,
            EntryRepository(store),
            CustomerRepository(store),
            self.ledger.profiles,
            Cursors(lambda: CURSOR_KEY),
        )


class _Interrupted(ShardRepository):
    def __init__(self, store: Any, happen: list[Callable[[], object]]) -> None:
        super().__init__(store)
        self._happen = happen
        self.looks = 0

    def balance_of(self, account_id: str) -> HotBalance:
        seen = super().balance_of(account_id)
        self.looks += 1
        if self._happen:
            self._happen.pop(0)()
        return seen


def code(answer: StoredAnswer) -> str | None:
    found: str | None = json.loads(answer.body).get("code")
    return found


def held(shop: Shop, account_id: str) -> tuple[int, int, int]:
    """(balance of all rows, held_out, held_in) of an account."""
    rows = [row for row in shop.platform.rows(Account) if row.account_id == account_id]
    sums = (sum(getattr(row, name) for row in rows) for name in ("balance", "held_out", "held_in"))
    balance, held_out, held_in = sums
    return balance, held_out, held_in
