"""Of one canceled transaction, a condition that failed beside an item that was in conflict.

DynamoDB did not judge the condition of the item in conflict. Where that is the claim, or whatever
else is judged before the condition that failed, the verdict is not known yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.contract.answers import StoredAnswer
from runtime.errors import AlreadyCanceled, AlreadyPosted
from runtime.models.transfer import TransferStatus
from tests.support.faults import COMMIT, BusyItem
from tests.support.ledger_world import LedgerClient, LedgerWorld
from tests.support.world import World

ONE_A_MINUTE = {"payments_per_minute": 1}
MANUAL = {"capture_method": "manual"}


@pytest.fixture
def ledger(world: World, engine: Any) -> Iterator[LedgerWorld]:
    ledger = LedgerWorld(engine, seed="mixed")
    yield ledger
    ledger.world.drop()


def busy_claim(world: World, position: int) -> tuple[BusyItem, Any]:
    """A desk that meets a claim which another request's commit is just taking."""
    busy = BusyItem(position, hidden=world.tables["idempotency"])
    return busy, world.desk(world.store_on(busy.attach(world.engine.dynamodb())))


def test_a_payment_sent_again_while_its_first_is_committing_is_not_refused_for_the_limit(
    world: World,
) -> None:
    merchant = world.merchant(rate_limits=ONE_A_MINUTE)
    first = world.pay(merchant, "k")
    busy, desk = busy_claim(world, position=0)
    assert world.pay(merchant, "k", desk=desk) == first.again()
    assert busy.met == 1


@pytest.mark.parametrize(
    ("what", "body"), [("capture", MANUAL), ("cancel", MANUAL), ("refund", {})]
)
def test_an_operation_sent_again_while_its_first_is_committing_gets_its_answer(
    world: World, what: str, body: dict[str, Any]
) -> None:
    merchant = world.merchant()
    payment = world.paid(merchant, **body)
    answers: list[StoredAnswer] = []

    def first() -> None:
        answers.append(world.operate(merchant, payment, what, "k"))

    busy, desk = busy_claim(world, position=2)
    before_its_commit(desk.payments._store.client, first)
    answer = world.operate(merchant, payment, what, "k", desk=desk)
    assert [answer] == [each.again() for each in answers]
    assert busy.met == 1
    world.must_agree()


def test_what_was_claimed_is_final_whatever_else_is_in_conflict(world: World) -> None:
    merchant = world.merchant(rate_limits=ONE_A_MINUTE)
    first = world.pay(merchant, "k")
    busy = BusyItem(position=2)
    client = busy.attach(world.engine.dynamodb())
    store = world.store_on(client)
    assert world.pay(merchant, "k", desk=world.desk(store)) == first.again()
    assert (busy.met, store.usage.counts()["retries"]) == (1, 0)


def test_a_hold_in_conflict_is_resolved_by_somebody_else_and_the_books_are_not_wrong(
    ledger: LedgerWorld,
) -> None:
    pair = ledger.open(opening=1_000), ledger.open()
    for first, second, refusal in (
        ("post", "cancel", AlreadyPosted),
        ("cancel", "post", AlreadyCanceled),
    ):
        hold = ledger.hold(*pair, 10)
        orders = {"post": ledger.post_order(hold), "cancel": ledger.cancel_order(hold)}
        busy = BusyItem(position=0)
        client = busy.attach(ledger.world.engine.dynamodb())
        before_its_commit(client, lambda order=orders[first]: ledger.calm.send(order))  # type: ignore[misc]
        with pytest.raises(refusal):
            LedgerClient(ledger, ledger.world.store_on(client)).send(orders[second])
        assert busy.met == 1
        if first == "post":
            ledger.model.post(hold, 10)
        else:
            ledger.model.release(hold, TransferStatus.CANCELED)
    ledger.must_balance()


def test_a_transfer_sent_again_while_its_first_is_committing_gets_its_answer(
    ledger: LedgerWorld,
) -> None:
    pair = ledger.open(opening=1_000), ledger.open()
    order = ledger.order(*pair, 1_000)
    first = ledger.calm.send(order)
    busy = BusyItem(position=3)  # two accounts, the transfer, the claim
    client = busy.attach(ledger.world.engine.dynamodb())
    assert LedgerClient(ledger, ledger.world.store_on(client)).send(order) == first.again()
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
