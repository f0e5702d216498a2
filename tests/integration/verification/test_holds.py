"""Verification of holds: the held amounts of an account are those of its open holds."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from runtime.ledger.accounts.models import Account
from runtime.ledger.transfers.models import Transfer, TransferStatus
from tests.support.engines.engine import Engine
from tests.support.outside import new_id
from tests.support.simulation.ledger import LedgerPlatform

Found = list[tuple[str, Any, Any]]


@pytest.fixture
def ledger(engine: Engine, dice: Random) -> Iterator[LedgerPlatform]:
    ledger = LedgerPlatform(engine, str(dice.random()))
    logging.disable(logging.CRITICAL)
    yield ledger
    logging.disable(logging.NOTSET)
    ledger.platform.drop()


def found_by(ledger: LedgerPlatform) -> dict[str, Found]:
    """Violations per check; checks that hold are omitted."""
    ledger.poller.drain()
    return {
        check.name.value: [(v.id, v.expected, v.found) for v in check.violations]
        for check in ledger.verify_ledger().checks
        if not check.holds
    }


def row_of(ledger: LedgerPlatform, hold_id: str) -> Transfer:
    (row,) = (each for each in ledger.platform.rows(Transfer) if each.id == hold_id)
    return row


def change_row(ledger: LedgerPlatform, hold_id: str, **changes: Any) -> None:
    row = row_of(ledger, hold_id)
    changes |= {"version": row.version + 1, "cause": new_id("cnl", ledger.platform.clock())}
    ledger.platform.put(row.model_copy(update=changes))


def canceled_by_hand(ledger: LedgerPlatform, hold_id: str) -> None:
    ended = {"status": TransferStatus.CANCELED, "hold_bucket": None, "status_bucket": None}
    change_row(ledger, hold_id, **ended)


def deleted(ledger: LedgerPlatform, hold_id: str) -> None:
    ledger.platform.delete(row_of(ledger, hold_id))


@pytest.mark.parametrize("end", [canceled_by_hand, deleted])
def test_held_amounts_without_a_hold_are_reported(
    ledger: LedgerPlatform, end: Callable[[LedgerPlatform, str], None]
) -> None:
    payer, payee = ledger.open(opening=5_000), ledger.open()
    ledger.hold(payer, payee, 300)
    end(ledger, ledger.hold(payer, payee, 4_000))
    assert sorted(found_by(ledger)["open_holds"]) == sorted(
        [(f"{payer}#00 held_out", 300, 4_300), (f"{payee}#00 held_in", 300, 4_300)]
    )


def test_a_hold_with_several_legs_that_is_posted_in_part_is_reported(
    ledger: LedgerPlatform,
) -> None:
    payer, first, second = ledger.open(opening=100), ledger.open(), ledger.open()
    legs = [
        {"from_account_id": payer, "to_account_id": first, "amount": 30},
        {"from_account_id": payer, "to_account_id": second, "amount": 20},
    ]
    answer = ledger.calm.send(ledger.order(legs=legs, hold=True))
    hold_id = json.loads(answer.body)["id"]
    assert ledger.calm.send(ledger.post_order(hold_id)).status == 200
    ledger.platform.put(row_of(ledger, hold_id).model_copy(update={"posted_amount": 49}))
    found = found_by(ledger)["transfer_entries"]
    assert (hold_id, "legs that agree with the posted amount", "49") in found


def test_a_hold_missing_in_its_accounts_is_reported(ledger: LedgerPlatform) -> None:
    payer, payee = ledger.open(opening=5_000), ledger.open()
    row = row_of(ledger, ledger.hold(payer, payee, 70))
    invented = new_id("trf", ledger.platform.clock())
    ledger.platform.put(row.model_copy(update={"id": invented, "operation_id": invented}))
    found = found_by(ledger)["open_holds"]
    assert {each for each, _, _ in found} == {invented}
    assert len(found) == 2


def test_an_account_that_released_an_open_hold_is_reported(ledger: LedgerPlatform) -> None:
    payer, payee = ledger.open(opening=5_000), ledger.open()
    hold_id = ledger.hold(payer, payee, 70)
    before = row_of(ledger, hold_id)
    assert ledger.calm.send(ledger.cancel_order(hold_id)).status == 200
    ledger.platform.put(before)
    assert sorted(found_by(ledger)["open_holds"]) == sorted(
        [(f"{payer}#00 held_out", 70, 0), (f"{payee}#00 held_in", 70, 0)]
    )


def test_holds_that_begin_and_end_around_the_cut_are_not_violations(
    ledger: LedgerPlatform,
) -> None:
    payer, payee = ledger.open(opening=50_000), ledger.open(folded=True)
    other = ledger.open(opening=500, folded=True)
    ledger.poller.drain()
    holds = [ledger.hold(payer, payee, amount) for amount in range(10, 20)]
    holds += [ledger.hold(other, payer, 5)]
    ledger.calm.send(ledger.post_order(holds[0], 3))
    ledger.poller.drain()
    ledger.platform.clock.advance(
        120
    )  # everything so far is older than the cut; what follows is newer
    advance, ledger.platform.clock.advance = ledger.platform.clock.advance, lambda _: None
    ledger.calm.send(ledger.cancel_order(holds[1]))
    ledger.calm.send(ledger.post_order(holds[2], 4))
    ledger.calm.send(ledger.post_order(holds[-1]))
    ledger.hold(payer, payee, 21)
    ledger.poller.drain()
    assert ledger.verify_ledger().holds
    ledger.platform.clock.advance = advance
    assert found_by(ledger) == {}
    rows = {row.id: row for row in ledger.platform.rows(Account) if row.shard == "00"}
    assert rows[payer].held_out == sum(range(13, 20)) + 21
