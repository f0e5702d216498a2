"""Reads of hot accounts: balances, statements, entries, holds, and closing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from runtime.core.errors import (
    AccountInUse,
    Conflict,
    OpenHolds,
)
from runtime.dynamodb.expressions import put
from runtime.http.responses import StoredAnswer
from runtime.ledger.accounts.account_lifecycle import (
    INACTIVITY_BEFORE_CLOSE,
    close_account,
    deactivate_account,
)
from runtime.ledger.accounts.api import EntryQuery
from runtime.ledger.accounts.models import Account
from runtime.ledger.accounts.queries import get_account, list_entries
from runtime.ledger.entries.models import Entry
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.hot_accounts.rules import (
    debit_shard,
    debit_shards,
)
from runtime.ledger.transfers.api import TransferQuery
from runtime.ledger.transfers.models import Transfer
from runtime.ledger.transfers.queries import TransferReads, list_transfers
from runtime.ledger.transfers.repository import TransferRepository
from tests.support.engines.engine import Engine
from tests.support.hot_account_shop import Shop, code, held
from tests.support.outside import new_id
from tests.support.platform import (
    SETUP,
    pages,
)


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    shop = Shop(engine)
    yield shop
    shop.platform.drop()


# ------------------------------------------------------------ other reads of the balance


def test_balance_and_statement_show_debits_once_without_the_transfers_stream(
    shop: Shop,
) -> None:
    payments = [shop.sell(1_000) for _ in range(3)]
    for payment in payments:
        for amount in (10, 20, 30):
            shop.refund(payment, amount)
    call = shop.ledger.call({}, None, f"/v1/accounts/{shop.receivable}")
    account = get_account(shop.receivable, call, shop.account_reads())
    assert account.balance == account.available == shop.total() == 3 * 941 - 180
    assert shop.pay_out(100).status == 201
    shop.project()

    def page(cursor: str | None) -> Any:
        query = EntryQuery(limit=2, cursor=cursor)
        return list_entries(shop.receivable, query, call, shop.account_reads())

    lines = [line for each in pages(page) for line in each.data]
    amounts = Counter(line.amount for line in lines)
    assert amounts == {941: 3, -10: 3, -20: 3, -30: 3, -100: 1}


def test_a_statement_includes_a_payout_that_committed_late_on_any_page(shop: Shop) -> None:
    payer, hot = shop.ledger.open(opening=1_000), shop.ledger.open(folded=True)
    calm = shop.ledger.calm
    assert calm.send(shop.ledger.order(payer, hot, 500)).status == 201
    shop.project()
    first = calm.prepare(shop.ledger.order(hot, payer, 1))
    shop.platform.clock.advance(0.01)
    second = calm.prepare(shop.ledger.order(hot, payer, 2))
    assert [each().status for each in (second, first)] == [201, 201]
    shop.platform.clock.advance(120)
    assert calm.send(shop.ledger.order(hot, payer, 3)).status == 201
    shop.project()
    call = shop.ledger.call({}, None, f"/v1/accounts/{hot}")

    def page(cursor: str | None) -> Any:
        return list_entries(hot, EntryQuery(limit=1, cursor=cursor), call, shop.account_reads())

    assert [line.amount for each in pages(page) for line in each.data] == [-3, -2, -1, 500]


def test_a_debit_shard_entry_refers_to_its_transfer_and_is_written_once(shop: Shop) -> None:
    payment = shop.sell(1_000)
    shop.refund(payment, 10)
    shop.project()
    (fact,) = [row for row in shop.platform.rows(Transfer) if row.debited_accounts]
    assert fact.debit_shard == debit_shard(fact.id)
    place = f"{shop.receivable}#{fact.debit_shard}"
    (entry,) = [row for row in shop.platform.rows(Entry) if row.account_shard == place]
    assert (entry.transfer_id, entry.operation_id) == (fact.id, fact.operation_id)
    assert (entry.amount, entry.balance_after, entry.fold_version) == (-10, None, 1)
    assert shop.receivable not in fact.folded_accounts


def test_consolidation_moves_every_shard_into_row_00_without_changing_totals(shop: Shop) -> None:
    payment = shop.sell(100_000)
    for _ in range(60):
        shop.refund(payment, 7)
        shop.platform.clock.advance(0.001)
    before = shop.rows()
    assert len(before) > 30
    moved = shop.shard_rows.consolidate(shop.receivable, lambda _: SETUP, shop.platform.clock())
    after = shop.rows()
    assert moved == after["00"] == sum(before.values())
    assert {balance for shard, balance in after.items() if shard != "00"} == {0}
    shop.project()
    shop.ledger.must_be_verified()
    assert shop.shard_rows.consolidate(shop.receivable, lambda _: SETUP, shop.platform.clock()) == 0


def test_chunks_of_a_settlement_file_debit_different_shards(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.reconciliation.files.plan.CHUNK_LINES", 3)
    platform = shop.platform
    for _ in range(9):
        platform.paid(shop.merchant, amount=1_000)
    shop.project()
    shop.settle()
    shop.project()
    facts = [row for row in platform.rows(Transfer) if row.settlement_id]
    assert sorted(row.debit_shard or "" for row in facts) == list(debit_shards()[:3])
    assert shop.total() == 0
    shop.ledger.must_be_verified()


# ------------------------------------------------------------ holds, and closing an account


def close(shop: Shop, account_id: str, *, waited: bool = True) -> StoredAnswer:
    path, deps = f"/v1/accounts/{account_id}/close", shop.ledger.calm.account_dependencies
    if waited:
        call = shop.platform.call(None, {}, path=path, operator=True)
        deactivate_account(account_id, call, deps)
        shop.platform.clock.advance(INACTIVITY_BEFORE_CLOSE.total_seconds() + 1)
    call = shop.platform.call(None, {}, path=path, operator=True)
    return close_account(account_id, call, deps)


def test_held_in_of_a_hot_account_includes_a_hold_until_its_end(shop: Shop) -> None:
    payer, hot = shop.ledger.open(opening=1_000), shop.ledger.open(folded=True)
    first, second, third = (shop.ledger.hold(payer, hot, amount) for amount in (100, 200, 300))
    assert held(shop, hot) == (0, 0, 600)
    calm = shop.ledger.calm
    calm.send(shop.ledger.post_order(first, 60))
    shop.ledger.model.post(first, 60)
    calm.send(shop.ledger.cancel_order(second))
    shop.ledger.model.release(second, "canceled")
    assert held(shop, hot) == (0, 0, 300)
    (hold,) = [row for row in shop.platform.rows(Transfer) if row.id == third]
    assert (hold.folded_accounts, hold.held_in_counted) == ((hot,), True)
    shop.platform.clock.advance(8 * 86_400)
    calm.expire()
    shop.ledger.model.release(third, "expired")
    shop.project()
    assert held(shop, hot) == (60, 0, 0)
    shop.ledger.must_balance()


def test_a_hold_for_a_hot_account_is_listed_once_at_its_start(shop: Shop) -> None:
    payer, hot = shop.ledger.open(opening=1_000), shop.ledger.open(folded=True)
    holds = [shop.ledger.hold(payer, hot, amount) for amount in (100, 200, 300)]
    shop.ledger.calm.send(shop.ledger.post_order(holds[0]))
    shop.ledger.calm.send(shop.ledger.cancel_order(holds[1]))
    shop.project()
    call = shop.ledger.call({}, None, "/v1/transfers")
    account_reads = TransferReads(TransferRepository(shop.platform.store), shop.account_reads())

    def page(cursor: str | None) -> Any:
        query = TransferQuery(account_id=hot, limit=1, cursor=cursor)
        return list_transfers(query, call, account_reads)

    listed = [row.id for each in pages(page) for row in each.data]
    assert sorted(listed) == sorted(holds)


def test_an_account_with_open_holds_cannot_be_closed(shop: Shop) -> None:
    payer, hot = shop.ledger.open(opening=100), shop.ledger.open(folded=True)
    shop.project()
    hold = shop.ledger.hold(payer, hot, 100)
    with pytest.raises(OpenHolds, match="0 held and 100 incoming"):
        close(shop, hot)
    with pytest.raises(OpenHolds, match="100 held and 0 incoming"):
        close(shop, payer, waited=False)
    shop.ledger.calm.send(shop.ledger.cancel_order(hold))
    shop.platform.clock.advance(INACTIVITY_BEFORE_CLOSE.total_seconds() + 1)
    assert close(shop, hot, waited=False).status == 200


def test_a_status_change_of_a_hot_account_returns_its_whole_balance(shop: Shop) -> None:
    payer, hot = shop.ledger.open(opening=100), shop.ledger.open(folded=True)
    shop.ledger.calm.send(shop.ledger.order(payer, hot, 70))
    shop.project()
    call = shop.platform.call(None, {}, path=f"/v1/accounts/{hot}/deactivate", operator=True)
    answer = json.loads(deactivate_account(hot, call, shop.ledger.calm.account_dependencies).body)
    assert (answer["status"], answer["balance"], answer["available"]) == ("inactive", 70, 70)
    assert answer["as_of"] == answer["updated_at"]


def test_a_hold_is_checked_against_the_stored_hot_account_not_the_cached_one(
    shop: Shop,
) -> None:
    payer, hot = shop.ledger.open(opening=100), shop.ledger.open(folded=True)
    calm = shop.ledger.calm
    calm.send(shop.ledger.order(payer, hot, 1))  # cached as hot and active
    shop.project()
    calm.send(shop.ledger.order(hot, payer, 1))
    shop.project()
    assert close(shop, hot).status == 200
    refused = calm.send(shop.ledger.order(payer, hot, 10, hold=True))
    assert code(refused) == "inactive_account"


def test_every_row_of_a_closed_hot_account_is_zero(shop: Shop) -> None:
    payer, hot = shop.ledger.open(opening=100), shop.ledger.open(folded=True)
    shop.ledger.calm.send(shop.ledger.order(payer, hot, 70))
    shop.project()
    shop.ledger.calm.send(shop.ledger.order(hot, payer, 70))
    rows = {row.shard: row.balance for row in shop.platform.rows(Account) if row.account_id == hot}
    assert sorted(rows.values()) == [-70, 70]
    answer = close(shop, hot)
    assert json.loads(answer.body)["status"] == "closed"
    assert {row.balance for row in shop.platform.rows(Account) if row.account_id == hot} == {0}
    shop.project()
    shop.ledger.must_be_verified()


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_account_activated_during_consolidation_is_not_closed(shop: Shop, when: str) -> None:
    payer, hot = shop.ledger.open(opening=100), shop.ledger.open(folded=True)
    calm = shop.ledger.calm
    calm.send(shop.ledger.order(payer, hot, 70))
    shop.project()
    calm.send(shop.ledger.order(hot, payer, 70))

    class Activated(ShardRepository):
        def consolidate(self, account_id: str, *args: Any, **more: Any) -> int:
            if when == "before":
                calm.set_active(hot, True)
            moved = super().consolidate(account_id, *args, **more)
            calm.set_active(hot, True)
            return moved

    calm.account_dependencies = replace(
        calm.account_dependencies, shard_rows=Activated(shop.platform.store)
    )
    with pytest.raises(Conflict, match="has been active since"):
        close(shop, hot)
    rows = [row.balance for row in shop.platform.rows(Account) if row.account_id == hot]
    assert sorted(rows) == ([-70, 70] if when == "before" else [0, 0]), "never while it is active"


def test_a_chart_account_cannot_be_closed_once_it_was_used(shop: Shop) -> None:
    shop.sell(1_000)
    shop.ledger.open(opening=1)
    shop.project()
    for account in (shop.receivable, "acc_clearing_USD", "acc_fees_USD", "acc_opening_USD"):
        with pytest.raises(AccountInUse, match="cannot be closed"):
            close(shop, account)


def test_a_hold_without_held_in_counted_does_not_release_held_in(shop: Shop) -> None:
    payer, hot = shop.ledger.open(opening=100), shop.ledger.open(folded=True)
    hold = shop.ledger.hold(payer, hot, 100)
    (row,) = [row for row in shop.platform.rows(Transfer) if row.id == hold]
    (account,) = [each for each in shop.platform.rows(Account) if each.account_id == hot]
    as_before = [
        put(row.model_copy(update={"held_in_counted": False})),
        put(account.model_copy(update={"held_in": 0})),
    ]
    shop.platform.store.transact(as_before, token=new_id("tst", shop.platform.clock()))
    assert shop.ledger.calm.send(shop.ledger.post_order(hold)).status == 200
    shop.project()
    assert held(shop, hot) == (100, 0, 0)
