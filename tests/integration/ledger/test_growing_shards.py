"""Credit shards are added to a busy hot account, and no read of its balance misses one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.ledger.accounts.api import EntryQuery
from runtime.ledger.accounts.models import Account
from runtime.ledger.accounts.queries import get_account, list_entries
from runtime.ledger.hot_accounts import projection
from runtime.ledger.hot_accounts.repository import HotAccount
from runtime.ledger.hot_accounts.rules import MAX_CREDIT_SHARDS, is_credit_shard
from tests.support.engines.engine import Engine
from tests.support.hot_account_shop import Shop
from tests.support.platform import SETUP


@pytest.fixture
def shop(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(projection, "BUSY_SHARDS", 0)  # as if every commit met other writers
    shop = Shop(engine)
    yield shop
    shop.platform.drop()


def profile(shop: Shop) -> Account:
    (row,) = [row for row in shop.platform.rows(Account) if row.id == shop.receivable]
    return row


def test_the_number_doubles_up_to_the_most(shop: Shop) -> None:
    numbers = []
    for _ in range(6):
        shop.sell(1_000)
        numbers.append(profile(shop).credit_shards)
    assert numbers == [32, 64, 128, MAX_CREDIT_SHARDS, MAX_CREDIT_SHARDS, MAX_CREDIT_SHARDS]
    assert profile(shop).version == 1 + 4
    shop.ledger.must_be_verified()


def test_a_writer_with_an_old_number_does_not_grow_the_account_again(shop: Shop) -> None:
    shop.sell(1_000)
    old = HotAccount.of(profile(shop))
    for _ in range(2):
        shop.shard_rows.grow(old, SETUP, shop.platform.clock())
    assert profile(shop).credit_shards == 2 * old.credit_shards


def test_every_read_of_the_balance_includes_the_added_shards(shop: Shop) -> None:
    payments = [shop.sell(1_000) for _ in range(40)]
    shop.refund(payments[0], 100)
    shop.project()
    used = {shard for shard in shop.rows() if is_credit_shard(shard)}
    assert max(map(int, used)) > 16
    expected = 40 * 941 - 100
    assert shop.total() == expected
    call = shop.ledger.call({}, None, f"/v1/accounts/{shop.receivable}")
    assert get_account(shop.receivable, call, shop.account_reads()).balance == expected
    assert shop.shard_rows.balance_of(shop.receivable).total == expected
    page = list_entries(shop.receivable, EntryQuery(limit=100), call, shop.account_reads())
    assert sum(line.amount for line in page.data) == expected
    assert shop.pay_out(expected).status == 201
    assert shop.pay_out(1).status == 422
    shop.project()
    shop.ledger.must_be_verified()


def test_an_account_that_grows_between_the_read_and_the_commit_of_a_payout_is_read_again(
    shop: Shop,
) -> None:
    shop.sell(1_000)
    shop.between_read_and_commit(lambda: shop.sell(500))
    assert shop.pay_out(1_300).status == 201
    assert shop.ledger.calm.deps.shard_rows.looks == 2  # type: ignore[attr-defined]
    shop.project()
    shop.ledger.must_be_verified()


def test_a_consolidation_empties_the_added_shards(shop: Shop) -> None:
    for _ in range(30):
        shop.sell(1_000)
    before = shop.total()
    moved = shop.shard_rows.consolidate(shop.receivable, lambda _: SETUP, shop.platform.clock())
    assert moved == shop.rows()["00"] == before
    assert {amount for shard, amount in shop.rows().items() if shard != "00"} == {0}
    shop.project()
    shop.ledger.must_be_verified()


def test_a_shard_that_row_00_does_not_count_is_reported(shop: Shop) -> None:
    for _ in range(20):
        shop.sell(1_000)
    shop.platform.put(profile(shop).model_copy(update={"credit_shards": 16}))
    shards = [row for row in shop.platform.rows(Account) if row.account_id == shop.receivable]
    lost = sorted(row.id for row in shards if is_credit_shard(row.shard) and int(row.shard) > 16)
    assert lost
    report = shop.ledger.verify_ledger()
    (check,) = [each for each in report.checks if each.name == "account_entries"]
    assert set(lost) <= {each.id for each in check.violations}
