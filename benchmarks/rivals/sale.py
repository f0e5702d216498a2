"""A sale: its cost by table and index, compared with the Go example's layout and Powertools.

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

from benchmarks.bill.prices import price_of
from benchmarks.rivals import sale_baselines as rivals
from benchmarks.rivals.baseline_tables import create_tables
from benchmarks.rivals.charge_workload import (
    ChargeWorkload,
    price_of_sale,
    price_of_variant,
    variants,
)
from benchmarks.rivals.sale_report import (
    Way,
    print_comparison,
    print_deaths,
    print_variants,
    print_writes,
)
from benchmarks.setting import BenchmarkDependencies
from tests.support.platform import Hooked, Platform

PAST_DEADLINE_SECONDS: Final = 0.05
"""After this long a function with a millisecond left must be dead."""


class Died(BaseException):
    """The process ends here: no exception handler catches it."""


def run(bench: BenchmarkDependencies) -> None:
    """Measure on one engine and print."""
    console, progress, size = bench.console, bench.progress, bench.size
    with bench.table_engine(progress) as engine, progress.step(f"Measure sales on {engine.name}"):
        workload = ChargeWorkload(Platform(engine))
        create_tables(workload.platform.client, rivals.TABLES)
        priced = [(each, price_of_variant(each)) for each in variants(workload)]
        ways = [_ours(workload), _go_example(workload), _powertools(workload)]
        for way in ways:
            _price(way, workload)
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


def _ours(workload: ChargeWorkload) -> Way:
    def sell(key: str, customer_id: str | None = None) -> object:
        answer = workload.sell(key, **rivals.owned(customer_id))
        if answer.status != HTTPStatus.CREATED:
            raise RuntimeError(f"a sale was answered {answer.status}: {answer.body}")
        return answer

    dying = workload.deps_on(workload.store, _dying(workload))
    charges = _charges(workload, lambda key: workload.sell(key, dying), sell)
    return Way("ours", workload.client, sell, charges=charges)


def _go_example(workload: ChargeWorkload) -> Way:
    client = workload.platform.engine.dynamodb()
    sales = rivals.GoSales(
        client, workload.processor, workload.merchant.id, workload.platform.clock
    )
    dying = replace(sales, processor=_dying(workload))
    charges = _charges(workload, dying.sell, sales.sell)
    return Way("Go example", client, sales.sell, charges=charges)


def _powertools(workload: ChargeWorkload) -> Way:
    client = workload.platform.engine.dynamodb()
    sell = rivals.by_powertools(workload, client)
    dying = rivals.by_powertools(workload, client, _dying(workload), remaining_milliseconds=1)
    charges = _charges(workload, lambda key: dying(key, None), lambda key: sell(key, None))
    return Way("Powertools", client, sell, charges=charges)


def _dying(workload: ChargeWorkload) -> Hooked:
    """A processor after whose answer the process dies."""

    def die() -> None:
        raise Died

    return Hooked(workload.processor, after=die)


def _charges(
    workload: ChargeWorkload, first: Callable[[str], object], again: Callable[[str], object]
) -> int:
    """The charges of a request that dies, and of its repetition when everything has settled."""
    key, before = str(uuid.uuid4()), len(workload.platform.charges())
    with suppress(Died):
        first(key)
    time.sleep(PAST_DEADLINE_SECONDS)
    workload.platform.resolve_until_quiet()
    with suppress(rivals.StillProcessing):
        again(key)
    return len(workload.platform.charges()) - before


def _price(way: Way, workload: ChargeWorkload) -> None:
    """A warm sale, one to a customer, and the first one's repetition."""
    key = str(uuid.uuid4())
    way.sell(str(uuid.uuid4()), None)
    way.sale = price_of_sale(partial(way.sell, key, None), workload, way.client).ours
    to_customer = partial(way.sell, str(uuid.uuid4()), workload.customer_id)
    way.to_customer = price_of_sale(to_customer, workload, way.client).ours
    way.repetition = price_of(partial(way.sell, key, None), way.client, workload.platform.client)


def _rate(sell: rivals.Sell, clients: int, sales: int) -> float:
    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=clients) as pool:
        for done in [pool.submit(sell, str(uuid.uuid4()), None) for _ in range(sales)]:
            done.result()
    return sales / (time.monotonic() - started)
