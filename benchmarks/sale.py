"""A sale: what it costs by table and index, beside the Go example's layout and Powertools.

Units are computed from the sizes of the items; the engine is AWS's DynamoDB Local where Java and
npm are there, else the embedded AWS. Rates are this machine's, with the sandbox processor's call in
every column.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Final

from benchmarks import sale_rivals as rivals
from benchmarks.prices import price_of
from benchmarks.rival_tables import create_tables
from benchmarks.sale_report import (
    Way,
    print_comparison,
    print_deaths,
    print_variants,
    print_writes,
)
from benchmarks.sale_till import Till, price_of_sale, price_of_variant, variants
from benchmarks.setting import BenchmarkDependencies
from tests.support.world import Hooked, World

PAST_DEADLINE_SECONDS: Final = 0.05
"""After so long a function that had a millisecond left is known to be dead."""


class Died(BaseException):
    """The process ends here: nothing that catches errors sees it."""


def run(bench: BenchmarkDependencies) -> None:
    """Measure on one engine and print."""
    console, progress, size = bench.console, bench.progress, bench.size
    with bench.table_engine(progress) as engine, progress.step(f"Measure sales on {engine.name}"):
        till = Till(World(engine))
        create_tables(till.world.client, rivals.TABLES)
        priced = [(each, price_of_variant(each)) for each in variants(till)]
        ways = [_ours(till), _go_example(till), _powertools(till)]
        for way in ways:
            _price(way, till)
        for clients in size.sale_clients * size.sale_rounds:
            for way in ways:
                # The best round: the engine warms up, and other work on this machine only slows.
                best = way.per_second.get(clients, 0.0)
                way.per_second[clients] = max(best, _rate(way.sell, clients, size.sales_of_a_round))
    print_variants(console, engine.name, priced)
    for variant, price in priced[:2]:
        print_writes(console, variant.name, price.ours)
    print_comparison(console, ways)
    print_deaths(console, ways)


def _ours(till: Till) -> Way:
    def sell(key: str, customer_id: str | None = None) -> object:
        answer = till.sell(key, **rivals.owned(customer_id))
        if answer.status != HTTPStatus.CREATED:
            raise RuntimeError(f"a sale was answered {answer.status}: {answer.body}")
        return answer

    dying = till.desk_on(till.store, _dying(till))
    charges = _charges(till, lambda key: till.sell(key, dying), sell)
    return Way("ours", till.client, sell, charges=charges)


def _go_example(till: Till) -> Way:
    client = till.world.engine.dynamodb()
    sales = rivals.GoSales(client, till.processor, till.merchant.id, till.world.clock)
    dying = replace(sales, processor=_dying(till))
    charges = _charges(till, dying.sell, sales.sell)
    return Way("Go example", client, sales.sell, charges=charges)


def _powertools(till: Till) -> Way:
    client = till.world.engine.dynamodb()
    sell = rivals.by_powertools(till, client)
    dying = rivals.by_powertools(till, client, _dying(till), remaining_milliseconds=1)
    charges = _charges(till, lambda key: dying(key, None), lambda key: sell(key, None))
    return Way("Powertools", client, sell, charges=charges)


def _dying(till: Till) -> Hooked:
    """The processor, after whose answer the process dies."""

    def die() -> None:
        raise Died

    return Hooked(till.processor, after=die)


def _charges(till: Till, first: Callable[[str], object], again: Callable[[str], object]) -> int:
    """What was charged by a request that dies, and by its repetition when all is quiet."""
    key, before = str(uuid.uuid4()), len(till.world.charges())
    with suppress(Died):
        first(key)
    time.sleep(PAST_DEADLINE_SECONDS)
    till.world.resolve_until_quiet()
    with suppress(rivals.StillProcessing):
        again(key)
    return len(till.world.charges()) - before


def _price(way: Way, till: Till) -> None:
    """A warm sale, one to a customer, and the first one's repetition."""
    key = str(uuid.uuid4())
    way.sell(str(uuid.uuid4()), None)
    way.sale = price_of_sale(partial(way.sell, key, None), till, way.client).ours
    to_customer = partial(way.sell, str(uuid.uuid4()), till.customer_id)
    way.to_customer = price_of_sale(to_customer, till, way.client).ours
    way.repetition = price_of(partial(way.sell, key, None), way.client, till.world.client)


def _rate(sell: rivals.Sell, clients: int, sales: int) -> float:
    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=clients) as pool:
        for done in [pool.submit(sell, str(uuid.uuid4()), None) for _ in range(sales)]:
            done.result()
    return sales / (time.monotonic() - started)
