"""A commit that is done after it was sent again and refused: the answer says what was done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.core.errors import StaleWrite
from runtime.core.scope import UNRESTRICTED
from runtime.ledger.transfers.models import Transfer
from tests.support.engines.engine import Engine
from tests.support.engines.late_commits import LateCommit
from tests.support.simulation.ledger import LedgerClient, LedgerPlatform

REFUSAL = 3
"""The commit that stores it, after two tries of the transfer."""


@pytest.fixture
def ledger(engine: Engine) -> Iterator[LedgerPlatform]:
    ledger = LedgerPlatform(engine, seed="late")
    yield ledger
    ledger.platform.drop()


def test_a_transfer_that_is_done_before_its_refusal_is_stored_is_answered_as_made(
    ledger: LedgerPlatform,
) -> None:
    payer, payee, other = ledger.open(opening=300), ledger.open(), ledger.open(opening=200)
    enough = ledger.order(other, payer, 200)
    late = LateCommit(
        ledger.platform.engine.dynamodb(), REFUSAL, {REFUSAL: lambda: ledger.calm.send(enough)}
    )
    order = ledger.order(payer, payee, 413)
    answer = LedgerClient(ledger, ledger.platform.store_on(late.client)).send(order)
    assert (late.commits, late.outcome) == (REFUSAL, "done")
    assert (answer.status, answer.replayed) == (201, False)
    assert ledger.calm.send(order) == answer.again()
    assert _balances(ledger, payer, payee) == [87, 413]


def test_a_transfer_that_comes_after_its_stored_refusal_is_not_made(
    ledger: LedgerPlatform,
) -> None:
    payer, payee, other = ledger.open(opening=300), ledger.open(), ledger.open(opening=200)
    enough = ledger.order(other, payer, 200)
    late = LateCommit(ledger.platform.engine.dynamodb(), REFUSAL + 1, {})
    client = LedgerClient(ledger, ledger.platform.store_on(late.client))
    order = ledger.order(payer, payee, 413)
    refused = client.send(order)
    assert (refused.status, late.commits) == (422, REFUSAL)
    ledger.calm.send(enough)
    assert client.send(ledger.order(payer, payee, 1)).status == 201
    assert late.outcome == "refused"
    assert ledger.calm.send(order) == refused.again()
    assert _balances(ledger, payer, payee) == [499, 1]


def test_a_refusal_without_a_claim_is_not_recorded_over_the_transfer(
    ledger: LedgerPlatform,
) -> None:
    payer, payee = ledger.open(opening=300), ledger.open()
    ledger.calm.send(ledger.order(payer, payee, 100))
    transfer = ledger.platform.rows(Transfer)[-1]
    with pytest.raises(StaleWrite, match="the refused transfer exists"):
        ledger.calm.deps.ledger.refuse(transfer, None, token="again", now=ledger.platform.clock())


def _balances(ledger: LedgerPlatform, *accounts: str) -> list[int]:
    rows = ledger.calm.deps.accounts.get_many(list(accounts), UNRESTRICTED)
    return [row.balance for row in rows]
