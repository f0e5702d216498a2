"""Hot accounts: guarded debits use the whole balance, and debits by facts take effect at once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from runtime.core.errors import (
    AccountInUse,
    Conflict,
    Forbidden,
    InvalidValue,
    OpenHolds,
    PlatformError,
)
from runtime.core.timestamps import to_timestamp
from runtime.customers.repository import CustomerRepository
from runtime.dynamodb.expressions import absent, put
from runtime.http.pagination import Cursors
from runtime.http.responses import StoredAnswer
from runtime.ledger.accounts.account_lifecycle import (
    INACTIVITY_BEFORE_CLOSE,
    close_account,
    deactivate_account,
)
from runtime.ledger.accounts.api import EntryQuery
from runtime.ledger.accounts.models import Account, AccountType, Posting
from runtime.ledger.accounts.queries import AccountReads, get_account, list_entries
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.entries.models import Entry
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.hot_accounts.rules import (
    DEBIT_SHARDS,
    HotBalance,
    debit_shard,
    debit_shards,
    is_debit_shard,
)
from runtime.ledger.rules import receivable_account
from runtime.ledger.transfers.api import TransferQuery
from runtime.ledger.transfers.models import Transfer
from runtime.ledger.transfers.queries import TransferReads, list_transfers
from runtime.ledger.transfers.repository import TransferRepository
from runtime.ledger.transfers.transfers import create_transfer
from runtime.payments.transaction_models import Transaction
from tests.support.engines.engine import Engine
from tests.support.outside import new_id
from tests.support.platform import (
    CURSOR_KEY,
    SETUP,
    at_once,
    pages,
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
        return {row.shard: row.balance for row in rows if row.id == self.receivable}

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


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    shop = Shop(engine)
    yield shop
    shop.platform.drop()


def code(answer: StoredAnswer) -> str | None:
    found: str | None = json.loads(answer.body).get("code")
    return found


# ------------------------------------------------------------ funds taken by a refund


def test_a_payout_of_funds_taken_by_a_refund_is_refused(shop: Shop) -> None:
    payment = shop.sell(10_000)
    assert shop.pay_out(1).status == 201
    shop.refund(payment, 9_000)
    refused = shop.pay_out(9_679)
    assert (refused.status, code(refused)) == (422, "insufficient_funds")
    assert "available 679, requested 9679" in json.loads(refused.body)["detail"]
    assert shop.pay_out(679).status == 201
    shop.project()
    assert shop.total() == 0
    shop.ledger.must_be_verified()


def test_a_hold_and_a_dry_run_include_refunds_in_the_balance(shop: Shop) -> None:
    payment = shop.sell(10_000)
    shop.refund(payment, 9_000)
    assert code(shop.pay_out(681, hold=True)) == "insufficient_funds"
    with pytest.raises(PlatformError, match="available 680, requested 681"):
        shop.pay_out(681, dry_run=True)
    assert shop.pay_out(680, dry_run=True).status == 201
    held = json.loads(shop.pay_out(680, hold=True).body)["id"]
    assert code(shop.pay_out(1)) == "insufficient_funds"
    assert shop.ledger.calm.send(shop.ledger.post_order(held, 670)).status == 200
    assert code(shop.pay_out(11)) == "insufficient_funds"
    assert shop.pay_out(10).status == 201
    shop.project()
    assert shop.total() == 0
    shop.ledger.must_be_verified()


def test_credits_in_any_shard_are_spendable_at_once_and_row_00_may_go_below_zero(
    shop: Shop,
) -> None:
    for amount in (1_000, 2_000, 3_000):
        shop.sell(amount)
    assert shop.pay_out(shop.total()).status == 201
    assert shop.rows()["00"] < 0
    assert shop.total() == 0
    assert code(shop.pay_out(1)) == "insufficient_funds"
    shop.project()
    shop.ledger.must_be_verified()


def test_a_capture_with_a_higher_fee_debits_immediately_and_creates_the_receivable(
    shop: Shop,
) -> None:
    shop.platform.paid(shop.merchant, amount=10)
    assert [shard for shard, each in shop.rows().items() if is_debit_shard(shard) and each == -20]
    shop.project()
    assert shop.rows()["00"] == 0, "the profile exists although nothing was credited"
    assert code(shop.pay_out(1)) == "insufficient_funds"
    shop.ledger.must_be_verified()


# ------------------------------------------------------------ races


def test_a_refund_between_read_and_commit_does_not_block_a_covered_payout(
    shop: Shop,
) -> None:
    payment = shop.sell(100_000)
    slack = DEBIT_SHARDS * 100
    shop.between_read_and_commit(lambda: shop.refund(payment, 100))
    assert shop.pay_out(shop.total() - slack).status == 201
    assert shop.ledger.calm.deps.shard_rows.looks == 1  # type: ignore[attr-defined]
    assert shop.total() == slack - 100


def test_a_refund_beyond_the_remaining_funds_makes_a_payout_read_again(shop: Shop) -> None:
    payment = shop.sell(10_000)
    shop.between_read_and_commit(lambda: shop.refund(payment, 9_000))
    assert not [shard for shard in shop.rows() if is_debit_shard(shard)]
    refused = shop.pay_out(9_680)
    assert code(refused) == "insufficient_funds"
    assert "available 680" in json.loads(refused.body)["detail"]
    shop.between_read_and_commit(lambda: shop.refund(payment, 10))
    assert code(shop.pay_out(680)) == "insufficient_funds"
    assert shop.total() == 670


def test_a_consolidation_between_read_and_commit_makes_a_payout_read_again(shop: Shop) -> None:
    payment = shop.sell(10_000)
    shop.refund(payment, 9_000)
    shop.between_read_and_commit(
        lambda: shop.shard_rows.consolidate(shop.receivable, lambda _: SETUP, shop.platform.clock())
    )
    assert shop.pay_out(680).status == 201
    assert shop.ledger.calm.deps.shard_rows.looks == 2  # type: ignore[attr-defined]
    assert shop.total() == 0


@pytest.mark.parametrize("shard", ["d00", "d01"])
def test_a_dry_run_reads_again_whichever_shard_check_fails(shop: Shop, shard: str) -> None:
    shop.sell(10_000)
    assert shop.pay_out(1).status == 201
    shop.between_read_and_commit(lambda: lower(shop, shard, 1_000))
    with pytest.raises(PlatformError, match="available 8679, requested 9679"):
        shop.pay_out(9_679, dry_run=True)


def lower(shop: Shop, shard: str, amount: int) -> None:
    """Lower this debit shard like a fact."""
    now = shop.platform.clock()
    row = Account(
        id=shop.receivable,
        shard=shard,
        merchant_id=shop.merchant.id,
        account_type=AccountType.MERCHANT,
        currency="USD",
        posting=Posting.FOLDED,
        balance=-amount,
        last_operation_id=new_id("pos", now),
        created_at=to_timestamp(now),
        updated_at=to_timestamp(now),
        **SETUP.stamp(),
    )
    shop.platform.store.transact([put(row).when(absent("id"))], token=new_id("tst", now))


def test_concurrent_payouts_and_refunds_never_overdraw(shop: Shop) -> None:
    payments = [shop.sell(1_000) for _ in range(4)]
    there = shop.total()

    def refund(payment: str) -> None:
        for _ in range(3):
            shop.refund(payment, 100)

    def pay_out() -> int:
        calm = shop.ledger.client("payer")
        orders = [shop.ledger.order(shop.receivable, shop.bank, 450) for _ in range(4)]
        return sum(calm.send(order).status == 201 for order in orders)

    results = at_once(*(lambda p=p: refund(p) for p in payments), *[pay_out] * 3)
    assert not [each for each in results if isinstance(each, Exception)], results
    paid = sum(each for each in results if isinstance(each, int))
    # Refunds are facts and may make the balance negative. A payout may not.
    assert shop.total() == there - 4 * 300 - paid * 450 < 450, "payouts did not starve"
    watch = shop.ledger.watch
    assert (watch.looked[shop.receivable], watch.below) == (paid, [])
    shop.project()
    shop.ledger.must_be_verified()


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


# ------------------------------------------------------------ permissions and limits


def test_a_merchants_own_token_cannot_debit_its_receivable(shop: Shop) -> None:
    shop.sell(10_000)
    order = shop.ledger.order(shop.receivable, shop.bank, 1)
    request = shop.ledger.calm.request(order)
    call = shop.platform.call(shop.merchant, order.body, order.key, path="/v1/transfers")
    for _ in range(2):
        with pytest.raises(Forbidden):
            create_transfer(request, call, shop.ledger.calm.deps)
        assert shop.pay_out(1).status == 201  # the account is now cached as hot


def test_a_transfer_too_large_for_one_transaction_is_refused(shop: Shop) -> None:
    platform = shop.platform
    other = platform.merchant()
    platform.paid(other, amount=10_000)
    shop.sell(10_000)
    theirs = receivable_account(other.id, "USD")
    legs = [
        {"from_account_id": source, "to_account_id": shop.bank, "amount": 1}
        for source in (shop.receivable, theirs)
    ]
    order = shop.ledger.order(legs=legs)
    call = platform.call(None, order.body, order.key, path="/v1/transfers", operator=True)
    with pytest.raises(InvalidValue, match="the limit is 100"):
        create_transfer(shop.ledger.calm.request(order), call, shop.ledger.calm.deps)


def test_a_dry_run_also_refuses_a_transfer_too_large_for_the_commit(shop: Shop) -> None:
    shop.sell(10_000)
    assert shop.pay_out(1).status == 201  # the receivable is now cached as hot
    legs = [{"from_account_id": shop.receivable, "to_account_id": shop.bank, "amount": 1}]
    legs += [
        {"from_account_id": f"acc_{number}_a", "to_account_id": f"acc_{number}_b", "amount": 1}
        for number in range(17)
    ]
    for dry_run in (True, False):
        with pytest.raises(InvalidValue, match="needs 102 writes"):
            shop.ledger.calm.send(shop.ledger.order(legs=legs, dry_run=dry_run))


# ------------------------------------------------------------ holds, and closing an account


def held(shop: Shop, account_id: str) -> tuple[int, int, int]:
    """(balance of all rows, held_out, held_in) of an account."""
    rows = [row for row in shop.platform.rows(Account) if row.id == account_id]
    sums = (sum(getattr(row, name) for row in rows) for name in ("balance", "held_out", "held_in"))
    balance, held_out, held_in = sums
    return balance, held_out, held_in


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
    rows = {row.shard: row.balance for row in shop.platform.rows(Account) if row.id == hot}
    assert sorted(rows.values()) == [-70, 70]
    answer = close(shop, hot)
    assert json.loads(answer.body)["status"] == "closed"
    assert {row.balance for row in shop.platform.rows(Account) if row.id == hot} == {0}
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
    rows = [row.balance for row in shop.platform.rows(Account) if row.id == hot]
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
    (account,) = [each for each in shop.platform.rows(Account) if each.id == hot]
    as_before = [
        put(row.model_copy(update={"held_in_counted": False})),
        put(account.model_copy(update={"held_in": 0})),
    ]
    shop.platform.store.transact(as_before, token=new_id("tst", shop.platform.clock()))
    assert shop.ledger.calm.send(shop.ledger.post_order(hold)).status == 200
    shop.project()
    assert held(shop, hot) == (100, 0, 0)
