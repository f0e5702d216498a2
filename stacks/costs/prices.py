"""AWS's list prices, from prices.toml: the only place where this repository has them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

PRICES_FILE: Final = Path(__file__).with_name("prices.toml")
MILLION: Final = 1_000_000
GIGABYTE: Final = 1_000_000_000
"""AWS bills some storage by 2^30 bytes and some by 10^9; the difference is below what these figures
promise."""
DAYS_PER_MONTH: Final = 365 / 12
SECONDS_PER_MONTH: Final = DAYS_PER_MONTH * 86_400
VCPU_MEGABYTES: Final = 1_769
"""Memory at which a function has one vCPU; less memory has its share of one (Lambda Developer
Guide, "Configure Lambda function memory")."""

Positive = Annotated[float, Field(gt=0)]


class _Entry(BaseModel):
    """An entry of prices.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: Annotated[str, Field(min_length=1)]
    what: Annotated[str, Field(min_length=1)]
    dollars: Positive
    per: Positive
    quantity: Positive | None = None
    then: Positive | None = None
    date: date
    source: Annotated[str, Field(pattern=r"^https://aws\.amazon\.com/\S+/$")]
    compared: bool


@dataclass(frozen=True)
class Price:
    """A price. `each` is the dollars of one unit, before any discount for quantity."""

    name: str
    service: str
    what: str
    each: float
    date: date
    source: str
    compared: bool
    quantity: float | None = None
    above: float | None = None
    """Dollars of one unit above `quantity` units in a month."""

    def of(self, quantity: float) -> float:
        """Dollars of so many units in a month."""
        if self.quantity is None or self.above is None:
            return quantity * self.each
        return (
            min(quantity, self.quantity) * self.each
            + max(quantity - self.quantity, 0.0) * self.above
        )


@dataclass(frozen=True)
class PriceList:
    """All prices of one region, by name."""

    region: str
    prices: Mapping[str, Price]

    def __getitem__(self, name: str) -> Price:
        return self.prices[name]

    @staticmethod
    def read(text: str) -> PriceList:
        """The prices of a TOML document. Raises ValueError for an entry that is incomplete."""
        document = tomllib.loads(text)
        region = str(document.pop("region"))
        prices = {name: _price(name, _Entry.model_validate(e)) for name, e in document.items()}
        return PriceList(region, prices)


def _price(name: str, entry: _Entry) -> Price:
    if (entry.quantity is None) != (entry.then is None):
        raise ValueError(f"{name}: give quantity and then, or neither")
    return Price(
        name=name,
        service=entry.service,
        what=entry.what,
        each=entry.dollars / entry.per,
        date=entry.date,
        source=entry.source,
        compared=entry.compared,
        quantity=entry.quantity,
        above=None if entry.then is None else entry.then / entry.per,
    )


PRICES: Final = PriceList.read(PRICES_FILE.read_text("utf-8"))
