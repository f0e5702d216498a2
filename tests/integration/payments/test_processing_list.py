"""`?status=processing`, which is read from the queue of open payments of all merchants."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from benchmarks.bill.prices import price_of
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import LEAST_OPEN_BUCKETS_OF_MERCHANT, open_buckets_of
from runtime.http.pagination import READ_BUDGET
from runtime.merchants.models import Merchant, MerchantProfile
from runtime.payments.api import PaymentQuery
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.queries import list_payments
from tests.support.engines.faults import ProcessKilled
from tests.support.outside import new_id
from tests.support.platform import Hooked, Platform, pages

HOW_MANY = 11


def _die(*_: Any) -> None:
    raise ProcessKilled


def left_in_processing(platform: Platform, merchant: MerchantProfile, **body: Any) -> Payment:
    """A payment whose request died after the charge."""
    known = {row.id for row in platform.payments()}
    deps = platform.deps(processor=Hooked(platform.sandbox(), after=_die))
    with pytest.raises(ProcessKilled):
        platform.pay(merchant, deps=deps, **body)
    (made,) = (row for row in platform.payments() if row.id not in known)
    assert made.status is PaymentStatus.PROCESSING
    return made


def listed_pages(platform: Platform, merchant: MerchantProfile, **query: Any) -> list[list[str]]:
    def read(cursor: str | None) -> Any:
        asked = PaymentQuery(cursor=cursor, status="processing", **query)
        return list_payments(asked, platform.call(merchant), platform.payment_reads())

    return [[row.id for row in page.data] for page in pages(read)]


def listed(platform: Platform, merchant: MerchantProfile, **query: Any) -> list[str]:
    return [each for page in listed_pages(platform, merchant, **query) for each in page]


@pytest.mark.parametrize("limit", [1, 3, HOW_MANY, 100])
@pytest.mark.parametrize("buckets", [1, 64])
def test_every_payment_in_processing_is_listed_once_newest_first(
    either_world: Platform, buckets: int, limit: int
) -> None:
    platform = either_world
    shop, other = platform.merchant(index_buckets=buckets), platform.merchant(index_buckets=256)
    mine = []
    for number in range(HOW_MANY):
        mine.append(left_in_processing(platform, shop).id)
        left_in_processing(platform, other)
        for token in ("tok_approved", "tok_declined", "tok_timeout"):
            platform.pay(shop, payment_method=token)
        platform.pay(shop, capture_method="manual")
        if number % 3:  # else the next one is created in the same millisecond
            platform.clock.advance(number)
    assert listed(platform, shop, limit=limit) == sorted(mine, reverse=True)


def test_filters_by_amount_and_date_match_a_full_scan(platform: Platform) -> None:
    shop = platform.merchant()
    for number in range(HOW_MANY):
        left_in_processing(
            platform,
            shop,
            amount=100 * (number + 1),
            currency=["USD", "EUR"][number % 2],
            reference=["17", "18"][number % 3 % 2],
        )
        platform.clock.advance(6 * 3600)
    rows = sorted(platform.payments(), key=lambda row: row.id, reverse=True)
    days = sorted({row.created_at[:10] for row in rows})
    moment = rows[4].created_at
    for query, keep in (
        ({}, lambda _: True),
        ({"min_amount": 500, "max_amount": 900}, lambda row: 500 <= row.amount <= 900),
        ({"start_date": days[1]}, lambda row: row.created_at[:10] >= days[1]),
        ({"end_date": days[1]}, lambda row: row.created_at[:10] <= days[1]),
        ({"start_date": moment}, lambda row: row.created_at >= moment),
        ({"end_date": moment}, lambda row: row.created_at <= moment),
        ({"start_date": moment, "end_date": moment}, lambda row: row.created_at == moment),
        ({"currency": "EUR"}, lambda row: row.currency == "EUR"),
        ({"reference": "18"}, lambda row: row.reference == "18"),
        ({"end_date": "9999-12-31"}, lambda _: True),
        ({"start_date": "9999-01-01"}, lambda _: False),
    ):
        expected = [row.id for row in rows if keep(row)]
        for limit in (2, 100):
            assert listed(platform, shop, limit=limit, **query) == expected, query


def test_a_payment_is_in_the_list_of_its_status_only(platform: Platform) -> None:
    shop = platform.merchant()
    lost = left_in_processing(platform, shop).id
    assert listed(platform, shop) == [lost]
    platform.clock.advance(3600)
    assert listed(platform, shop) == [lost], "however long the resolver has not reached it"
    platform.resolve_until_quiet()
    assert platform.payment().status is PaymentStatus.SUCCEEDED
    assert listed(platform, shop) == []


def test_a_merchant_that_gets_more_index_buckets_still_lists_all(platform: Platform) -> None:
    shop = platform.merchant()
    before = [left_in_processing(platform, shop).id for _ in range(6)]
    (row,) = platform.rows(Merchant)
    platform.put(row.model_copy(update={"index_buckets": 256}))
    after = [left_in_processing(platform, shop).id for _ in range(6)]
    assert listed(platform, shop) == sorted([*before, *after], reverse=True)


def test_payments_of_others_end_a_page_and_not_the_list(platform: Platform) -> None:
    """Others' open payments in the same buckets, and an outage of this merchant's processor."""
    shop, other = platform.merchant(), platform.merchant()
    oldest = left_in_processing(platform, shop)
    buckets = open_buckets_of(shop.id, 1)
    for number in range(READ_BUDGET + 50):
        platform.clock.advance(0.001)
        now, is_mine = platform.clock(), number % 2 == 0
        made = now - timedelta(hours=1) if is_mine else now
        status = PaymentStatus.UNKNOWN if is_mine else PaymentStatus.PROCESSING
        row = oldest.model_copy(
            update={
                "id": new_id("pay", made),
                "merchant_id": shop.id if is_mine else other.id,
                "status": status,
                "open_bucket": buckets[number % len(buckets)],
                "next_action_at": to_timestamp(now + platform.processing_list().lease),
            }
        )
        platform.put(row)
    newest = left_in_processing(platform, shop)
    found = listed_pages(platform, shop, limit=5)
    assert found == [[newest.id], [oldest.id]]
    counted = Counter(row.merchant_id for row in platform.payments())
    assert counted.total() == READ_BUDGET + 52


@pytest.mark.parametrize(
    "more",
    [{"merchant_id": {"N": "5"}}, {"next_action_at": {"S": "2026-03-1"}}, {"id": {"S": "?"}}],
    ids=["no merchant", "no time", "no id"],
)
def test_a_row_written_out_of_band_is_passed_over(platform: Platform, more: Any) -> None:
    shop = platform.merchant()
    lost = left_in_processing(platform, shop)
    client, table = platform.client, platform.tables["payments"]
    item = client.get_item(TableName=table, Key={"id": {"S": lost.id}})["Item"]
    client.put_item(
        TableName=table, Item={**item, "id": {"S": new_id("pay", platform.clock())}, **more}
    )
    for limit in (1, 5):
        assert lost.id in listed(platform, shop, limit=limit)


def test_the_cost_of_a_page_depends_on_the_open_payments_in_the_merchants_buckets(
    platform: Platform,
) -> None:
    shop = platform.merchant()
    for _ in range(3):
        left_in_processing(platform, shop)
    client = platform.engine.dynamodb()
    reads = platform.payment_reads()
    reads = type(reads)(
        reads.payments,
        reads.lists,
        platform.processing_list(platform.store_on(client)),
        reads.merchants,
        reads.customers,
        reads.cursors,
    )
    query = PaymentQuery(status="processing")
    price = price_of(
        lambda: list_payments(query, platform.call(shop), reads), client, platform.client
    )
    assert price.trips == LEAST_OPEN_BUCKETS_OF_MERCHANT + 1
    assert price.read_units == LEAST_OPEN_BUCKETS_OF_MERCHANT / 2 + 3
