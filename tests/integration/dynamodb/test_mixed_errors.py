"""A canceled transaction with a failed condition and another item in conflict.

DynamoDB did not evaluate the condition of the item in conflict. If that is the claim, or whatever
else takes precedence over the failed condition, the outcome is not known yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.core.errors import AlreadyCanceled, AlreadyPosted
from runtime.http.responses import StoredAnswer
from runtime.ledger.transfers.models import TransferStatus
from tests.support.engines.faults import COMMIT, BusyItem
from tests.support.platform import Platform
from tests.support.simulation.ledger import LedgerClient, LedgerPlatform

ONE_A_MINUTE = {"payments_per_minute": 1}
MANUAL = {"capture_method": "manual"}


@pytest.fixture
def ledger(platform: Platform, engine: Any) -> Iterator[LedgerPlatform]:
    ledger = LedgerPlatform(engine, seed="mixed")
    yield ledger
    ledger.platform.drop()


def busy_claim(platform: Platform, position: int) -> tuple[BusyItem, Any]:
    """Dependencies whose claim is just being taken by another request's commit."""
    busy = BusyItem(position, hidden=platform.tables["idempotency"])
    return busy, platform.deps(platform.store_on(busy.attach(platform.engine.dynamodb())))


def test_a_payment_repeated_while_its_first_request_commits_is_not_refused_for_the_limit(
    platform: Platform,
) -> None:
    merchant = platform.merchant(rate_limits=ONE_A_MINUTE)
    first = platform.pay(merchant, "k")
    busy, deps = busy_claim(platform, position=0)
    assert platform.pay(merchant, "k", deps=deps) == first.again()
    assert busy.met == 1


@pytest.mark.parametrize(
    ("what", "body"), [("capture", MANUAL), ("cancel", MANUAL), ("refund", {})]
)
def test_an_operation_repeated_while_its_first_request_commits_gets_its_answer(
    platform: Platform, what: str, body: dict[str, Any]
) -> None:
    merchant = platform.merchant()
    payment = platform.paid(merchant, **body)
    answers: list[StoredAnswer] = []

    def first() -> None:
        answers.append(platform.operate(merchant, payment, what, "k"))

    busy, deps = busy_claim(platform, position=2)
    before_its_commit(deps.payments._store.client, first)
    answer = platform.operate(merchant, payment, what, "k", deps=deps)
    assert [answer] == [each.again() for each in answers]
    assert busy.met == 1
    platform.must_agree()


def test_a_taken_claim_is_final_whatever_else_is_in_conflict(platform: Platform) -> None:
    merchant = platform.merchant(rate_limits=ONE_A_MINUTE)
    first = platform.pay(merchant, "k")
    busy = BusyItem(position=2)
    client = busy.attach(platform.engine.dynamodb())
    store = platform.store_on(client)
    assert platform.pay(merchant, "k", deps=platform.deps(store)) == first.again()
    assert (busy.met, store.usage.counts()["retries"]) == (1, 0)


def test_a_hold_conflict_is_reported_as_already_resolved(
    ledger: LedgerPlatform,
) -> None:
    pair = ledger.open(opening=1_000), ledger.open()
    for first, second, refusal in (
        ("post", "cancel", AlreadyPosted),
        ("cancel", "post", AlreadyCanceled),
    ):
        hold = ledger.hold(*pair, 10)
        orders = {"post": ledger.post_order(hold), "cancel": ledger.cancel_order(hold)}
        busy = BusyItem(position=0)
        client = busy.attach(ledger.platform.engine.dynamodb())
        before_its_commit(client, lambda order=orders[first]: ledger.calm.send(order))  # type: ignore[misc]
        with pytest.raises(refusal):
            LedgerClient(ledger, ledger.platform.store_on(client)).send(orders[second])
        assert busy.met == 1
        if first == "post":
            ledger.model.post(hold, 10)
        else:
            ledger.model.release(hold, TransferStatus.CANCELED)
    ledger.must_balance()


def test_a_transfer_repeated_while_its_first_request_commits_gets_its_answer(
    ledger: LedgerPlatform,
) -> None:
    pair = ledger.open(opening=1_000), ledger.open()
    order = ledger.order(*pair, 1_000)
    first = ledger.calm.send(order)
    busy = BusyItem(position=3)  # two accounts, the transfer, the claim
    client = busy.attach(ledger.platform.engine.dynamodb())
    assert LedgerClient(ledger, ledger.platform.store_on(client)).send(order) == first.again()
    assert busy.met == 1
    document = json.loads(first.body)
    ledger.model.transfer(document["id"], [(*pair, 1_000)])
    ledger.must_balance()


def before_its_commit(client: Any, action: Any) -> None:
    """Do `action` once, before the first commit of `client` is sent."""
    todo = [action]

    def act(**_: Any) -> None:
        if todo:
            todo.pop()()

    client.meta.events.register_first(f"before-call.dynamodb.{COMMIT}", act)
