"""Races, crashes and lost answers: each request is applied exactly once."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from runtime.core.errors import (
    AlreadyCanceled,
    AlreadyPosted,
    HoldExpired,
    IdempotencyKeyReused,
    Unavailable,
)
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime
from runtime.http.responses import StoredAnswer
from runtime.ledger.transfers.models import Transfer, TransferStatus
from tests.support.engines.choice import CHOSEN, engine_named
from tests.support.engines.faults import (
    TRANSIENT,
    Fault,
    Faults,
    ProcessKilled,
    at_commit,
    at_step,
    every_commit,
)
from tests.support.oracles.ledger import legs_in
from tests.support.platform import at_once
from tests.support.simulation.ledger import LedgerClient, LedgerPlatform, Order

RACES = min(500, int(os.environ.get("OPERATIONS") or 200))
HOLD = 10


@pytest.fixture(params=CHOSEN)
def ledger(request: pytest.FixtureRequest) -> Iterator[LedgerPlatform]:
    ledger = LedgerPlatform(engine_named(request.param, request), seed="races")
    yield ledger
    ledger.platform.drop()


@pytest.fixture
def pair(ledger: LedgerPlatform) -> tuple[str, str]:
    """Two accounts; the first one is funded."""
    return ledger.open(opening=1_000_000), ledger.open()


def row_of(ledger: LedgerPlatform, transfer_id: str) -> Transfer:
    row = ledger.calm.deps.transfers.get(transfer_id, UNRESTRICTED)
    assert row is not None
    return row


def applied(ledger: LedgerPlatform, answer: StoredAnswer) -> dict[str, Any]:
    """Apply the answered transfer to the model."""
    document: dict[str, Any] = json.loads(answer.body)
    legs = legs_in(document)
    if document["status"] == "pending":
        ledger.model.hold(document["id"], legs, document["expires_at"])
    else:
        ledger.model.transfer(document["id"], legs)
    return document


# -------------------------------------------------------------------- post against cancel


def test_concurrent_post_and_cancel_of_one_hold_have_exactly_one_winner(
    ledger: LedgerPlatform, pair: tuple[str, str]
) -> None:
    clients = [ledger.client("poster"), ledger.client("canceler")]
    winners: Counter[str] = Counter()
    for _ in range(RACES):
        hold_id = ledger.hold(*pair, HOLD)
        orders = [ledger.post_order(hold_id), ledger.cancel_order(hold_id)]
        posted, canceled = at_once(*(_sending(c, o) for c, o in zip(clients, orders, strict=True)))
        if isinstance(posted, StoredAnswer):
            winners["post"] += 1
            assert isinstance(canceled, AlreadyPosted)
            ledger.model.post(hold_id, HOLD)
        else:
            winners["cancel"] += 1
            assert isinstance(posted, AlreadyCanceled)
            assert isinstance(canceled, StoredAnswer)
            ledger.model.release(hold_id, "canceled")
    assert winners.total() == RACES
    assert min(winners["post"], winners["cancel"]) > 0, winners
    ledger.must_balance()


def test_hold_expiry_and_a_post_at_the_boundary_have_exactly_one_winner(
    ledger: LedgerPlatform, pair: tuple[str, str]
) -> None:
    winners: Counter[str] = Counter()
    for number in range(60):
        hold_id = ledger.hold(*pair, HOLD, expires_in_seconds=1)
        poster = ledger.client(f"poster-{number}")
        _set_clock(
            ledger, row_of(ledger, hold_id).expires_at, timedelta(milliseconds=-(number % 12))
        )
        posted, _ = at_once(_sending(poster, ledger.post_order(hold_id)), ledger.calm.expire)
        ledger.calm.expire()
        if isinstance(posted, StoredAnswer):
            winners["post"] += 1
            assert row_of(ledger, hold_id).status is TransferStatus.PROCESSED
            ledger.model.post(hold_id, HOLD)
        else:
            winners["expiry"] += 1
            assert isinstance(posted, HoldExpired)
            assert row_of(ledger, hold_id).status is TransferStatus.EXPIRED
            ledger.model.release(hold_id, "expired")
    assert min(winners["post"], winners["expiry"]) > 0, winners
    ledger.must_balance()


@pytest.mark.parametrize(("early_ms", "open_"), [(1, True), (0, False), (-1, False)])
def test_a_hold_is_open_until_the_millisecond_of_its_expiry(
    ledger: LedgerPlatform, pair: tuple[str, str], early_ms: int, open_: bool
) -> None:
    held = [ledger.hold(*pair, HOLD, expires_in_seconds=5) for _ in range(2)]
    for hold_id, order in zip(
        held, (ledger.post_order(held[0], 4), ledger.cancel_order(held[1])), strict=True
    ):
        at = timedelta(milliseconds=-early_ms)
        _set_clock(ledger, row_of(ledger, hold_id).expires_at, at)
        if open_:
            assert ledger.calm.send(order).status == 200
        else:
            with pytest.raises(HoldExpired):
                ledger.calm.send(order)
    if open_:
        ledger.model.post(held[0], 4)
        ledger.model.release(held[1], "canceled")
    ledger.platform.clock.advance(10)
    assert ledger.calm.expire().expired == (0 if open_ else 2)
    if not open_:
        for hold_id in held:
            ledger.model.release(hold_id, "expired")
    ledger.must_balance()


def test_hold_expiry_releases_nothing_before_the_millisecond_of_expiry(
    ledger: LedgerPlatform, pair: tuple[str, str]
) -> None:
    hold_id = ledger.hold(*pair, HOLD, expires_in_seconds=5)
    expires_at = row_of(ledger, hold_id).expires_at
    _set_clock(ledger, expires_at, timedelta(milliseconds=-1))
    assert ledger.calm.expire().due == 0
    report = ledger.calm.expire()  # its first clock read is a millisecond later
    assert (report.due, report.expired) == (1, 1)
    ledger.model.release(hold_id, "expired")
    assert ledger.calm.expire().due == 0
    ledger.must_balance()


# -------------------------------------------------------------------- one key, many requests


def test_sixteen_concurrent_requests_with_one_key_create_one_transfer(
    ledger: LedgerPlatform, pair: tuple[str, str]
) -> None:
    for more in ({}, {"hold": True}):
        order = ledger.order(*pair, 700, **more)
        clients = [ledger.client(f"twin-{number}") for number in range(16)]
        answers = at_once(*(_sending(client, order) for client in clients))
        assert {type(answer) for answer in answers} == {StoredAnswer}
        assert len({answer.body for answer in answers}) == 1  # type: ignore[union-attr]
        assert Counter(answer.replayed for answer in answers) == {False: 1, True: 15}  # type: ignore[union-attr]
        applied(ledger, ledger.calm.send(order))
    ledger.must_balance()


def test_sixteen_concurrent_refused_requests_with_one_key_store_one_failed_transfer(
    ledger: LedgerPlatform, pair: tuple[str, str]
) -> None:
    order = ledger.order(pair[1], pair[0], 700)
    clients = [ledger.client(f"twin-{number}") for number in range(16)]
    answers = at_once(*(_sending(client, order) for client in clients))
    assert {answer.status for answer in answers} == {422}  # type: ignore[union-attr]
    assert len({answer.body for answer in answers}) == 1  # type: ignore[union-attr]
    books = ledger.must_balance()
    failed = [row for row in books.transfers.values() if row.status is TransferStatus.FAILED]
    assert [row.failure_code for row in failed] == ["insufficient_funds"]


def test_concurrent_posts_with_one_key_are_one_post_and_other_keys_get_a_conflict(
    ledger: LedgerPlatform, pair: tuple[str, str]
) -> None:
    hold_id = ledger.hold(*pair, HOLD)
    same = ledger.post_order(hold_id, 7)
    answers = at_once(*(_sending(ledger.client(f"twin-{n}"), same) for n in range(8)))
    assert {answer.status for answer in answers} == {200}  # type: ignore[union-attr]
    assert len({answer.body for answer in answers}) == 1  # type: ignore[union-attr]
    ledger.model.post(hold_id, 7)
    with pytest.raises(AlreadyPosted):
        ledger.calm.send(ledger.post_order(hold_id, 7))
    with pytest.raises(AlreadyPosted):
        ledger.calm.send(ledger.cancel_order(hold_id))
    ledger.must_balance()


def test_a_used_key_repeats_its_answer_and_refuses_a_different_body(
    ledger: LedgerPlatform, pair: tuple[str, str]
) -> None:
    order = ledger.order(*pair, 700)
    first = ledger.calm.send(order)
    applied(ledger, first)
    assert ledger.calm.send(order) == first.again()
    ledger.platform.clock.advance(24 * 3600 - 60)
    assert ledger.calm.send(order) == first.again()
    with pytest.raises(IdempotencyKeyReused):
        ledger.calm.send(ledger.order(*pair, 701, key=order.key))
    ledger.must_balance()


# -------------------------------------------------------------------- crashes and lost answers


def _orders(ledger: LedgerPlatform, pair: tuple[str, str]) -> Iterator[Order]:
    """One order per kind of request. Holds to resolve are created here."""
    yield ledger.order(*pair, 700)
    yield ledger.order(*pair, 300, hold=True)
    yield ledger.order(pair[1], pair[0], 10**9)  # refused: two commits
    for make in (lambda hold: ledger.post_order(hold, 4), ledger.cancel_order):
        hold_id = ledger.hold(*pair, HOLD)
        yield make(hold_id)


def _applied_once(ledger: LedgerPlatform, order: Order, again: StoredAnswer) -> None:
    """The retry got the stored answer, and the model applies the order once."""
    assert ledger.calm.send(order) == again.again()
    if again.status == 201:
        applied(ledger, again)
    elif order.path.endswith("/post"):
        ledger.model.post(order.transfer_id, 4)
    elif again.status == 200:
        ledger.model.release(order.transfer_id, "canceled")


@pytest.mark.parametrize("fault", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
def test_a_crash_at_any_call_is_atomic_and_a_retry_applies_once(
    ledger: LedgerPlatform, pair: tuple[str, str], fault: Fault
) -> None:
    deaths = 0
    for step in range(1, 4):
        for order in _orders(ledger, pair):
            dying = ledger.client_with(Faults(at_step(step, fault)))
            try:
                dying.send(order)
            except ProcessKilled:
                deaths += 1
            _applied_once(ledger, order, ledger.calm.send(order))
    assert deaths >= 8, "crashes at the steps of every kind of request"
    ledger.must_balance()


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_transient_fault_at_any_commit_is_hidden_from_the_caller(
    ledger: LedgerPlatform, pair: tuple[str, str], fault: Fault
) -> None:
    for number in (1, 2):
        for order in _orders(ledger, pair):
            client = LedgerClient(
                ledger,
                ledger.platform.store_on(
                    Faults(at_commit(number, fault)).attach(ledger.platform.engine.dynamodb())
                ),
            )
            answer = client.send(order)
            assert not answer.replayed
            _applied_once(ledger, order, answer)
    ledger.must_balance()


def test_lost_answers_time_out_as_busy_and_the_retry_gets_the_result(
    ledger: LedgerPlatform, pair: tuple[str, str]
) -> None:
    for order in _orders(ledger, pair):
        seconds = iter([60.0, 60.0])
        store = ledger.platform.store_on(
            Faults(every_commit(Fault.ANSWER_LOST)).attach(ledger.platform.engine.dynamodb()),
            remaining_seconds=lambda seconds=seconds: next(seconds, 0.0),
        )
        with pytest.raises(Unavailable):
            LedgerClient(ledger, store).send(order)
        again = ledger.calm.send(order)
        refused = again.status == 422  # the first commit of a refused request never succeeds
        assert again.replayed != refused
        _applied_once(ledger, order, again)
    ledger.must_balance()


def test_an_answer_lost_beyond_the_token_lifetime_is_found_by_its_claim(
    ledger: LedgerPlatform, pair: tuple[str, str]
) -> None:
    """DynamoDB keeps a ClientRequestToken for ten minutes; the claim is kept for a day."""
    for number in (1, 2):
        for order in _orders(ledger, pair):
            client = ledger.platform.engine.dynamodb()
            Faults(at_commit(number, Fault.ANSWER_LOST)).attach(client)
            client.meta.events.register("before-parameter-build.dynamodb", _new_token)
            answer = LedgerClient(ledger, ledger.platform.store_on(client)).send(order)
            assert not answer.replayed, order
            _applied_once(ledger, order, answer)
    ledger.must_balance()


def test_a_projector_that_crashes_at_every_step_credits_each_transfer_once(
    ledger: LedgerPlatform, pair: tuple[str, str]
) -> None:
    hot = ledger.open(folded=True)
    for amount in range(1, 30):
        applied(ledger, ledger.calm.send(ledger.order(pair[0], hot, amount)))
    living, deaths = ledger.poller.handler, 0
    for step in range(1, 15):
        for fault in (Fault.KILLED_BEFORE, Fault.KILLED_AFTER):
            ledger.poller.handler = ledger.projector(Faults(at_step(step, fault)))
            ledger.poller.step()
            deaths += len(ledger.poller.errors)
            ledger.poller.errors.clear()
    ledger.poller.handler = living
    assert deaths > 10
    ledger.must_balance()


def _sending(client: LedgerClient, order: Order) -> Callable[[], StoredAnswer]:
    return lambda: client.send(order)


def _new_token(params: dict[str, Any], **_: Any) -> None:
    params.pop("ClientRequestToken", None)


def _set_clock(ledger: LedgerPlatform, instant: str | None, offset: timedelta) -> None:
    """Set the clock's next reading to `instant` + `offset`."""
    assert instant is not None
    ledger.platform.clock.set(to_datetime(instant) + offset - timedelta(milliseconds=1))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
