"""`make rebuild-balances`: transfers that the stream lost are listed, and added once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from operations.balances_reconciler import BalancesDependencies, BalancesReport, check_balances
from runtime.dynamodb.store import Store
from runtime.ledger.accounts.models import Account
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.entries.models import Entry
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.projection import ShardProjection
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.rules import receivable_account
from runtime.ledger.transfers.models import Transfer
from runtime.ledger.transfers.repository import TransferRepository
from runtime.merchants.models import MerchantProfile
from runtime.verification.books_repository import VerificationReads
from tests.support.engines.engine import Engine
from tests.support.engines.faults import Faults, ProcessKilled, seeded
from tests.support.fakes import ParkingLot
from tests.support.simulation.ledger import LedgerPlatform


@dataclass
class Losses:
    """A ledger whose stream can lose all records of transfers."""

    ledger: LedgerPlatform
    losing: bool = False
    tables: tuple[str, ...] = ("transfers",)
    kept: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        deliver = self.ledger.poller.handler

        def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
            source = event["Records"][0]["eventSourceARN"]
            lost = (self.ledger.platform.tables[name] for name in self.tables)
            if self.losing and any(f"table/{name}/" in source for name in lost):
                return {"batchItemFailures": []}
            return deliver(event, context)

        self.ledger.poller.handler = handler

    @property
    def merchant(self) -> MerchantProfile:
        return self.ledger.merchant

    def sell(self, *amounts: int) -> set[str]:
        """Sales of these amounts; the ids of their postings."""
        before = {row.id for row in self.ledger.platform.rows(Transfer)}
        for amount in amounts:
            self.ledger.platform.paid(self.merchant, amount=amount)
        self.ledger.poller.drain()
        return {row.id for row in self.ledger.platform.rows(Transfer)} - before

    def lose(self, *amounts: int) -> set[str]:
        """Sales whose stream records are lost, all older than the cut."""
        self.losing = True
        lost = self.sell(*amounts)
        self.losing = False
        self.ledger.platform.clock.advance(3_600)
        return lost

    def deps(self, store: Store | None = None) -> BalancesDependencies:
        store, outside = store or self.ledger.platform.store, self.ledger.platform.outside
        shard_rows = ShardRepository(store)
        folding = ShardProjection(
            shard_rows, AccountRepository(store), outside, lambda: "rbd_test", ParkingLot()
        )
        return BalancesDependencies(
            books=VerificationReads(store, segments=2, scan_page=4),
            transfers=TransferRepository(store),
            shard_rows=shard_rows,
            folding=folding,
            entries=EntryRepository(store),
            outside=outside,
        )

    def check(self, *, repair: bool = False) -> BalancesReport:
        return check_balances(self.deps(), repair=repair)

    def balance(self) -> int:
        name = receivable_account(self.merchant.id, "USD")
        return sum(
            row.balance for row in self.ledger.platform.rows(Account) if row.account_id == name
        )


@pytest.fixture
def losses(engine: Engine, dice: Random) -> Iterator[Losses]:
    ledger = LedgerPlatform(engine, str(dice.random()))
    logging.disable(logging.CRITICAL)
    yield Losses(ledger)
    logging.disable(logging.NOTSET)
    ledger.platform.drop()


def state_of(losses: Losses) -> tuple[list[Account], list[Entry]]:
    rows = losses.ledger.platform.rows(Account), losses.ledger.platform.rows(Entry)
    return (
        sorted(rows[0], key=lambda row: (row.id, row.shard)),
        sorted(rows[1], key=lambda row: (row.account_shard, row.sequence)),
    )


def test_lost_transfers_are_reported_added_and_verified(losses: Losses) -> None:
    losses.sell(1_000, 2_000)
    before = losses.balance()
    lost = losses.lose(3_000, 500, 70)
    assert not losses.ledger.verify_ledger().holds
    report = losses.check()
    receivable = receivable_account(losses.merchant.id, "USD")
    (difference,) = (each for each in report.differences if each.account_id == receivable)
    assert set(difference.named) == lost
    assert (difference.missing, difference.found) == (3, before)
    assert losses.balance() == before, "only a repair may change anything"
    repaired = losses.check(repair=True)
    assert repaired.holds
    assert repaired.repaired == 3
    assert losses.balance() == difference.expected
    losses.ledger.must_be_verified()


def test_a_second_repair_changes_nothing(losses: Losses) -> None:
    losses.lose(3_000, 500)
    losses.check(repair=True)
    before = state_of(losses)
    again = losses.check(repair=True)
    assert (again.holds, again.differences, again.repaired) == (True, [], 0)
    assert state_of(losses) == before


def test_a_stream_record_that_arrives_after_a_repair_is_not_added_twice(losses: Losses) -> None:
    for amount in (3_000, 500):
        losses.ledger.platform.paid(losses.merchant, amount=amount)
    losses.ledger.platform.clock.advance(3_600)
    assert losses.check(repair=True).repaired == 2  # the stream was only late
    before = losses.balance()
    losses.ledger.poller.drain()
    assert losses.balance() == before
    losses.ledger.must_be_verified()


def test_recent_transfers_are_left_to_the_stream(losses: Losses) -> None:
    losses.ledger.platform.paid(losses.merchant, amount=900)
    assert losses.check(repair=True).differences == []
    losses.ledger.platform.clock.advance(timedelta(hours=1).total_seconds())
    assert losses.check().differences != []


@pytest.mark.parametrize("round_", range(3))
def test_a_repair_that_is_killed_and_run_again_is_correct(
    losses: Losses, dice: Random, round_: int
) -> None:
    losses.sell(50)
    losses.lose(*range(100, 112))
    platform, kills = losses.ledger.platform, 0
    for attempt in range(40):
        plan = seeded(f"{dice.random()}-{round_}-{attempt}", 0.02, 0.2, kill_anywhere=True)
        store = platform.store_on(Faults(plan).attach(platform.engine.dynamodb()), seed=attempt)
        try:
            if check_balances(losses.deps(store), repair=True).holds:
                break
        except ProcessKilled:
            kills += 1
    assert losses.check(repair=True).holds
    losses.ledger.poller.drain()
    assert kills
    print(f"killed {kills} times")
    losses.ledger.must_be_verified()


def test_a_repair_runs_while_money_moves(losses: Losses) -> None:
    losses.lose(*range(100, 120))
    stop = threading.Event()

    def sell_on() -> None:
        while not stop.is_set():
            losses.ledger.platform.paid(losses.merchant, amount=10)
            losses.ledger.poller.drain()

    seller = threading.Thread(target=sell_on)
    seller.start()
    try:
        assert losses.check(repair=True).holds
    finally:
        stop.set()
        seller.join(60)
    losses.ledger.poller.drain()
    losses.ledger.must_be_verified()


def test_lost_entries_of_debit_shards_are_written_again(losses: Losses) -> None:
    platform, merchant = losses.ledger.platform, losses.merchant
    losses.sell(50)
    payment_id = platform.paid(merchant, amount=20_000)
    losses.ledger.poller.drain()
    losses.tables, losses.losing = ("accounts", "transfers"), True
    for amount in range(100, 180):  # more than there are shards: some are debited twice
        assert platform.operate(merchant, payment_id, "refund", amount=amount).status == 200
    losses.ledger.poller.drain()
    losses.losing = False
    platform.clock.advance(3_600)
    before = losses.balance()
    receivable = receivable_account(merchant.id, "USD")
    assert receivable not in {each.account_id for each in losses.check(repair=True).differences}
    platform.clock.advance(timedelta(hours=25).total_seconds())
    (difference,) = (e for e in losses.check(repair=True).differences if e.account_id == receivable)
    assert (difference.missing, difference.expected, difference.found) == (80, before, before)
    assert losses.check().differences == []
    assert losses.balance() == before
    losses.ledger.must_be_verified()
