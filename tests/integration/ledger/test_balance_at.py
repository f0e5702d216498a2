"""Balances at points in time on real entries, with the permissions of the query function."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.ledger.accounts import balance_at as balance_queries
from runtime.ledger.accounts.api import BalanceAnswer, BalanceQuery
from runtime.ledger.accounts.balance_at import BalanceReads, get_balance
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.entries.models import Entry
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.hot_accounts.rules import is_debit_shard
from runtime.ledger.rules import receivable_account
from runtime.settings import QuerySettings
from tests.support.engines.engine import Engine
from tests.support.iam_guard import restrict_to
from tests.support.simulation.ledger import LedgerPlatform

SECOND = timedelta(seconds=1)


@pytest.fixture
def ledger(engine: Engine) -> Iterator[LedgerPlatform]:
    ledger = LedgerPlatform(engine, seed="moments")
    yield ledger
    ledger.platform.drop()


def reads(ledger: LedgerPlatform) -> BalanceReads:
    client = ledger.platform.engine.dynamodb()
    restrict_to(client, QuerySettings.TABLE_USES, ledger.platform.tables)
    store = ledger.platform.store_on(client)
    return BalanceReads(AccountRepository(store), ShardRepository(store), EntryRepository(store))


def balance_at(ledger: LedgerPlatform, account_id: str, at: str) -> BalanceAnswer:
    call = ledger.platform.call(None, operator=True)
    return get_balance(account_id, BalanceQuery(at=at), call, reads(ledger))


def test_the_balance_at_any_time_matches_the_statement(
    ledger: LedgerPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance_queries, "SEARCHED_LINES", 2)
    alice, bob = ledger.open(opening=1_000), ledger.open()
    for amount in range(1, 8):
        ledger.calm.send(ledger.order(alice, bob, amount))
        ledger.platform.clock.advance(90)
    ledger.poller.drain()
    rows = [row for row in ledger.platform.rows(Entry) if row.account_id == alice]
    entries = sorted(rows, key=lambda row: row.sequence)
    assert len(entries) == 8
    for entry in entries:
        found = balance_at(ledger, alice, entry.created_at)
        assert (found.balance, found.sequence) == (entry.balance_after, entry.sequence)
    first = to_datetime(entries[0].created_at)
    before = balance_at(ledger, alice, to_timestamp(first - SECOND))
    assert (before.balance, before.sequence) == (0, None)


def test_a_hot_accounts_balance_is_the_sum_of_its_rows_at_that_time(
    ledger: LedgerPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance_queries, "ADDED_PAGE", 2)
    platform, merchant = ledger.platform, ledger.merchant
    receivable = receivable_account(merchant.id, "USD")
    for n in range(6):
        payment = platform.paid(merchant, amount=1_000 + n)
        platform.clock.advance(90)
        platform.operate(merchant, payment, "refund", amount=10 + n)
    ledger.poller.drain()
    entries = [row for row in platform.rows(Entry) if row.account_id == receivable]
    shards = {row.account_shard.partition("#")[2] for row in entries}
    assert {is_debit_shard(shard) for shard in shards} == {True, False}
    assert len(shards) > 2, "captures and refunds use different shards"
    moments = sorted({row.created_at for row in entries})
    assert len(moments) >= 12
    for moment in moments:
        expected = sum(row.amount for row in entries if row.created_at <= moment)
        found = balance_at(ledger, receivable, moment)
        assert (found.balance, found.sequence) == (expected, None), moment
    before = to_timestamp(to_datetime(moments[0]) - SECOND)
    assert balance_at(ledger, receivable, before).balance == 0
