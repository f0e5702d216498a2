"""Holds: what cannot be posted, lost races for a refusal, and runs of the expiry schedule."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from runtime.core.errors import Conflict, InvalidValue
from runtime.http.responses import StoredAnswer
from runtime.ledger.accounts.models import Account
from runtime.ledger.holds.expiry import ExpiryReport, HoldExpiryDependencies, expire_due_holds
from runtime.ledger.transfers.models import Transfer, TransferStatus
from tests.support.engines.engine import Engine
from tests.support.engines.faults import COMMIT, Fault, Faults
from tests.support.simulation.ledger import LedgerPlatform

DAY_SECONDS = timedelta(days=1).total_seconds()


@pytest.fixture
def ledger(engine: Engine) -> Iterator[LedgerPlatform]:
    ledger = LedgerPlatform(engine, seed="holds")
    yield ledger
    ledger.platform.drop()


def body_of(answer: StoredAnswer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found


def held_out(ledger: LedgerPlatform, account_id: str) -> int:
    (row,) = (row for row in ledger.platform.rows(Account) if row.account_id == account_id)
    return row.held_out


def status_of(ledger: LedgerPlatform, transfer_id: str) -> TransferStatus:
    (row,) = (row for row in ledger.platform.rows(Transfer) if row.id == transfer_id)
    return row.status


# ------------------------------------------------------------ posting


def test_a_hold_with_several_legs_is_posted_in_full_or_not_at_all(ledger: LedgerPlatform) -> None:
    payer, first, second = ledger.open(opening=100), ledger.open(), ledger.open()
    legs = [
        {"from_account_id": payer, "to_account_id": first, "amount": 30},
        {"from_account_id": payer, "to_account_id": second, "amount": 20},
    ]
    hold = body_of(ledger.calm.send(ledger.order(legs=legs, hold=True)))["id"]
    with pytest.raises(InvalidValue, match=r"2 legs can only be posted in full \(50\)"):
        ledger.calm.send(ledger.post_order(hold, 49))
    assert status_of(ledger, hold) is TransferStatus.PENDING
    assert held_out(ledger, payer) == 50

    assert body_of(ledger.calm.send(ledger.post_order(hold, 50)))["status"] == "processed"
    assert held_out(ledger, payer) == 0
    ledger.poller.drain()
    ledger.must_be_verified()


def test_a_failed_hold_cannot_be_posted(ledger: LedgerPlatform) -> None:
    payer, payee = ledger.open(opening=10), ledger.open()
    refused = ledger.calm.send(ledger.order(payer, payee, 11, hold=True))
    assert refused.status == 422
    (failed,) = (row.id for row in ledger.platform.rows(Transfer) if row.amount == 11)
    with pytest.raises(Conflict, match=r"failed \(insufficient_funds\); it holds nothing"):
        ledger.calm.send(ledger.post_order(failed))
    assert status_of(ledger, failed) is TransferStatus.FAILED


def test_concurrent_attempts_at_a_post_beyond_the_hold_give_one_answer(
    ledger: LedgerPlatform,
) -> None:
    payer, payee = ledger.open(opening=100), ledger.open()
    hold = ledger.hold(payer, payee, 50)
    order = ledger.post_order(hold, 51)
    first: list[StoredAnswer] = []

    def other_attempt(operation: str, call: int) -> Fault | None:
        if (operation, call) == (COMMIT, 1):
            first.append(ledger.calm.send(order))
        return None

    second = ledger.client_with(Faults(other_attempt)).send(order)
    assert second.status == 422
    assert body_of(second)["code"] == "exceeds_hold"
    assert second.body == first[0].body, "the answer that was stored first"
    assert held_out(ledger, payer) == 50


# ------------------------------------------------------------ expiry


def expire(ledger: LedgerPlatform, must_stop: Callable[[], bool]) -> ExpiryReport:
    calm = ledger.calm.deps
    deps = HoldExpiryDependencies(calm.ledger, calm.transfers, ledger.platform.outside, must_stop)
    return expire_due_holds(deps, "expiry-run")


@pytest.fixture
def due(ledger: LedgerPlatform) -> tuple[str, str]:
    """The payer and the id of a hold that is due."""
    payer, payee = ledger.open(opening=100), ledger.open()
    hold = ledger.hold(payer, payee, 40)
    ledger.platform.clock.advance(400 * DAY_SECONDS)
    return payer, hold


def test_a_run_without_time_releases_nothing_and_the_next_run_does(
    ledger: LedgerPlatform, due: tuple[str, str]
) -> None:
    payer, _ = due
    assert expire(ledger, lambda: True) == ExpiryReport(finished=False)
    assert held_out(ledger, payer) == 40
    assert expire(ledger, lambda: False) == ExpiryReport(due=1, expired=1)
    assert held_out(ledger, payer) == 0


def test_a_run_releases_what_is_due_until_its_time_ends(ledger: LedgerPlatform) -> None:
    payer, payee = ledger.open(opening=100), ledger.open()
    for _ in range(5):
        ledger.hold(payer, payee, 10)
    ledger.platform.clock.advance(400 * DAY_SECONDS)
    asked = count(1)
    report = expire(ledger, lambda: next(asked) > 3)
    assert report == ExpiryReport(due=3, expired=3, finished=False)
    assert held_out(ledger, payer) == 20
    assert expire(ledger, lambda: False) == ExpiryReport(due=2, expired=2)
    assert held_out(ledger, payer) == 0
    ledger.poller.drain()
    ledger.must_be_verified()


def test_a_hold_canceled_after_the_run_has_found_it_is_released_once(
    ledger: LedgerPlatform, due: tuple[str, str]
) -> None:
    payer, hold = due

    def cancel() -> bool:
        """Called between the query of due holds and the read of the hold."""
        ledger.platform.clock.advance(-400 * DAY_SECONDS)
        assert ledger.calm.send(ledger.cancel_order(hold)).status == 200
        ledger.platform.clock.advance(400 * DAY_SECONDS)
        return False

    assert expire(ledger, cancel) == ExpiryReport(due=1, resolved_meanwhile=1)
    assert status_of(ledger, hold) is TransferStatus.CANCELED
    assert held_out(ledger, payer) == 0
