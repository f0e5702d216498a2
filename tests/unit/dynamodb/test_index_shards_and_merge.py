"""Index shards: stable, evenly distributed, and merged into one order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.dynamodb.index_merge import merge_newest_first
from runtime.dynamodb.index_shards import (
    LEAST_OPEN_BUCKETS_OF_MERCHANT,
    OPEN_BUCKETS,
    OPEN_QUEUE,
    REST_BUCKETS,
    all_buckets,
    bucket_for,
    bucket_key,
    open_buckets_of,
    operation_open_bucket,
    payment_open_bucket,
    rest_bucket,
)
from runtime.functions.composition.real_outside import RealThreads


def test_a_rows_shard_never_changes() -> None:
    """Stored indexes contain these values, so they may never change."""
    assert bucket_for("mer_1", "pay_01KKNS5TM27YDJ43Y2ZGZA8BEN", 1) == "mer_1#000"
    assert bucket_for("mer_1", "pay_01KKNS5TM27YDJ43Y2ZGZA8BEN", 16) == "mer_1#015"
    assert bucket_for("mer_1", "pay_A", 256) == "mer_1#246"


@given(st.text(), st.text(), st.integers(1, 256))
def test_every_row_is_in_one_of_the_shards_that_readers_merge(
    name: str, identifier: str, buckets: int
) -> None:
    assert bucket_for(name, identifier, buckets) in all_buckets(name, buckets)
    assert len(set(all_buckets(name, buckets))) == buckets
    assert set(all_buckets(name, buckets)) <= set(all_buckets(name, buckets + 1))


def test_rows_are_distributed_evenly() -> None:
    counts = Counter(bucket_for("m", f"pay_{n:026}", 16) for n in range(16_000))
    assert len(counts) == 16
    assert max(counts.values()) < 2 * min(counts.values())


@given(st.text(), st.text(), st.integers(1, 256))
def test_every_open_payment_is_where_the_resolver_and_its_merchants_list_look(
    merchant: str, identifier: str, buckets: int
) -> None:
    mine, all_of_them = open_buckets_of(merchant, buckets), all_buckets(OPEN_QUEUE, OPEN_BUCKETS)
    assert payment_open_bucket(merchant, identifier, buckets) in mine
    assert len(set(mine)) == len(mine) == max(buckets, LEAST_OPEN_BUCKETS_OF_MERCHANT)
    assert set(mine) <= set(all_of_them)
    assert operation_open_bucket(identifier) in all_of_them
    if buckets < 256:
        assert set(mine) <= set(open_buckets_of(merchant, buckets + 1)), "rows are still found"


def test_open_payments_of_one_busy_merchant_or_of_many_small_ones_are_spread_evenly() -> None:
    busy = Counter(payment_open_bucket("mer_1", f"pay_{n:026}", 256) for n in range(256_000))
    assert len(busy) == OPEN_BUCKETS
    assert max(busy.values()) < 1_200, "of 1,000 on average"
    small = Counter(
        payment_open_bucket(f"mer_{merchant:026}", f"pay_{n:026}", 1)
        for merchant in range(500)
        for n in range(500)
    )
    assert len(small) == OPEN_BUCKETS
    assert max(small.values()) < 2_000, "of 977 on average"


def test_resting_deliveries_of_a_busy_merchant_are_spread_evenly() -> None:
    found = Counter(rest_bucket(each) for each in all_buckets("mer_1", 256))
    assert found == dict.fromkeys(all_buckets("rest", REST_BUCKETS), 4)


def test_a_shards_key_is_readable_and_sorts() -> None:
    assert bucket_key("mer_x", 7) == "mer_x#007"


@pytest.mark.parametrize("buckets", [1, 2, 16, 40])
@given(st.lists(st.integers(0, 10_000), unique=True, max_size=60))
def test_merged_shards_read_in_descending_order_without_loss(
    buckets: int, numbers: list[int]
) -> None:
    ids = [f"{number:06}" for number in numbers]
    shelves: list[list[str]] = [[] for _ in range(buckets)]
    for id_ in sorted(ids, reverse=True):
        shelves[int(id_) % buckets].append(id_)
    merged = merge_newest_first(
        [iter(shelf) for shelf in shelves], RealThreads, key=lambda row: row
    )
    assert list(merged) == sorted(ids, reverse=True)


def test_merging_reads_no_further_than_needed() -> None:
    read: list[int] = []

    def shelf(start: int):  # type: ignore[no-untyped-def]
        for number in range(start, 0, -2):
            read.append(number)
            yield f"{number:06}"

    merged = merge_newest_first([shelf(1000), shelf(999)], RealThreads, key=lambda row: row)
    assert [next(merged) for _ in range(3)] == ["001000", "000999", "000998"]
    assert len(read) <= 6
