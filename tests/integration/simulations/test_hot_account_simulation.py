"""One merchant's receivable under concurrent load, with a projector that lags and stops.

Sales, refunds, chargebacks, payouts, holds from it and towards it, and consolidations, by clients
whose connections fail and who die. After each accepted debit its total is checked.

`TEST_SEED=… OPERATIONS=…` repeats a run, or makes a longer one.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest

from runtime.core.errors import PlatformError, Unavailable
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime
from runtime.ledger.accounts.models import Account
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.hot_accounts.rules import HotBalance, is_debit_shard
from runtime.ledger.rules import receivable_account
from runtime.payments.disputes.apply_processor_event import ApplyEventDependencies, apply_dispute
from runtime.payments.models import DisputeStatus
from runtime.payments.processors.events import DisputeState, EventKind, ProcessorEvent
from runtime.payments.processors.sandbox.connector import SandboxProcessor
from runtime.payments.repository import PaymentRepository
from tests.support.engines.engine import Engine
from tests.support.engines.faults import ProcessKilled
from tests.support.engines.streams import STORMY
from tests.support.oracles.ledger import Story
from tests.support.platform import SETUP
from tests.support.simulation.ledger import LedgerClient, LedgerPlatform, Order

CLIENTS = 8
OPERATIONS = int(os.environ.get("OPERATIONS") or 320)
"""Of all clients together."""
FAULT_RATE, KILL_RATE = 0.02, 0.004
PATIENCE = 12
LOCK_SECONDS = 0.002
TRIES_OF_ONE_ORDER = 3
SECONDS_BETWEEN = 0.08


class Bank(SandboxProcessor):
    """The sandbox, with disputes set by the test."""

    disputes: dict[str, DisputeState]

    @classmethod
    def beside(cls, sandbox: SandboxProcessor) -> Bank:
        bank = cls.__new__(cls)
        bank.__dict__.update(sandbox.__dict__)
        bank.disputes = {}
        return bank

    def find_dispute(self, dispute_id: str) -> DisputeState | None:
        return self.disputes.get(dispute_id)


@dataclass
class Market:
    """The merchant, two accounts that money is paid out to, and all requests."""

    ledger: LedgerPlatform
    bank: Bank
    receivable: str
    wallets: list[str]
    payments: list[tuple[str, int]] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    story: Story = field(default_factory=Story)
    done: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def opened(cls, ledger: LedgerPlatform) -> Market:
        bank = Bank.beside(ledger.platform.sandbox())
        receivable = receivable_account(ledger.merchant.id, "USD")
        market = cls(ledger, bank, receivable, [ledger.open(opening=5_000), ledger.open()])
        deps = market._dependencies(ledger.calm)
        for amount in (20_000, 9_000, 3_000):  # these are never refunded
            ledger.platform.pay(ledger.merchant, market._key(), deps=deps, amount=amount)
        market.sell(ledger.calm, Random(1))
        ledger.poller.drain()
        return market

    def work(self, client: LedgerClient, dice: Random) -> None:
        """One random request that involves the receivable."""
        wishes: list[tuple[Callable[[LedgerClient, Random], None], int]] = [
            (self.sell, 24),
            (self.refund, 20),
            (self.charge_back, 8),
            (self.pay_out, 32),
            (self.hold_for_it, 5),
            (self.end_a_hold, 14),
            (self.consolidate, 5),
        ]
        (wish,) = dice.choices([each for each, _ in wishes], [weight for _, weight in wishes])
        try:
            wish(client, dice)
        except (ProcessKilled, PlatformError) as error:
            self.story.operational_alerts(error)

    # ------------------------------------------------------------ facts

    def sell(self, client: LedgerClient, dice: Random) -> None:
        amount = dice.choice([10, dice.randrange(100, 3_000)])  # a fee of 30 is above 10
        answer = self.ledger.platform.pay(
            self.ledger.merchant, self._key(), deps=self._dependencies(client), amount=amount
        )
        with self.lock:
            self.payments.append((json.loads(answer.body)["id"], amount))
        self.done["sale"] += 1

    def refund(self, client: LedgerClient, dice: Random) -> None:
        payment, amount = self._any_payment(dice)
        part = max(1, amount // dice.choice([1, 2, 3]))
        deps, merchant = self._dependencies(client), self.ledger.merchant
        self.ledger.platform.operate(
            merchant, payment, "refund", self._key(), deps=deps, amount=part
        )
        self.done["refund"] += 1

    def charge_back(self, client: LedgerClient, dice: Random) -> None:
        """A customer's bank charges back, or the merchant has won the dispute."""
        payment, amount = self._any_payment(dice)
        won, at = dice.random() < 0.3, self.ledger.platform.clock()
        row = PaymentRepository(self.ledger.platform.store).get(payment, UNRESTRICTED)
        assert row is not None
        with self.lock:
            self.bank.disputes[f"dp_{payment}"] = DisputeState(
                id=f"dp_{payment}",
                status=DisputeStatus.WON if won else DisputeStatus.OPENED,
                created_at=to_datetime(row.created_at),
                currency="USD",
                amount_minor=amount,
                withdrawn_minor=amount,
                reinstated_minor=amount if won else 0,
                fee_minor=15,
                charge_id=row.charge_id,
                reference=payment,
            )
        deps = ApplyEventDependencies(
            payments=self._dependencies(client),
            merchant=self.ledger.merchant,
            processor="sandbox",
            account=row.processor_account,
            connector=self.bank,
            key=self._key(),
            context=replace(SETUP, cause=self._key()),
            now=at,
        )
        event = ProcessorEvent(
            self._key(), EventKind.DISPUTE_CHANGED, at, row.charge_id, payment, f"dp_{payment}"
        )
        outcome = apply_dispute(event, deps)
        self.done[f"dispute {outcome.result}"] += 1

    # ------------------------------------------------------------ requests

    def pay_out(self, client: LedgerClient, dice: Random) -> None:
        """A payout or a hold for one, of a small amount or of everything."""
        there = ShardRepository(client.store).balance_of(self.receivable).total
        share = dice.choice([there, there + 1, there, *[there // part for part in (2, 5, 13)]])
        amount = max(1, share)
        more: dict[str, Any] = {}
        if dice.random() < 0.4:
            more = {"hold": True, "expires_in_seconds": dice.choice([60, 86_400])}
        target = dice.choice(self.wallets)
        self._ask(self.ledger.order(self.receivable, target, amount, **more), client)

    def hold_for_it(self, client: LedgerClient, dice: Random) -> None:
        source = self.wallets[0]
        self._ask(
            self.ledger.order(source, self.receivable, dice.randrange(1, 50), hold=True), client
        )

    def end_a_hold(self, client: LedgerClient, dice: Random) -> None:
        with self.lock:
            hold = dice.choice(self.holds[-20:]) if self.holds else None
        if hold is None:
            return
        post, cancel = self.ledger.post_order, self.ledger.cancel_order
        self._ask(post(hold) if dice.random() < 0.5 else cancel(hold), client)

    def consolidate(self, client: LedgerClient, _: Random) -> None:
        clock = self.ledger.platform.clock
        client.deps.shard_rows.consolidate(self.receivable, lambda _: SETUP, clock())
        self.done["consolidation"] += 1

    def _ask(self, order: Order, client: LedgerClient) -> None:
        with self.lock:
            self.orders.append(order)
        self.ask(order, client)

    def ask(self, order: Order, client: LedgerClient) -> None:
        """Repeat until there is an answer, or give up after some tries."""
        for _ in range(TRIES_OF_ONE_ORDER):
            try:
                answer = client.send(order)
            except (ProcessKilled, Unavailable) as error:
                self.story.operational_alerts(error)
                continue
            self.story.note(order, answer)
            document = json.loads(answer.body)
            if order.body.get("hold") and answer.status == 201 and not answer.replayed:
                with self.lock:
                    self.holds.append(document["id"])
            return

    # ------------------------------------------------------------ infrastructure

    def _dependencies(self, client: LedgerClient) -> Any:
        return self.ledger.platform.deps(client.store, self.bank)

    def _key(self) -> str:
        return self.ledger.fresh_key()

    def _any_payment(self, dice: Random) -> tuple[str, int]:
        with self.lock:
            return dice.choice(self.payments[-30:])


class _Slow(ShardRepository):
    """Pauses between the read of a balance and the commit, so that other requests interleave."""

    def balance_of(self, account_id: str) -> HotBalance:
        seen = super().balance_of(account_id)
        time.sleep(SECONDS_BETWEEN)
        return seen


@pytest.fixture
def market(engine: Engine, dice: Random) -> Iterator[Market]:
    ledger = LedgerPlatform(
        engine,
        seed=str(dice.random()),
        stream_faults=STORMY,
        projector_faults=0.02,
        lock_seconds=LOCK_SECONDS,
    )
    logging.disable(logging.CRITICAL)  # hundreds of expected failures
    yield Market.opened(ledger)
    logging.disable(logging.NOTSET)
    ledger.platform.drop()


def run(market: Market, clients: list[LedgerClient], operations: int, part: str) -> None:
    def work(number: int) -> None:
        dice = Random(f"{market.ledger.seed}-{part}-{number}")
        for _ in range(operations):
            market.work(clients[number], dice)

    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(work, range(len(clients))))


def settle(market: Market) -> None:
    """All clients retry over a working connection; open payments are resolved, and holds end."""
    calm = market.ledger.calm
    for order in {order.key: order for order in market.orders}.values():
        try:
            market.ask(order, calm)
        except PlatformError as refusal:
            market.story.operational_alerts(refusal)
    market.ledger.platform.resolve_until_quiet()
    market.ledger.platform.clock.advance(8 * 86_400)
    assert calm.expire().failed == 0


def test_no_accepted_debit_takes_a_hot_account_below_its_floor(
    market: Market,
) -> None:
    ledger = market.ledger
    clients = [
        ledger.client(f"client-{n}", FAULT_RATE, KILL_RATE, PATIENCE) for n in range(CLIENTS)
    ]
    for client in clients:
        client.deps = replace(client.deps, shard_rows=_Slow(client.store))
    each = -(-OPERATIONS // CLIENTS // 2)
    run(market, clients, each, "the stream stands still")
    with ledger.poller.running(workers=1):
        run(market, clients, each, "the stream lags")
    settle(market)
    ledger.platform.must_agree()
    books = ledger.must_balance(market.story, market.orders)
    watch = ledger.watch
    shards = {
        row.shard for row in ledger.platform.rows(Account) if row.account_id == market.receivable
    }
    became = Counter(row.status.value for row in books.transfers.values())
    print(dict(market.done), dict(became), dict(watch.looked), dict(market.story.unanswered))
    # A run in which nothing happens would not test anything.
    assert watch.looked[market.receivable] > 0
    assert min(became["processed"], became["failed"], became["canceled"] + became["expired"]) > 0
    assert min(market.done[each] for each in ("sale", "refund", "dispute applied")) > 0
    assert market.done["consolidation"] > 0
    assert len([shard for shard in shards if is_debit_shard(shard)]) > 1
