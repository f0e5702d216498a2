"""Many clients, many faults, one truth: what was answered, stored, booked and charged agrees."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

import pytest

from runtime.contract.answers import StoredAnswer
from runtime.errors import IdempotencyInFlight, Unavailable
from runtime.gateways.processors.sandbox import BEHAVIOURS
from runtime.models.idempotency import ClaimState
from runtime.models.merchant import MerchantProfile
from runtime.models.payment import PaymentStatus
from runtime.services.payment_desk import PaymentDesk
from tests.support.faults import Faults, ItemLocks, ProcessKilled, seeded
from tests.support.world import World

WORKERS = 6
REQUESTS = 240
TOKENS = [token for token in BEHAVIOURS if token != "tok_slow"]


@dataclass(frozen=True)
class Order:
    """What one client wants, under one key, however often it must ask."""

    merchant: MerchantProfile
    key: str
    amount: int
    currency: str
    token: str


@dataclass
class Story:
    """Everything that clients were told."""

    told: dict[str, list[StoredAnswer]] = field(default_factory=dict)
    busy: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, order: Order, answer: StoredAnswer) -> None:
        with self.lock:
            self.told.setdefault(order.key, []).append(answer)

    def fail(self, what: str) -> None:
        with self.lock:
            self.busy[what] += 1


def orders(merchants: list[MerchantProfile], dice: Random) -> list[Order]:
    made = [
        Order(
            dice.choice(merchants),
            f"key-{n}",
            dice.randrange(1, 10**9),
            dice.choice(["USD", "JPY", "KWD"]),
            dice.choice(TOKENS),
        )
        for n in range(REQUESTS)
    ]
    return made + dice.choices(made, k=REQUESTS // 2)  # impatient clients ask twice at once


def ask(world: World, order: Order, desk: PaymentDesk) -> StoredAnswer:
    return world.pay(
        order.merchant,
        order.key,
        desk=desk,
        amount=order.amount,
        currency=order.currency,
        payment_method=order.token,
    )


def test_hundreds_of_payments_under_faults_and_deaths_agree_to_the_unit(
    world: World, dice: Random
) -> None:
    merchants = [world.merchant(index_buckets=buckets) for buckets in (1, 4)]
    todo = orders(merchants, dice)
    dice.shuffle(todo)
    story = Story()
    locks = ItemLocks(world.key_names, hold_seconds=0.002)
    all_faults: list[Faults] = []
    seeds = [str(dice.random()) for _ in range(WORKERS)]

    def work(number: int) -> None:
        own = Random(seeds[number])
        faults = Faults(seeded(seeds[number], rate=0.15, kills=0.03))
        all_faults.append(faults)
        client = locks.attach(faults.attach(world.engine.dynamodb()))
        for order in todo[number::WORKERS]:
            left = iter([60.0] * own.randrange(2, 12))
            store = world.store_on(client, remaining_seconds=lambda left=left: next(left, 0.0))
            try:
                story.note(order, ask(world, order, world.desk(store)))
            except (IdempotencyInFlight, Unavailable, ProcessKilled) as error:
                story.fail(type(error).__name__)
            if own.random() < 0.05:
                _resolve_in_between(world, own, story)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, range(WORKERS)))
    injected = Counter(fault for faults in all_faults for _, _, fault in faults.injected)
    assert sum(injected.values()) > REQUESTS / 4, injected
    assert {"killed_before", "killed_after", "answer_lost", "conflict"} <= set(injected)

    world.resolve_until_quiet()
    assert_final(world, todo, story)
    print(dict(story.busy), dict(injected), locks.conflicts)


def _resolve_in_between(world: World, own: Random, story: Story) -> None:
    world.clock.advance(own.choice([1, 30, 90]))
    faults = Faults(seeded(str(own.random()), rate=0.1, kills=0.05))
    try:
        world.resolve(world.store_on(faults.attach(world.engine.dynamodb())))
    except (ProcessKilled, Unavailable) as error:
        story.fail(f"resolver {type(error).__name__}")


def assert_final(world: World, todo: list[Order], story: Story) -> None:
    world.must_agree()
    payments = world.payments()
    assert {row.status for row in payments} <= {PaymentStatus.SUCCEEDED, PaymentStatus.FAILED}
    assert {claim.state for claim in world.claims()} <= {ClaimState.COMPLETED}
    assert len(payments) == len(world.claims())
    by_claim = {row.claim_key: row for row in payments}
    assert len(by_claim) == len(payments)
    wanted = {order.key: order for order in todo}.values()
    for order in wanted:  # who was told to come back comes back; some had never arrived
        ask(world, order, world.desk())
    world.resolve_until_quiet()
    for order in wanted:
        final = ask(world, order, world.desk())
        assert final.status in (201, 402), final
        assert ask(world, order, world.desk()) == final.again()
        told = json.loads(final.body)
        if final.status == 201:
            assert (told["amount"], told["currency"]) == (order.amount, order.currency)
        for earlier in story.told.get(order.key, []):
            if earlier.status == 202:
                assert json.loads(earlier.body)["id"] == told.get("id", told.get("payment_id"))
            else:
                assert (earlier.status, json.loads(earlier.body)) == (final.status, told)
    world.must_agree()
    charged = Counter(row.currency for row in world.charges())
    receivable = {
        (merchant.id, currency): sum(
            row.amount_captured - row.fee
            for row in world.payments()
            if (row.merchant_id, row.currency) == (merchant.id, currency)
        )
        for merchant in {order.merchant.id: order.merchant for order in todo}.values()
        for currency in charged
    }
    balances = world.balances()
    for (merchant_id, currency), amount in receivable.items():
        assert balances[f"acc_receivable_{merchant_id}_{currency}"] == amount


@pytest.mark.parametrize("round_", range(3))
def test_one_client_alone_under_a_seeded_storm_replays_the_same_way(
    world: World, dice: Random, round_: int
) -> None:
    seed = f"{dice.random()}-{round_}"
    runs = []
    for _ in range(2):
        merchant = world.merchant()
        faults = Faults(seeded(seed, rate=0.3, kills=0.1))
        store = world.store_on(faults.attach(world.engine.dynamodb()), seed=1)
        outcome: list[str] = []
        for n in range(15):
            try:
                outcome.append(str(world.pay(merchant, f"k{n}", desk=world.desk(store)).status))
            except (ProcessKilled, Unavailable, IdempotencyInFlight) as error:
                outcome.append(type(error).__name__)
        runs.append((outcome, faults.injected))
    assert runs[0] == runs[1]
    world.resolve_until_quiet()
    world.must_agree()
