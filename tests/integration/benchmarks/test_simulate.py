"""The load model on the real functions: keys as they are written, and one small run."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from benchmarks.capacity.__main__ import main
from benchmarks.capacity.footprint import Footprint
from benchmarks.capacity.go_layout import go_footprint
from benchmarks.capacity.keys import Place
from benchmarks.capacity.load import MIX, Population, drawn
from benchmarks.capacity.operations import Shop


@pytest.fixture(scope="module")
def footprints() -> dict[str, Footprint]:
    return Shop.opened(index_buckets=4).footprints()


def request_units(footprint: Footprint) -> float:
    return sum(touch.write_units for touch in footprint.touches if not touch.is_derived)


def test_every_operation_of_the_mix_is_recorded(footprints: dict[str, Footprint]) -> None:
    assert set(MIX) <= set(footprints)


def test_the_requests_cost_what_the_cost_guide_says(footprints: dict[str, Footprint]) -> None:
    units = {name: request_units(footprint) for name, footprint in footprints.items()}
    assert units["sale"] == 20
    assert units["sale to a customer"] == 24
    assert units["authorization"] == 18
    assert units["transfer"] == 10
    assert units["balance"] == units["list"] == 0
    calls = {name: footprint.calls["process", ""] for name, footprint in footprints.items()}
    assert (calls["sale"], calls["transfer"], calls["refund"]) == (2, 1, 5)


def test_a_sale_credits_three_hot_accounts(footprints: dict[str, Footprint]) -> None:
    sale = footprints["sale"]
    receivable = "acc_receivable_{merchant}_USD"
    assert set(sale.credited) == {"acc_clearing_USD", "acc_fees_USD", receivable}
    shared = {touch.key.template for touch in sale.shared_shard if not touch.place.index}
    assert shared == {f"{account}#{{credit}}" for account in sale.credited}


def test_a_list_reads_every_bucket(footprints: dict[str, Footprint]) -> None:
    reads = [
        touch.key.template
        for touch in footprints["list"].touches
        if touch.place == Place("payments", "gsi-merchant")
    ]
    assert sorted(reads) == [f"{{merchant}}#{bucket:03d}" for bucket in range(4)]


def test_the_same_seed_draws_the_same_load(footprints: dict[str, Footprint]) -> None:
    def load() -> object:
        dice = Random("again")
        population = Population.of(2, 4, dice)
        return drawn(footprints["sale"], 100.0, 50, population, dice)

    assert load() == load()


def test_the_go_examples_layout_has_one_key_per_merchant_and_user() -> None:
    touches = {touch.place: touch for touch in go_footprint().touches if not touch.key.is_new}
    merchant = touches[Place("audit", "gsi-merchant")]
    assert (merchant.key.template, merchant.write_units) == ("{merchant}", 4)
    assert touches[Place("audit", "user-index")].write_units == 4


def test_a_small_run_prints_its_tables_and_draws_the_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "capacity.png"
    options = ["--rate", "100", "--merchants", "2", "--index-buckets", "2", "--draws", "100"]
    assert main([*options, "--picture", str(picture)]) == 0
    printed = capsys.readouterr().out
    for title in ("The hottest key", "Change streams", "Claims", "The Go example's layout"):
        assert title in printed
    assert picture.stat().st_size > 1_000
