"""Concurrent captures, cancels and refunds of one payment: no limit is exceeded, one closes it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from runtime.core.errors import InvalidState
from runtime.http.responses import StoredAnswer
from runtime.merchants.models import MerchantProfile
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import PaymentStatus
from runtime.payments.queries import get_payment
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType
from tests.support.engines.faults import ItemLocks
from tests.support.platform import Platform, at_once

MANUAL = {"capture_method": "manual"}
ROUNDS = 20
MANY = 50
Outcome = StoredAnswer | Exception
Order = tuple[str, dict[str, Any]]

contended = pytest.mark.parametrize("conflicts", [False, True], ids=["", "conflicts"])
"""With and without DynamoDB's transaction conflicts."""


def deps_of(platform: Platform, conflicts: bool) -> tuple[PaymentDependencies, ItemLocks]:
    locks = ItemLocks(platform.key_names, hold_seconds=0.001)
    client = platform.engine.dynamodb()
    store = platform.store_on(locks.attach(client) if conflicts else client, sleep=_short)
    return platform.deps(store), locks


def _short(seconds: float) -> None:
    time.sleep(min(seconds, 0.05))


def raced(
    platform: Platform,
    merchant: MerchantProfile,
    payment: str,
    orders: list[Order],
    deps: PaymentDependencies,
) -> list[Outcome]:
    def action(order: Order) -> Callable[[], StoredAnswer]:
        what, body = order
        return lambda: platform.operate(merchant, payment, what, deps=deps, **body)

    return at_once(*[action(order) for order in orders])


def verdict(outcome: Outcome) -> str:
    """`done`, or the code of the refusal."""
    if isinstance(outcome, StoredAnswer):
        return "done" if outcome.status == 200 else str(json.loads(outcome.body)["code"])
    assert isinstance(outcome, InvalidState), repr(outcome)
    return "wrong state"


def succeeded(platform: Platform, payment: str) -> list[Transaction]:
    return [
        row
        for row in platform.rows(Transaction)
        if row.payment_id == payment and row.status is TransactionStatus.SUCCEEDED
    ]


def closers(transactions: list[Transaction]) -> list[Transaction]:
    """Voids and final captures."""
    return [
        row
        for row in transactions
        if row.type is TransactionType.VOID
        or (row.type is TransactionType.CAPTURE and row.final is True)
    ]


@contended
@pytest.mark.parametrize("what", ["capture", "refund"])
def test_of_fifty_concurrent_requests_for_a_tenth_exactly_ten_succeed(
    either_world: Platform, what: str, conflicts: bool
) -> None:
    platform = either_world
    merchant = platform.merchant()
    more = {"final": False} if what == "capture" else {}
    payment = platform.paid(merchant, amount=100, **(MANUAL if more else {}))
    deps, locks = deps_of(platform, conflicts)
    outcomes = raced(platform, merchant, payment, [(what, {"amount": 10, **more})] * MANY, deps)
    verdicts = Counter(verdict(each) for each in outcomes)
    assert verdicts["done"] == 10
    assert set(verdicts) <= {"done", "amount_too_large", "wrong state"}
    row = platform.payment()
    assert row.status is PaymentStatus.SUCCEEDED
    assert row.amount_captured == 100
    assert row.amount_refunded == (100 if what == "refund" else 0)
    assert len(row.transaction_ids) == 11
    assert (locks.conflicts > 0) is conflicts
    platform.must_agree()


@contended
def test_of_concurrent_final_captures_and_cancels_one_wins_and_the_processor_agrees(
    platform: Platform, dice: Random, conflicts: bool
) -> None:
    merchant = platform.merchant()
    deps, _ = deps_of(platform, conflicts)
    orders: list[Order] = [
        ("capture", {}),
        ("capture", {"amount": 30}),
        ("capture", {"amount": 999}),
        ("cancel", {}),
        ("cancel", {}),
    ]
    won: Counter[str] = Counter()
    for _ in range(ROUNDS):
        payment = platform.paid(merchant, **MANUAL)
        dice.shuffle(orders)
        outcomes = raced(platform, merchant, payment, orders, deps)
        verdicts = [verdict(each) for each in outcomes]
        assert Counter(verdicts) == {"done": 1, "wrong state": len(orders) - 1}
        what, _body = orders[verdicts.index("done")]
        (closer,) = closers(succeeded(platform, payment))
        assert closer.type == ("capture" if what == "capture" else "void")
        won[what] += 1
    print(dict(won))
    platform.must_agree()


@contended
def test_concurrent_captures_cancels_and_refunds_close_the_payment_at_most_once(
    platform: Platform, dice: Random, conflicts: bool
) -> None:
    merchant = platform.merchant()
    deps, _ = deps_of(platform, conflicts)
    orders: list[Order] = [
        ("capture", {"amount": 400, "final": False}),
        ("capture", {"amount": 400, "final": False}),
        ("capture", {"amount": 400, "final": False}),
        ("capture", {"amount": 100}),
        ("capture", {}),
        ("cancel", {}),
        ("refund", {"amount": 1}),
        ("refund", {"amount": 400}),
    ]
    seen: Counter[str] = Counter()
    for _ in range(ROUNDS):
        payment = platform.paid(merchant, **MANUAL)
        dice.shuffle(orders)
        outcomes = raced(platform, merchant, payment, orders, deps)
        verdicts = Counter(verdict(each) for each in outcomes)
        done = succeeded(platform, payment)
        assert verdicts["done"] == len(done) - 1 >= 1, (
            "all reported operations, and the authorization"
        )
        assert len(closers(done)) <= 1
        row = next(each for each in platform.payments() if each.id == payment)
        closed = bool(closers(done)) or row.amount_captured == row.amount
        assert closed is (row.status is not PaymentStatus.REQUIRES_CAPTURE)
        seen[row.status] += 1
    print(dict(seen))
    platform.must_agree()


@contended
def test_refunds_during_a_capture_never_exceed_the_captured_amount(
    platform: Platform, dice: Random, conflicts: bool
) -> None:
    merchant = platform.merchant()
    deps, _ = deps_of(platform, conflicts)
    refunds: list[Order] = [("refund", {"amount": 100})] * 8
    orders: list[Order] = [("capture", {"amount": 300}), *refunds]
    for _ in range(ROUNDS // 4):
        payment = platform.paid(merchant, **MANUAL)
        assert platform.operate(merchant, payment, "capture", amount=300, final=False).status == 200
        dice.shuffle(orders)
        verdicts = Counter(
            verdict(each) for each in raced(platform, merchant, payment, orders, deps)
        )
        row = next(each for each in platform.payments() if each.id == payment)
        assert (row.status, row.amount_captured) == (PaymentStatus.SUCCEEDED, 600)
        assert 300 <= row.amount_refunded == 100 * (verdicts["done"] - 1) <= 600
        assert verdicts["amount_too_large"] == len(refunds) - (verdicts["done"] - 1)
    platform.must_agree()


def test_a_detail_read_concurrently_shows_a_payment_and_its_transactions_consistently(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    payment = platform.paid(merchant, amount=100)
    deps = platform.deps()
    done = threading.Event()

    def refund() -> None:
        for _ in range(5):
            assert platform.operate(merchant, payment, "refund", deps=deps, amount=1).status == 200

    def refund_all() -> list[tuple[int, int]]:
        try:
            assert at_once(*[refund] * 4) == [None] * 4
        finally:
            done.set()
        return []

    def read() -> list[tuple[int, int]]:
        seen = []
        while not done.is_set():
            detail = get_payment(payment, platform.call(merchant), platform.payment_reads())
            refunds = [row for row in detail.transactions if row.type is TransactionType.REFUND]
            given = sum(row.amount for row in refunds if row.status is TransactionStatus.SUCCEEDED)
            seen.append((given, detail.amount_refunded))
        return seen

    for seen in at_once(refund_all, read, read, read):
        assert not isinstance(seen, Exception), repr(seen)
        assert [pair for pair in seen if pair[0] != pair[1]] == []


@contended
def test_of_a_concurrent_expiry_and_capture_one_wins(
    platform: Platform, dice: Random, conflicts: bool
) -> None:
    merchant = platform.merchant()
    deps, _ = deps_of(platform, conflicts)
    payments = [platform.paid(merchant, **MANUAL) for _ in range(ROUNDS // 2)]
    platform.clock.advance(platform.timing.authorization_seconds + 1)
    actions: list[Callable[[], Any]] = [
        lambda p=payment: platform.operate(merchant, p, "capture", deps=deps)
        for payment in payments
    ]
    actions += [platform.resolve, platform.resolve]
    dice.shuffle(actions)
    for outcome in at_once(*actions):
        if isinstance(outcome, StoredAnswer):
            assert outcome.status == 200
        elif isinstance(outcome, Exception):
            assert isinstance(outcome, InvalidState), repr(outcome)
    platform.resolve_until_quiet()
    for payment in payments:
        assert len(closers(succeeded(platform, payment))) == 1
    final = {PaymentStatus.SUCCEEDED, PaymentStatus.CANCELED}
    assert {row.status for row in platform.payments()} <= final
    platform.must_agree()
