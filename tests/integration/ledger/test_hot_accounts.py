"""Hot accounts: guarded debits use the whole balance, and debits by facts take effect at once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from runtime.core.errors import (
    Forbidden,
    InvalidValue,
    PlatformError,
)
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.expressions import absent, put
from runtime.ledger.accounts.models import Account, AccountType, Posting, row_id
from runtime.ledger.hot_accounts.rules import (
    DEBIT_SHARDS,
    is_debit_shard,
)
from runtime.ledger.rules import receivable_account
from runtime.ledger.transfers.transfers import create_transfer
from tests.support.engines.engine import Engine
from tests.support.hot_account_shop import Shop, code
from tests.support.outside import new_id
from tests.support.platform import (
    SETUP,
    at_once,
)


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    shop = Shop(engine)
    yield shop
    shop.platform.drop()


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
        id=row_id(shop.receivable, shard),
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
