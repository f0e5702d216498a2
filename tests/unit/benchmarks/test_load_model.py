from __future__ import annotations

import heapq
import math
from pathlib import Path
from random import Random

import pytest

from benchmarks.capacity import limits
from benchmarks.capacity.assessment import Finding, Kind, findings_of_items, findings_of_keys
from benchmarks.capacity.footprint import Footprint, Touch
from benchmarks.capacity.heat_map import Panel, color_of, draw_heat_map
from benchmarks.capacity.keys import Ids, Key, KeyRuleDiffers, Place, Templates
from benchmarks.capacity.load import Population, Usage, drawn, draws_of
from benchmarks.capacity.projector import Credits, stream_of
from benchmarks.capacity.report import shortened
from runtime.dynamodb.index_shards import bucket_for, undelivered_bucket
from runtime.ledger.entries.models import credit_partition
from runtime.ledger.hot_accounts.rules import debit_shard

PAYMENT = "pay_01KKNSBAR5KQTBR11E44PXKPBZ"
MERCHANT = "mer_01KKNS5TM026BTAP9JHZRJ7CS2"
BY_MERCHANT = Place("payments", "gsi-merchant")


def usage_of(*touches: Touch, rate: float, draws: int = 20_000, merchants: int = 1) -> Usage:
    dice = Random("test")
    footprint = Footprint("any", "trf_{0}", 1, touches)
    population = Population.of(merchants, 16, dice)
    return drawn(footprint, rate, draws, population, dice).total


def hottest(usage: Usage) -> Finding:
    return max(findings_of_keys(usage), key=lambda each: each.utilisation)


# ------------------------------------------------------------ keys


@pytest.mark.parametrize("rate", [10, 999, 20_000])
def test_a_layout_with_one_key_breaks_at_a_thousand_write_units_a_second(rate: int) -> None:
    one = usage_of(Touch(BY_MERCHANT, Key("{merchant}"), write_units=1), rate=rate)
    assert hottest(one).breaks_at(rate) == pytest.approx(1_000)
    two = usage_of(Touch(BY_MERCHANT, Key("{merchant}"), write_units=2), rate=rate)
    assert hottest(two).breaks_at(rate) == pytest.approx(500)


def test_a_key_supports_three_thousand_read_units_a_second() -> None:
    usage = usage_of(Touch(BY_MERCHANT, Key("{merchant}"), read_units=0.5), rate=100)
    assert hottest(usage).breaks_at(100) == pytest.approx(6_000)


def test_merchants_share_the_load_of_a_key_that_is_named_by_the_merchant() -> None:
    usage = usage_of(Touch(BY_MERCHANT, Key("{merchant}"), write_units=1), rate=100, merchants=10)
    assert hottest(usage).breaks_at(100) == pytest.approx(10_000)


def test_webhooks_that_an_endpoint_has_not_accepted_are_spread_like_their_merchants() -> None:
    webhook, endpoint = "whk_01KKNSBAR5KQTBR11E44PXKPBZ", "whe_01KKNS5TM026BTAP9JHZRJ7CS2"
    bucket = undelivered_bucket(endpoint, bucket_for(MERCHANT, webhook, 16))
    templates = Templates({endpoint: "{endpoint}"}, index_buckets=16)
    item = {"id": {"S": webhook}, "undelivered_bucket": {"S": bucket}}
    assert templates.key("webhooks", "undelivered_bucket", item) == Key("{endpoint}", "whk_{0}", 16)


def test_buckets_share_the_load_of_a_key() -> None:
    key = Key("{merchant}", "pay_{0}", 16)
    usage = usage_of(Touch(BY_MERCHANT, key, write_units=1), rate=1_000)
    keys = usage.writes[BY_MERCHANT]
    assert len(keys) == 16
    assert sum(keys.values()) == pytest.approx(1_000)
    assert max(keys.values()) < 1.15 * 1_000 / 16


def test_a_key_of_each_operation_is_never_hot_but_counts_for_its_table() -> None:
    usage = usage_of(Touch(Place("payments"), Key("pay_{0}"), write_units=4), rate=20_000)
    assert list(findings_of_keys(usage)) == []
    assert usage.written[Place("payments")] == pytest.approx(80_000)


def test_debit_shard_and_partition_of_entries_follow_from_the_transfer() -> None:
    ids = Ids(("01KKNSBAR5KQTBR11E44PXKPBZ",), MERCHANT).with_transfer("trf_{0}")
    transfer = "trf_01KKNSBAR5KQTBR11E44PXKPBZ"
    assert ids.fill("acc_x#{entries}") == credit_partition("acc_x", transfer)
    assert ids.fill("acc_x#{debit}") == f"acc_x#{debit_shard(transfer)}"


def test_operations_are_drawn_in_the_proportion_of_their_rates() -> None:
    draws = draws_of({"often": 900.0, "sometimes": 99.0, "hardly": 1.0, "never": 0.0}, 10_000)
    assert draws == {"often": 9_000, "sometimes": 990, "hardly": 500, "never": 0}


# ------------------------------------------------------------ templates of recorded keys


def test_a_recorded_bucket_becomes_the_rule_that_it_follows_from() -> None:
    templates = Templates({MERCHANT: "{merchant}"}, index_buckets=256)
    value = bucket_for(MERCHANT, PAYMENT, 256)
    item = {"id": {"S": PAYMENT}, "merchant_bucket": {"S": value}}
    key = templates.key("payments", "merchant_bucket", item)
    assert key == Key("{merchant}", "pay_{0}", 256)
    assert key.of(Ids((PAYMENT.partition("_")[2],), MERCHANT)) == value


@pytest.mark.parametrize(
    ("table", "attribute"), [("payments", "merchant_bucket"), ("payments", "unknown_bucket")]
)
def test_a_bucket_that_the_rule_does_not_give_is_an_error(table: str, attribute: str) -> None:
    templates = Templates({MERCHANT: "{merchant}"}, index_buckets=256)
    wrong = bucket_for(MERCHANT, "pay_another", 256)
    with pytest.raises(KeyRuleDiffers):
        templates.key(table, attribute, {"id": {"S": PAYMENT}, attribute: {"S": wrong}})


def test_ids_that_share_their_unique_part_share_a_placeholder() -> None:
    templates = Templates({}, index_buckets=1)
    unique = PAYMENT.partition("_")[2]
    assert templates.of(PAYMENT) == "pay_{0}"
    assert templates.of(f"trf_{unique}") == "trf_{0}"
    assert templates.of(unique) == "{0}"
    assert templates.of(MERCHANT) == "mer_{1}"
    assert templates.new_ids == 2


# ------------------------------------------------------------ locks


def conflicts_in_virtual_time(per_second: float, lock_seconds: float, seconds: float) -> float:
    """The share of attempts that conflict, if each comes again after a random pause."""
    dice = Random("locks")
    queue = [dice.uniform(0, seconds) for _ in range(int(per_second * seconds))]
    heapq.heapify(queue)
    locked_until, attempts, refused = 0.0, 0, 0
    while queue:
        at = heapq.heappop(queue)
        attempts += 1
        if at < locked_until:
            refused += 1
            heapq.heappush(queue, at + dice.expovariate(1 / (20 * lock_seconds)))
        else:
            locked_until = at + lock_seconds
    return refused / attempts


@pytest.mark.parametrize("per_second", [2, 20, 60])
def test_conflicts_are_those_of_transactions_that_are_tried_again(per_second: int) -> None:
    simulated = conflicts_in_virtual_time(per_second, limits.LOCK_SECONDS, 500)
    assert limits.conflicts(per_second) == pytest.approx(simulated, abs=0.02)


def test_an_item_of_all_operations_breaks_at_the_tolerated_conflicts() -> None:
    counter = Touch(Place("limits"), Key("{merchant}"), 2, item="limits {merchant}", locks=1)
    (found,) = findings_of_items(usage_of(counter, rate=100))
    assert found.kind is Kind.ITEM
    expected = limits.CONFLICTS_TOLERATED / limits.LOCK_SECONDS
    assert found.breaks_at(100) == pytest.approx(expected)


# ------------------------------------------------------------ streams


def test_a_quiet_stream_has_small_batches_and_keeps_up() -> None:
    stream = stream_of(
        "payments", 5.0, calls=10.0, units=10.0, groups=lambda _: 0.0, stage=limits.AS_PROD
    )
    assert (stream.shards, stream.batch) == (limits.LEAST_PARTITIONS, 1.0)
    assert stream.keeps_up > 1
    assert stream.capacity > stream.records
    assert stream.concurrency < 1


def test_a_stream_whose_partitions_are_full_has_full_batches_and_lags() -> None:
    stream = stream_of(
        "payments",
        50_000.0,
        calls=100_000.0,
        units=10_000.0,
        groups=lambda _: 0.0,
        stage=limits.AS_PROD,
    )
    assert (stream.shards, stream.lanes, stream.batch) == (10, 20, 100.0)
    assert stream.capacity < stream.records
    assert stream.concurrency == 20
    # It keeps up only with what the shards of a new table project.
    least = limits.LEAST_PARTITIONS * limits.PARALLEL_BATCHES * stream.fastest
    assert stream.keeps_up * stream.records == pytest.approx(least, rel=0.03)
    enough = stream.shards_needed * limits.PARALLEL_BATCHES * stream.fastest
    assert enough >= stream.records > enough - limits.PARALLEL_BATCHES * stream.fastest


def test_the_lag_of_a_full_shard_is_a_poll_and_a_batch_unless_it_cannot_keep_up() -> None:
    light = stream_of(
        "payments",
        5_000.0,
        calls=5_000.0,
        units=20_000.0,
        groups=lambda _: 0.0,
        stage=limits.AS_PROD,
    )
    assert light.lag == pytest.approx(limits.POLL_SECONDS + light.seconds, rel=0.1)
    heavy = stream_of(
        "payments",
        5_000.0,
        calls=50_000.0,
        units=5_000.0,
        groups=lambda _: 0.0,
        stage=limits.AS_PROD,
    )
    assert heavy.lag == math.inf


def test_a_stream_is_slower_with_shards_to_write() -> None:
    plain = stream_of(
        "transfers", 100.0, calls=200.0, units=200.0, groups=lambda _: 0.0, stage=limits.AS_PROD
    )
    slow = stream_of(
        "transfers", 100.0, calls=200.0, units=200.0, groups=lambda _: 48.0, stage=limits.AS_PROD
    )
    assert slow.fastest < plain.fastest


def test_a_batch_is_added_to_an_account_in_as_few_commits_as_possible() -> None:
    credited = Credits({"acc_clearing_USD": 1_000.0}, transfers=1_000.0)
    assert [credited.groups(batch) for batch in (1, 99, 100, 990)] == [1, 1, 2, 10]
    rare = Credits({"acc_clearing_USD": 10.0}, transfers=1_000.0)
    assert rare.groups(1) == pytest.approx(0.01)
    assert 0.6 < rare.groups(100) < 1
    assert Credits({}, transfers=0.0).groups(100) == 0


# ------------------------------------------------------------ picture and words


def test_the_picture_is_a_png_and_the_same_for_the_same_usage(tmp_path: Path) -> None:
    usage = usage_of(Touch(BY_MERCHANT, Key("{merchant}", "pay_{0}", 16), 1), rate=9_000)
    for name in ("one.png", "two.png"):
        draw_heat_map([Panel("any", usage), Panel("the same", usage)], tmp_path / name)
    one = (tmp_path / "one.png").read_bytes()
    assert one.startswith(b"\x89PNG\r\n")
    assert one == (tmp_path / "two.png").read_bytes()


def test_a_key_at_its_limit_is_red() -> None:
    assert color_of(1.0) == (222, 45, 38)
    assert color_of(0.0) != color_of(0.5) != color_of(0.8)
    assert color_of(1_000.0) == color_of(100.0)


def test_names_are_printed_with_the_end_of_their_ids() -> None:
    assert shortened(f"accounts {MERCHANT}") == "accounts mer_…7CS2"
    assert shortened(f"acc_receivable_{MERCHANT}_USD") == "acc_receivable_mer_…7CS2_USD"
