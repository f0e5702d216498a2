"""The price list: complete, dated, and read correctly."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from stacks.costs.prices import MILLION, PRICES, Price, PriceList
from stacks.costs.resource_types import FREE, PRICED

COMPLETE = """
region = "us-east-1"

[lambda-request]
service = "Lambda"
what = "a request"
dollars = 0.20
per = 1_000_000
date = 2026-12-01
source = "https://aws.amazon.com/lambda/pricing/"
compared = true
"""


@pytest.mark.parametrize("price", PRICES.prices.values(), ids=lambda price: price.name)
def test_every_price_has_a_source_and_a_date_that_is_not_too_old(price: Price) -> None:
    assert price.source.startswith("https://aws.amazon.com/")
    assert date(2026, 1, 1) <= price.date
    assert price.each > 0
    assert price.above is None or 0 < price.above < price.each


def test_all_prices_are_of_one_region() -> None:
    assert PRICES.region == "us-east-1"


def test_every_price_applies_to_a_type_of_resource_and_the_other_way_round() -> None:
    applied = {name for names in PRICED.values() for name in names}
    assert applied == set(PRICES.prices)
    assert not PRICED.keys() & FREE.keys()


def test_a_price_is_that_of_one_unit() -> None:
    price = PriceList.read(COMPLETE)["lambda-request"]
    assert price.each == pytest.approx(0.0000002)
    assert price.of(5 * MILLION) == pytest.approx(1.00)


def test_a_discount_applies_to_what_is_above_its_quantity() -> None:
    gateway = PRICES["gateway-request"]
    assert gateway.of(300 * MILLION) == pytest.approx(300.0)
    assert gateway.of(400 * MILLION) == pytest.approx(300.0 + 90.0)


@pytest.mark.parametrize("line", ["date = 2026-12-01\n", "compared = true\n", "dollars = 0.20\n"])
def test_an_incomplete_entry_is_refused(line: str) -> None:
    with pytest.raises(ValidationError, match=line.split(" ", maxsplit=1)[0]):
        PriceList.read(COMPLETE.replace(line, ""))


def test_a_source_that_is_not_aws_is_refused() -> None:
    with pytest.raises(ValidationError, match="source"):
        PriceList.read(COMPLETE.replace("aws.amazon.com", "prices.example"))


def test_half_a_discount_is_refused() -> None:
    with pytest.raises(ValueError, match="lambda-request: give quantity and then"):
        PriceList.read(COMPLETE + "quantity = 10\n")
