"""Changes between two steps of one request are seen by the second step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runtime.core.errors import Locked
from runtime.http.responses import StoredAnswer
from runtime.payments.dependencies import PaymentDependencies
from tests.support.engines.engine import Engine
from tests.support.engines.faults import COMMIT, Fault, Faults
from tests.support.platform import Platform
from tests.support.simulation.ledger import LedgerPlatform


def before_commit(number: int, happens: Callable[[], object]) -> Faults:
    """No fault, but a callback before the n-th commit of a client."""

    def plan(operation: str, call: int) -> Fault | None:
        if (operation, call) == (COMMIT, number):
            happens()
        return None

    return Faults(plan)


def body_of(answer: StoredAnswer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found


@pytest.fixture
def ledger(engine: Engine) -> Iterator[LedgerPlatform]:
    ledger = LedgerPlatform(engine, seed="between")
    yield ledger
    ledger.platform.drop()


def test_a_balance_that_changes_before_the_commit_is_not_returned(ledger: LedgerPlatform) -> None:
    payer, payee = ledger.open(opening=100), ledger.open()
    meanwhile = ledger.order(payer, payee, 30)
    faults = before_commit(1, lambda: ledger.calm.send(meanwhile))
    order = ledger.order(payer, payee, 10, expand=["balances_after"])
    made = ledger.client_with(faults).send(order)
    assert body_of(made)["balances_after"] == {payer: 60, payee: 40}


def test_concurrent_attempts_at_a_refund_that_is_too_large_give_one_answer(
    platform: Platform,
) -> None:
    """The other attempt stores its answer before the commit of this one."""
    shop = platform.merchant()
    payment = platform.paid(shop, amount=1000)
    other: list[StoredAnswer] = []

    def refund(deps: PaymentDependencies | None = None) -> StoredAnswer:
        return platform.operate(shop, payment, "refund", "same", deps=deps, amount=1001)

    faults = before_commit(1, lambda: other.append(refund()))
    store = platform.store_on(faults.attach(platform.engine.dynamodb()))
    answer = refund(platform.deps(store))
    assert (answer.status, body_of(answer)["code"]) == (422, "amount_too_large")
    assert other, "the attempts overlapped"
    assert answer.body == other[0].body
    assert platform.payment().refundable_minor == 1000


def test_a_cached_hot_account_is_credited_only_in_its_own_currency(
    ledger: LedgerPlatform,
) -> None:
    dollars, yen = ledger.open(opening=100), ledger.open("JPY", opening=100)
    hot = ledger.open(folded=True)
    assert ledger.calm.send(ledger.order(dollars, hot, 10)).status == 201
    refused = ledger.calm.send(ledger.order(yen, hot, 10, currency="JPY"))
    assert body_of(refused)["code"] == "currency_mismatch"


def test_a_customer_locked_between_two_attempts_at_a_payment_does_not_pay(
    platform: Platform,
) -> None:
    """The first attempt finds the failed payment; the second must find the lock."""
    shop = platform.merchant()
    customer = platform.customer(shop)

    def pay(token: str, **more: Any) -> StoredAnswer:
        return platform.pay(shop, customer_id=customer, payment_method=token, **more)

    for _ in range(2):
        assert pay("tok_declined").status == 402
    faults = before_commit(2, lambda: pay("tok_declined"))
    store = platform.store_on(faults.attach(platform.engine.dynamodb()))
    with pytest.raises(Locked):
        pay("tok_approved", deps=platform.deps(store))
    assert faults.calls[COMMIT] == 2
    assert not platform.charges()
