"""A transfer: our one transaction compared with the Go example, by boto3 and PynamoDB.

All clients are threads of this process, so the lock model is one for all; the engine is the same,
AWS's DynamoDB Local where Java and npm are there, else the embedded AWS. Rates are this machine's.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from benchmarks.bill.prices import Price, by_place, price_of, price_of_ours
from benchmarks.rivals import transfer_baselines as rivals
from benchmarks.rivals.baseline_tables import create_tables
from benchmarks.setting import BenchmarkDependencies, Size
from local.errors import LocalError
from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.store import Store
from runtime.idempotency.repository import ClaimRepository
from runtime.ledger.accounts.accounts import AccountDependencies, create_account
from runtime.ledger.accounts.api import AccountRequest
from runtime.ledger.accounts.models import AccountType, Posting
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.hot_accounts.known_accounts import KnownHotAccounts
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.repository import LedgerRepository
from runtime.ledger.transfers.api import TransferRequest
from runtime.ledger.transfers.models import Transfer
from runtime.ledger.transfers.repository import TransferRepository
from runtime.ledger.transfers.transfers import TransferDependencies, create_transfer
from runtime.merchants.profiles import MerchantProfiles
from runtime.merchants.repository import MerchantRepository
from tests.support.engines.engine import REGION, Engine
from tests.support.engines.faults import ItemLocks
from tests.support.platform import Platform
from tests.support.simulation.ledger import LOCKOUT

OPENING: Final = 10**9
LOCK_SECONDS: Final = 0.007
CREDENTIALS: Final = ("testing", "testing")
PRICING_SECONDS: Final = 60.0
OURS: Final = "ours"


@dataclass
class Baseline:
    """One implementation of a transfer. `transfer` returns its attempts, negative if it gave up."""

    name: str
    transfer: Callable[[str, str, int], int]
    client: Any
    accounts: list[str]
    hot: str
    total: Callable[[], int]
    price: Price = field(default_factory=Price)
    hot_price: Price = field(default_factory=Price)


@dataclass(frozen=True)
class Rate:
    """One measurement."""

    per_second: float
    attempts: float


def run(dependencies: BenchmarkDependencies) -> None:
    """Measure all three on one engine and print them side by side.

    Raises:
        LocalError: money was made or lost.
    """
    progress, size = dependencies.progress, dependencies.size
    with dependencies.table_engine(progress) as engine:
        bench = _Bench(engine, size)
        ways = [bench.ours(), bench.boto3(), bench.pynamodb()]
        rates: dict[tuple[str, str, bool, int], Rate] = {}
        with progress.step(f"Measure transfers three ways on {engine.name}"):
            for way in ways:
                bench.price(way)
            for locked in (False, True):
                with bench.locks(ways, locked):
                    for place in ("uniform", "hot"):
                        for clients in size.transfer_clients:
                            for way in ways:
                                rate = bench.rate(way, clients, hot=place == "hot")
                                rates[(way.name, place, locked, clients)] = rate
        _print(dependencies.console, engine, ways, rates, size)
        bench.require_conserved(ways)


class _Ours:
    """Accounts and transfers by the platform's own services."""

    def __init__(self, platform: Platform, store: Store) -> None:
        self._world = platform
        self._merchant = platform.merchant()
        profiles = MerchantProfiles(MerchantRepository(store), 300, store.outside)
        claims, self._accounts = ClaimRepository(store), AccountRepository(store)
        shard_rows = ShardRepository(store)
        self._transfers = TransferDependencies(
            LedgerRepository(store),
            TransferRepository(store),
            self._accounts,
            shard_rows,
            profiles,
            KnownHotAccounts(300, store.outside),
            claims,
            LOCKOUT,
        )
        self._openings = AccountDependencies(self._accounts, shard_rows, profiles, claims)
        self._numbers = iter(range(10**9))
        self._lock = threading.Lock()

    def opened(self, balance: int, posting: Posting) -> str:
        """The id of a new account."""
        request = AccountRequest(
            account_type=AccountType.WALLET,
            currency="USD",
            opening_balance=balance,
            posting=posting,
        )
        call = self._call("/v1/accounts", operator=True)
        found: str = json.loads(create_account(request, call, self._openings).body)["id"]
        return found

    def transfer(self, source: str, target: str, amount: int, *, operator: bool) -> int:
        """Make a transfer, in one attempt. Raises RuntimeError if it is refused."""
        request = TransferRequest(
            from_account_id=source,
            to_account_id=target,
            amount=amount,
            currency="USD",
            description="Invoice 2026-0042",
        )
        call = self._call("/v1/transfers", operator=operator)
        answer = create_transfer(request, call, self._transfers)
        if answer.status != 201:
            raise RuntimeError(answer.body)
        return 1

    def total(self, names: list[str], hot: str) -> int:
        """The sum of all accounts, including what is still to be added to the hot one."""
        rows = [
            row
            for start in range(0, len(names), 100)
            for row in self._accounts.get_many(names[start : start + 100], UNRESTRICTED)
        ]
        credits = sum(
            transfer.amount
            for transfer in self._world.rows(Transfer)
            if hot in transfer.folded_accounts
        )
        return sum(row.balance for row in rows) + credits

    def _call(self, path: str, *, operator: bool) -> Any:
        with self._lock:
            key = f"bench-{next(self._numbers):030d}"
        return self._world.call(
            self._merchant,
            {"n": 1},
            key,
            path=path,
            operator=operator,
            acting_for=self._merchant.id if operator else None,
        )


class _Bench:
    """One engine with the tables of all implementations, and their shared lock model."""

    def __init__(self, engine: Engine, size: Size) -> None:
        self.engine, self.size = engine, size
        self.platform = Platform(engine)
        create_tables(self.platform.client, rivals.TABLES)
        keys = {table: names for table, (names, _) in rivals.TABLES.items()}
        self.item_locks = ItemLocks({**self.platform.key_names, **keys}, LOCK_SECONDS)
        self._deadline = 0.0

    def gave_up(self) -> bool:
        return time.monotonic() > self._deadline

    # ------------------------------------------------------------ the three implementations

    def ours(self) -> Baseline:
        client = self.platform.engine.dynamodb()
        store = self.platform.store_on(client, remaining_seconds=self._left, sleep=time.sleep)
        self._store = store
        ours = _Ours(self.platform, store)
        names = [
            ours.opened(OPENING, Posting.IMMEDIATE) for _ in range(self.size.transfer_accounts)
        ]
        hot = ours.opened(0, Posting.FOLDED)

        def transfer(source: str, target: str, amount: int) -> int:
            return ours.transfer(source, target, amount, operator=target == hot)

        return Baseline(OURS, transfer, client, names, hot, lambda: ours.total(names, hot))

    def boto3(self) -> Baseline:
        client = self.engine.dynamodb()
        return self._baseline("Go's way", rivals.by_boto3(client), client, "b")

    def pynamodb(self) -> Baseline:
        url = self.engine.endpoint_url or ""
        transfer, client = rivals.by_pynamodb(url, REGION, CREDENTIALS)
        return self._baseline("PynamoDB", transfer, client, "p")

    def _baseline(self, name: str, moved: rivals.Transfer, client: Any, letter: str) -> Baseline:
        names = [f"{letter}-{n:03d}" for n in range(self.size.transfer_accounts)]
        hot = f"{letter}-hot"
        for each in names:
            rivals.open_account(self.platform.client, each, OPENING)
        rivals.open_account(self.platform.client, hot, 0)

        def total() -> int:
            pages = self.platform.client.get_paginator("scan").paginate(TableName=rivals.ACCOUNTS)
            rows = [row for page in pages for row in page["Items"]]
            mine = (row for row in rows if row["id"]["S"].startswith(f"{letter}-"))
            return sum(int(row["balance"]["N"]) for row in mine)

        def transfer(source: str, target: str, amount: int) -> int:
            return moved(source, target, amount, self.gave_up)

        return Baseline(name, transfer, client, names, hot, total)

    # ------------------------------------------------------------ measuring

    def price(self, way: Baseline) -> None:
        """The cost of one warm transfer: between two accounts, and into the hot one."""
        self._deadline = time.monotonic() + PRICING_SECONDS
        source, target = way.accounts[:2]
        way.price = self._price(way, source, target)
        way.hot_price = self._price(way, source, way.hot)

    def _price(self, way: Baseline, source: str, target: str) -> Price:
        def transfer() -> int:
            return way.transfer(source, target, 1)

        transfer()
        if way.name == OURS:
            return price_of_ours(transfer, self.platform, self._store, (source, target))
        return price_of(transfer, way.client, self.platform.client)

    def rate(self, way: Baseline, clients: int, *, hot: bool) -> Rate:
        """Transfers per second with this many clients, and attempts per success."""
        self._deadline = time.monotonic() + self.size.transfer_seconds
        self._store.usage.restart()
        started = time.monotonic()
        with ThreadPoolExecutor(max_workers=clients) as pool:
            counts = list(pool.map(lambda n: self._client(way, n, hot=hot), range(clients)))
        seconds = time.monotonic() - started
        done, attempts = (sum(each[i] for each in counts) for i in (0, 1))
        if way.name == OURS:  # retried inside of the store
            attempts = done + self._store.usage.counts()["retries"]
        return Rate(done / seconds, attempts / done if done else float("inf"))

    def _client(self, way: Baseline, number: int, *, hot: bool) -> tuple[int, int]:
        dice = random.Random(number)
        done = attempts = 0
        while not self.gave_up():
            source, target = dice.sample(way.accounts, 2)
            took = way.transfer(source, way.hot if hot else target, 1)
            attempts += abs(took)
            done += took > 0
        return done, attempts

    def _left(self) -> float:
        return 60.0

    @contextmanager
    def locks(self, ways: list[Baseline], on: bool) -> Iterator[None]:
        if on:
            for way in ways:
                self.item_locks.attach(way.client)
        yield

    def require_conserved(self, ways: list[Baseline]) -> None:
        """Raises LocalError if an implementation has created or lost money."""
        for way in ways:
            total = way.total()
            opened = len(way.accounts) * OPENING
            if total != opened:
                raise LocalError(
                    f"{way.name} created or lost {total - opened} minor units.",
                    hint="A rate without correct money is meaningless: check the conditions first.",
                )


def _print(
    console: Console,
    engine: Engine,
    ways: list[Baseline],
    rates: dict[tuple[str, str, bool, int], Rate],
    size: Size,
) -> None:
    numbers = [Column(way.name, justify="right") for way in ways]
    ratios = [Column(f"{ways[0].name} : {way.name}", justify="right") for way in ways[1:]]
    table = Table(f"a transfer, on {engine.name}", *numbers, *ratios, "target", box=SIMPLE)

    def row(title: str, values: list[float], target: str = "", *, fewer: bool = False) -> None:
        ours, *others = values
        reported = [
            f"{other / ours if fewer else ours / other:.1f}" if other else "∞" for other in others
        ]
        table.add_row(title, *(f"{value:.1f}" for value in values), *reported, target)

    row("round trips", [way.price.trips for way in ways], "1", fewer=True)
    for price, place, target in (
        ([way.price for way in ways], "", "≤ 12"),
        ([way.hot_price for way in ways], ", into the hot account", ""),
    ):
        row(f"write units{place}", [each.requested for each in price], target, fewer=True)
        derived = [f"{each.derived.total():.1f}" for each in price]
        table.add_row(f"  of rows derived later{place}", *derived, "", "", "")
        row(f"  together{place}", [each.together for each in price], fewer=True)
    for locked in (False, True):
        model = ", 7 ms locks" if locked else ""
        for place in ("uniform", "hot"):
            for clients in size.transfer_clients:
                found = [rates[(way.name, place, locked, clients)] for way in ways]
                target = {"uniform": "≥ 5", "hot": "≥ 10"}[place] if clients > 1 else ""
                what = "one hot account" if place == "hot" else f"{size.transfer_accounts} accounts"
                title = f"transfers/s, {clients} client(s), {what}{model}"
                row(title, [rate.per_second for rate in found], target)
                if locked and clients > 1:
                    row("  attempts per success", [rate.attempts for rate in found], fewer=True)
    console.print(table)
    for way in ways[:2]:
        console.print(f"  write units of {way.name}: {by_place(way.price.units)}")
    console.print(f"  write units of ours, derived: {by_place(ways[0].price.derived)}")
    console.print(f"  … into the hot account, alone: {by_place(ways[0].hot_price.derived)}")
    console.print("  Money was conserved in each variant, or this would end with an error.")
