"""A synthetic load: operations are drawn, and their units are summed up by key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from benchmarks.capacity.footprint import Footprint, Touch
from benchmarks.capacity.keys import Ids, Place
from runtime.core.ids import RANDOM_BYTES, id_at
from simulation.outside import BEGINNING

MIX: Final[Mapping[str, float]] = {
    "sale": 0.45,
    "sale to a customer": 0.45,
    "authorization": 0.10,
    "capture": 0.10,
    "refund": 0.02,
    "transfer": 0.10,
    "balance": 2.5,
    "list": 0.05,
}
"""Operations per payment. At 20,000 payments a second there are 50,000 balance reads and 1,000
lists."""
PAYMENTS: Final = ("sale", "sale to a customer", "authorization")
CUSTOMERS: Final = 1_000_000
ACCOUNTS: Final = 200_000
"""Customers, and immediate accounts, among which the operations are drawn evenly."""
LEAST_DRAWN: Final = 500
"""Draws of an operation, however rare it is."""


@dataclass(frozen=True)
class Population:
    """The merchants of the load. All have `index_buckets`; payments are evenly spread over them."""

    merchants: tuple[str, ...]
    index_buckets: int

    @staticmethod
    def of(merchants: int, index_buckets: int, dice: Random) -> Population:
        """So many merchants with new ids."""
        return Population(tuple(_new_id("mer", dice) for _ in range(merchants)), index_buckets)


@dataclass
class Usage:
    """Units per second, by place and key; transactions per second, by item.

    A key that only one operation uses is not in `writes` and `reads`, only in the sums of its
    place. `records` are change records per second, by table.
    """

    writes: dict[Place, Counter[str]] = field(default_factory=dict)
    reads: dict[Place, Counter[str]] = field(default_factory=dict)
    written: Counter[Place] = field(default_factory=Counter)
    read: Counter[Place] = field(default_factory=Counter)
    locks: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)

    def add(self, touch: Touch, key: str | None, item: str | None, rate: float) -> None:
        """Count a touch `rate` times a second; `key` None is a key of its own each time."""
        place = touch.place
        if touch.write_units:
            self.written[place] += touch.write_units * rate  # type: ignore[assignment]
        if touch.read_units:
            self.read[place] += touch.read_units * rate  # type: ignore[assignment]
        if key is None:
            return
        if touch.write_units:
            by_key = self.writes.setdefault(place, Counter())
            by_key[key] += touch.write_units * rate  # type: ignore[assignment]
        if touch.read_units:
            by_key = self.reads.setdefault(place, Counter())
            by_key[key] += touch.read_units * rate  # type: ignore[assignment]
        if touch.locks:
            self.locks[item or f"{place} {key}"] += touch.locks * rate  # type: ignore[assignment]

    def under_keys_of(self, other: Usage) -> Usage:
        """What is used of the keys that another load uses, too, without the sums of places."""

        def common(
            mine: Mapping[Place, Counter[str]], its: Mapping[Place, Counter[str]]
        ) -> dict[Place, Counter[str]]:
            return {
                place: Counter({key: mine[place][key] for key in keys})
                for place, keys in its.items()
            }

        return Usage(common(self.writes, other.writes), common(self.reads, other.reads))

    def include(self, other: Usage) -> None:
        """Add another load's usage."""
        for mine, its in ((self.writes, other.writes), (self.reads, other.reads)):
            for place, keys in its.items():
                mine.setdefault(place, Counter()).update(keys)
        self.written.update(other.written)
        self.read.update(other.read)
        self.locks.update(other.locks)
        self.records.update(other.records)


@dataclass
class Load:
    """What requests themselves use, and what is derived from them later."""

    requests: Usage = field(default_factory=Usage)
    derived: Usage = field(default_factory=Usage)

    def of(self, touch: Touch) -> Usage:
        """Where a touch is counted."""
        return self.derived if touch.is_derived else self.requests

    @property
    def total(self) -> Usage:
        """Both together."""
        usage = Usage()
        usage.include(self.requests)
        usage.include(self.derived)
        return usage

    def include(self, other: Load) -> None:
        """Add another load."""
        self.requests.include(other.requests)
        self.derived.include(other.derived)


def drawn(
    footprint: Footprint, rate: float, draws: int, population: Population, dice: Random
) -> Load:
    """The load of one operation at `rate` per second, from so many draws."""
    load = Load()
    varying = []
    for touch in footprint.touches:
        usage = load.of(touch)
        if touch.key.is_new:
            usage.add(touch, None, None, rate)
        elif _is_of_merchant(touch):
            for merchant in population.merchants:
                ids = Ids((), merchant)
                item = None if touch.item is None else ids.fill(touch.item)
                usage.add(touch, touch.key.of(ids), item, rate / len(population.merchants))
        else:
            varying.append((usage, touch))
    for table, records in footprint.records.items():
        load.derived.records[table] += records * rate  # type: ignore[assignment]
    for _ in range(draws if varying else 0):
        ids = _drawn_ids(footprint, population, dice)
        for usage, touch in varying:
            item = None if touch.item is None else ids.fill(touch.item)
            usage.add(touch, touch.key.of(ids), item, rate / draws)
    return load


def draws_of(rates: Mapping[str, float], total: int) -> dict[str, int]:
    """How often each operation is drawn: in the proportion of the rates."""
    whole = sum(rates.values())
    return {
        name: max(LEAST_DRAWN, round(total * rate / whole)) if rate else 0
        for name, rate in rates.items()
    }


def _is_of_merchant(touch: Touch) -> bool:
    """Whether the merchant alone decides about the key."""
    templates = (touch.key.template, touch.item or "")
    names = ("{customer}", "{source}", "{target}", "{credit}", "{debit}", "{entries}")
    return not touch.key.buckets and not any(name in each for name in names for each in templates)


def _drawn_ids(footprint: Footprint, population: Population, dice: Random) -> Ids:
    merchants = population.merchants
    ids = Ids(
        new=tuple(_new_id("", dice)[1:] for _ in range(footprint.new_ids)),
        merchant=merchants[dice.randrange(len(merchants))] if len(merchants) > 1 else merchants[0],
        customer=f"cus_{dice.randrange(CUSTOMERS)}",
        source=f"acc_{dice.randrange(ACCOUNTS)}",
        target=f"acc_{dice.randrange(ACCOUNTS)}",
    )
    return ids.with_transfer(footprint.transfer)


def _new_id(prefix: str, dice: Random) -> str:
    return id_at(prefix, BEGINNING, dice.randbytes(RANDOM_BYTES))
