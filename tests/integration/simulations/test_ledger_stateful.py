"""Any sequence of requests has the same results as a ledger in plain dictionaries."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runtime.core.errors import NotFound, PlatformError
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_timestamp
from runtime.http.responses import StoredAnswer
from tests.support.engines.engine import Engine
from tests.support.oracles.ledger import legs_in
from tests.support.oracles.ledger_model import Legs, Refused
from tests.support.simulation.ledger import LedgerPlatform, Order

EXAMPLES, STEPS = 8, 30
PLACES = 5
"""Two wallets with money, one with credit, one empty, one hot; the last in another currency."""

places = st.integers(0, PLACES - 1)
amounts = st.one_of(st.integers(1, 60), st.integers(1, 2_000))
pairs = st.tuples(places, places).filter(lambda pair: pair[0] != pair[1])
legs_of_many = st.lists(st.tuples(pairs, amounts), min_size=2, max_size=4)


class LedgerMachine(RuleBasedStateMachine):
    """Every rule calls the services and the model, and both must agree."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.ledger = LedgerPlatform(self.engine, seed="stateful")
        self.model = self.ledger.model
        self.names: list[str] = []
        self.foreign = ""
        self.holds: list[str] = []
        self.reported: list[tuple[Order, StoredAnswer]] = []

    @initialize()
    def open_accounts(self) -> None:
        opened = self.ledger.open
        self.names = [opened(opening=1_000), opened(opening=100), opened(credit=200), opened()]
        self.names.append(opened(folded=True))
        self.foreign = opened("JPY", 500)

    # ------------------------------------------------------------ rules

    @rule(pair=pairs, amount=amounts, hold=st.booleans())
    def move(self, pair: tuple[int, int], amount: int, hold: bool) -> None:
        source, target = (self.names[place] for place in pair)
        self._begin(self.ledger.order(source, target, amount, **_holding(hold)), hold)

    @rule(several=legs_of_many, hold=st.booleans())
    def move_several(self, several: list[tuple[tuple[int, int], int]], hold: bool) -> None:
        legs = [
            {
                "from_account_id": self.names[source],
                "to_account_id": self.names[target],
                "amount": amount,
            }
            for (source, target), amount in several
        ]
        self._begin(self.ledger.order(legs=legs, **_holding(hold)), hold)

    @rule(place=places, amount=amounts)
    def move_to_other_money(self, place: int, amount: int) -> None:
        self._begin(self.ledger.order(self.names[place], self.foreign, amount), False)

    @rule(place=places)
    def move_to_an_unknown_account(self, place: int) -> None:
        with pytest.raises(NotFound):
            self.ledger.calm.send(self.ledger.order(self.names[place], "acc_unknown", 1))

    @rule(pair=pairs, amount=amounts)
    def try_out(self, pair: tuple[int, int], amount: int) -> None:
        source, target = (self.names[place] for place in pair)
        order = self.ledger.order(source, target, amount, dry_run=True)
        verdict = self._verdict([(source, target, amount)])
        assert _asked(self.ledger.calm.prepare(order))[0] == verdict

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def post(self, data: st.DataObject) -> None:
        hold_id = data.draw(st.sampled_from(self.holds))
        hold = self.model.transfers[hold_id]
        total = sum(amount for _, _, amount in hold.legs)
        part = data.draw(st.one_of(st.none(), st.integers(1, total + 2)))
        order = self.ledger.post_order(hold_id, part)
        wanted = total if part is None else part

        def judged() -> None:
            if wanted > total:
                raise Refused("exceeds_hold")
            if wanted < total and len(hold.legs) > 1:
                raise Refused("invalid_value")
            self.model.post(hold_id, wanted)

        self._end(order, hold_id, judged)

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        hold_id = data.draw(st.sampled_from(self.holds))
        order = self.ledger.cancel_order(hold_id)
        self._end(order, hold_id, lambda: self.model.release(hold_id, "canceled"))

    @rule(seconds=st.sampled_from([1, 29, 31]))
    def let_time_pass(self, seconds: int) -> None:
        self.ledger.platform.clock.advance(seconds)

    @rule()
    def expire(self) -> None:
        at = to_timestamp(self.ledger.platform.clock())
        report = self.ledger.calm.expire()
        due = [
            name
            for name, hold in self.model.transfers.items()
            if hold.state == "pending" and hold.expires_at <= at
        ]
        for name in due:
            self.model.release(name, "expired")
        assert (report.expired, report.failed) == (len(due), 0)

    @rule(place=places, active=st.booleans())
    def switch(self, place: int, active: bool) -> None:
        name = self.names[place]
        self.ledger.calm.set_active(name, active)
        self.model.accounts[name].active = active
        # A hot account's status may be cached for seconds; here it is known at once.
        self.ledger.calm.forget_folded()

    @rule()
    def project(self) -> None:
        """A guarded debit of a hot account can use everything projected so far."""
        self.ledger.poller.drain()

    @precondition(lambda self: self.reported)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        order, answer = data.draw(st.sampled_from(self.reported))
        assert self.ledger.calm.send(order) == answer.again()

    # ------------------------------------------------------------ both sides

    def _begin(self, order: Order, hold: bool) -> None:
        self.ledger.poller.drain()  # so that the model knows the spendable balance of a hot account
        legs = legs_in({"legs": [order.body]} if "legs" not in order.body else order.body)
        verdict = self._verdict(legs)
        answer = self.ledger.calm.send(order)
        document = json.loads(answer.body)
        self.reported.append((order, answer))
        assert (answer.status, document.get("code")) == (422 if verdict else 201, verdict)
        if verdict is None and hold:
            self.model.hold(document["id"], legs, document["expires_at"])
            self.holds.append(document["id"])
        elif verdict is None:
            self.model.transfer(document["id"], legs)

    def _verdict(self, legs: Legs) -> str | None:
        self.ledger.poller.drain()
        try:
            self.model.judge(legs, "USD")
        except Refused as refused:
            return refused.code
        return None

    def _end(self, order: Order, hold_id: str, judged: Callable[[], None]) -> None:
        asked = self.ledger.calm.prepare(order)
        at = to_timestamp(self.ledger.platform.clock() - timedelta(milliseconds=1))
        refused = None
        try:
            self.model.must_be_open(hold_id, at)
            judged()
        except Refused as refusal:
            refused = refusal.code
        code, answer = _asked(asked)
        assert code == refused
        if answer is not None:
            self.reported.append((order, answer))

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        if not self.names:
            return
        rows = self.ledger.calm.deps.accounts.get_many(self.names, UNRESTRICTED)
        assert [row.id for row in rows] == self.names
        for row in rows:
            wanted = self.model.accounts[row.id]
            assert (row.held_out, row.held_in) == (wanted.held_out, wanted.held_in), row.id
            assert row.status == ("active" if wanted.active else "inactive")
            assert row.spendable == row.balance - row.held_out + row.credit_limit
            if (
                wanted.folded
            ):  # the balances of its shards are spendable too: row 00 may be below zero
                rows = self.ledger.calm.deps.shard_rows.rows_of(row.id)
                assert row.spendable + sum(each.balance for each in rows[1:]) >= 0
            else:
                assert (row.balance, row.spendable) == (wanted.balance, wanted.spendable)
                assert row.spendable >= 0

    def teardown(self) -> None:
        try:
            if self.names:
                self.ledger.must_balance()
        finally:
            self.ledger.platform.drop()


def test_any_sequence_of_requests_has_the_results_of_a_ledger_in_plain_dictionaries(
    engine: Engine,
) -> None:
    LedgerMachine.engine = engine
    logging.disable(logging.CRITICAL)
    try:
        run_state_machine_as_test(
            LedgerMachine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        logging.disable(logging.NOTSET)


def _asked(ask: Callable[[], StoredAnswer]) -> tuple[str | None, StoredAnswer | None]:
    """The code of a refusal, None for a success; and the answer, if it is stored."""
    try:
        answer = ask()
    except PlatformError as refusal:
        return refusal.code, None
    code: str | None = json.loads(answer.body).get("code")
    assert (code is None) == (answer.status in (200, 201))
    return code, answer


def _holding(hold: bool) -> dict[str, Any]:
    return {"hold": True, "expires_in_seconds": 30} if hold else {}
