"""Lockout by refused transfers of a customer: recorded refusals count, and the third one locks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from runtime.core.errors import Locked, NotFound
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.customers.models import Customer
from runtime.http.responses import StoredAnswer
from runtime.ledger.accounts.account_lifecycle import unlock_account
from runtime.ledger.accounts.models import PROFILE_SHARD, Account
from runtime.ledger.entries.models import Entry
from runtime.ledger.transfers.models import Transfer
from tests.support.engines.faults import Fault, Faults, ProcessKilled, at_commit
from tests.support.http import OPERATOR, token_of
from tests.support.oracles.ledger import legs_in
from tests.support.platform import at_once
from tests.support.simulation.ledger import LedgerClient, LedgerPlatform, Order
from tests.support.stages.running_stage import Stage

HALF_AN_HOUR = 1_800
RICH = 1_000


@pytest.fixture
def ledger(engine: Any) -> Iterator[LedgerPlatform]:
    ledger = LedgerPlatform(engine, seed="lock-out")
    yield ledger
    ledger.platform.drop()


class Payer:
    """A customer with a funded account and an empty one."""

    def __init__(self, ledger: LedgerPlatform) -> None:
        self.ledger, self.platform = ledger, ledger.platform
        self.id = self.platform.customer(ledger.merchant)
        self.rich, self.empty = ledger.open(opening=RICH), ledger.open()

    def order(self, source: str, target: str, amount: int = 1, **more: Any) -> Order:
        return self.ledger.order(source, target, amount, customer_id=self.id, **more)

    def send(self, order: Order, client: LedgerClient | None = None) -> StoredAnswer:
        answer = (client or self.ledger.calm).send(order)
        document = json.loads(answer.body)
        if answer.status == 201 and document["status"] == "processed":
            self.ledger.model.transfer(document["id"], legs_in(document))
        elif answer.status == 201:
            self.ledger.model.hold(document["id"], legs_in(document), document["expires_at"])
        return answer

    def fail(self, times: int) -> None:
        for _ in range(times):
            answer = self.send(self.order(self.empty, self.rich, 10 * RICH))
            assert json.loads(answer.body)["code"] == "insufficient_funds"

    @property
    def row(self) -> Customer:
        (row,) = self.platform.rows(Customer)
        return row

    @property
    def standing(self) -> tuple[int, bool]:
        """Consecutive failures, and whether the customer is locked."""
        until = self.row.locked_until
        now = to_timestamp(self.platform.clock())
        return self.row.failed_attempts, until is not None and until > now

    def locked_until(self, account_id: str) -> str | None:
        (row,) = (
            row
            for row in self.platform.rows(Account)
            if (row.id, row.shard) == (account_id, PROFILE_SHARD)
        )
        return row.locked_until


@pytest.fixture
def payer(ledger: LedgerPlatform) -> Payer:
    return Payer(ledger)


# ------------------------------------------------------------ what counts


def test_the_third_refusal_locks_the_customer_and_the_source_account(
    ledger: LedgerPlatform, payer: Payer
) -> None:
    payer.fail(2)
    assert payer.standing == (2, False)
    assert payer.locked_until(payer.empty) is None
    payer.fail(1)
    last = max(ledger.platform.rows(Transfer), key=lambda row: row.id)
    until = to_timestamp(to_datetime(last.created_at) + timedelta(seconds=HALF_AN_HOUR))
    assert payer.standing == (3, True)
    assert payer.row.locked_until == payer.locked_until(payer.empty) == until
    assert payer.locked_until(payer.rich) is None, "the destination is not locked"
    assert (payer.row.cause, payer.row.version) == (last.id, 4)
    with pytest.raises(Locked, match=f"Customer {payer.id} is locked until {until}"):
        payer.send(payer.order(payer.rich, payer.empty))
    assert payer.send(ledger.order(payer.rich, payer.empty, 10)).status == 201, "it may be paid"
    with pytest.raises(Locked, match=f"Account {payer.empty} is locked until {until}"):
        payer.send(ledger.order(payer.empty, payer.rich, 1))
    assert payer.standing == (3, True), "a refusal because of a lock does not count"
    ledger.must_balance()


def test_locking_an_account_adds_a_version_with_an_entry_of_zero(
    ledger: LedgerPlatform, payer: Payer
) -> None:
    payer.fail(3)
    ledger.must_balance()
    (row,) = (row for row in ledger.platform.rows(Account) if row.account_id == payer.empty)
    (entry,) = (
        entry
        for entry in ledger.platform.rows(Entry)
        if entry.account_id == payer.empty and entry.sequence.endswith("2")
    )
    assert (row.version, row.balance) == (2, 0)
    assert (entry.amount, entry.balance_after, entry.transfer_id) == (0, 0, None)
    assert entry.operation_id == row.last_operation_id
    assert row.cause == row.request_id


@pytest.mark.parametrize("reason", ["insufficient_funds", "inactive_account", "currency_mismatch"])
def test_refusals_for_funds_status_and_currency_count(
    ledger: LedgerPlatform, payer: Payer, reason: str
) -> None:
    yen = ledger.open("JPY")
    closed = ledger.open()
    ledger.calm.set_active(closed, active=False)
    orders = {
        "insufficient_funds": lambda: payer.order(payer.rich, payer.empty, RICH + 1),
        "inactive_account": lambda: payer.order(payer.rich, closed),
        "currency_mismatch": lambda: payer.order(payer.rich, yen),
    }
    for _ in range(3):
        answer = payer.send(orders[reason]())
        assert json.loads(answer.body)["code"] == reason
    assert payer.standing == (3, True)
    assert payer.locked_until(payer.rich) is not None
    ledger.must_balance()


def test_refusals_that_are_not_recorded_do_not_count(ledger: LedgerPlatform, payer: Payer) -> None:
    for _ in range(4):
        with pytest.raises(NotFound):
            payer.send(payer.order(payer.rich, "acc_unknown"))
        tried = payer.order(payer.empty, payer.rich, dry_run=True)
        with pytest.raises(Exception, match="Insufficient funds"):
            ledger.calm.send(tried)
        assert ledger.calm.send(ledger.order(payer.empty, payer.rich, 1)).status == 422
    assert payer.standing == (0, False)
    assert payer.row.version == 1


def test_a_repeated_refusal_counts_once(payer: Payer) -> None:
    order = payer.order(payer.empty, payer.rich)
    first = payer.send(order)
    for _ in range(4):
        assert payer.send(order) == first.again()
    assert payer.standing == (1, False)


def test_a_success_resets_the_count_in_the_same_transaction(
    ledger: LedgerPlatform, payer: Payer
) -> None:
    usage = ledger.calm.store.usage

    def trips(order: Order) -> int:
        usage.restart()
        assert payer.send(order).status == 201
        return usage.counts()["round_trips"]

    assert trips(payer.order(payer.rich, payer.empty)) == 1
    assert payer.row.version == 1
    assert payer.send(payer.order(payer.empty, payer.rich, 99)).status == 422
    assert trips(payer.order(payer.rich, payer.empty)) == 2, "the first attempt finds the failures"
    assert payer.standing == (0, False)
    assert payer.row.version == 3
    assert trips(payer.order(payer.rich, payer.empty)) == 1
    assert payer.row.version == 3
    ledger.must_balance()


def test_a_hold_counts_like_a_transfer_and_can_be_resolved_while_locked(
    ledger: LedgerPlatform, payer: Payer
) -> None:
    held = payer.send(payer.order(payer.rich, payer.empty, 40, hold=True))
    hold_id = json.loads(held.body)["id"]
    payer.fail(2)
    assert payer.send(payer.order(payer.rich, payer.empty, 1, hold=True)).status == 201
    assert payer.standing == (0, False)
    for _ in range(3):
        answer = payer.send(payer.order(payer.rich, payer.empty, RICH, hold=True))
        assert answer.status == 422
    assert payer.standing == (3, True)
    assert payer.locked_until(payer.rich) is not None
    posted = ledger.calm.send(ledger.post_order(hold_id))
    assert posted.status == 200
    ledger.model.post(hold_id, 40)
    ledger.must_balance()


def test_a_dry_run_for_a_customer_with_failures_matches_the_transfer(
    payer: Payer,
) -> None:
    payer.fail(2)
    tried = payer.ledger.calm.send(payer.order(payer.rich, payer.empty, dry_run=True))
    assert tried.status == 201
    assert payer.standing == (2, False)


def test_all_source_accounts_are_locked_except_hot_accounts(
    ledger: LedgerPlatform, payer: Payer
) -> None:
    folded, poor = ledger.open(folded=True), ledger.open()
    legs = [
        {"from_account_id": payer.empty, "to_account_id": payer.rich, "amount": 5},
        {"from_account_id": poor, "to_account_id": payer.rich, "amount": 5},
        {"from_account_id": folded, "to_account_id": payer.rich, "amount": 5},
    ]
    for _ in range(3):
        assert payer.send(payer.order("", "", legs=legs)).status == 422
    assert payer.standing == (3, True)
    assert payer.locked_until(payer.empty) == payer.locked_until(poor) == payer.row.locked_until
    assert payer.locked_until(folded) is payer.locked_until(payer.rich) is None
    ledger.must_balance()


def test_an_existing_account_lock_is_not_extended(ledger: LedgerPlatform, payer: Payer) -> None:
    payer.fail(3)
    first = payer.locked_until(payer.empty)
    other = ledger.platform.customer(ledger.merchant, "other@example.com")
    for _ in range(3):
        legs = {"currency": "USD", "customer_id": other}
        order = ledger.order(payer.rich, payer.empty, RICH + 1, **legs)
        assert ledger.calm.send(order).status == 422
    with pytest.raises(Locked):
        ledger.calm.send(ledger.order(payer.empty, payer.rich, 1, customer_id=other))
    assert payer.locked_until(payer.empty) == first
    assert payer.locked_until(payer.rich) is not None
    ledger.must_balance()


def test_a_lock_expires_and_operators_can_remove_it(ledger: LedgerPlatform, payer: Payer) -> None:
    payer.fail(3)
    payer.send(ledger.order(payer.rich, payer.empty, 100))
    call = ledger.call({}, None, f"/v1/accounts/{payer.empty}/unlock")
    unlock_account(payer.empty, call, ledger.calm.account_dependencies)
    assert payer.send(ledger.order(payer.empty, payer.rich, 1)).status == 201
    ledger.platform.clock.advance(HALF_AN_HOUR)
    assert payer.send(payer.order(payer.empty, payer.rich)).status == 201
    assert payer.standing == (0, False)
    assert payer.row.locked_until is None
    ledger.must_balance()


def test_payments_and_transfers_are_counted_together(ledger: LedgerPlatform, payer: Payer) -> None:
    for _ in range(2):
        declined = ledger.platform.pay(
            ledger.merchant, customer_id=payer.id, payment_method="tok_declined"
        )
        assert declined.status == 402
    payer.fail(1)
    assert payer.standing == (3, True)
    assert payer.locked_until(payer.empty) is not None
    with pytest.raises(Locked):
        ledger.platform.pay(ledger.merchant, customer_id=payer.id)


# ------------------------------------------------------------ concurrency and faults


def test_concurrent_refusals_are_all_counted_and_lock_once(
    ledger: LedgerPlatform, payer: Payer
) -> None:
    clients = [ledger.client(f"client-{n}") for n in range(10)]
    sends = [c.prepare(payer.order(payer.empty, payer.rich)) for c in clients]
    answers = at_once(*sends)
    refused = [each for each in answers if isinstance(each, StoredAnswer)]
    locked = [each for each in answers if isinstance(each, Locked)]
    assert len(refused) + len(locked) == 10
    assert {each.status for each in refused} == {422}
    assert payer.standing == (len(refused), True)
    assert payer.row.version == 1 + len(refused)
    (account,) = (row for row in ledger.platform.rows(Account) if row.account_id == payer.empty)
    assert (account.version, account.locked_until) == (2, payer.row.locked_until)
    ledger.must_balance()


FIRST_REFUSED, FIRST_RECORD, RECORD = 1, 2, 3
"""Commits of the refusal that locks: the first attempt to record it only counts it."""


@pytest.mark.parametrize("commit", [FIRST_REFUSED, FIRST_RECORD, RECORD])
@pytest.mark.parametrize(
    "fault", [Fault.ANSWER_LOST, Fault.CONFLICT, Fault.KILLED_BEFORE, Fault.KILLED_AFTER]
)
def test_a_refusal_is_counted_once_whatever_call_fails(
    ledger: LedgerPlatform, payer: Payer, commit: int, fault: Fault
) -> None:
    payer.fail(2)
    client = ledger.client_with(Faults(at_commit(commit, fault)))
    order = payer.order(payer.empty, payer.rich)
    try:
        payer.send(order, client)
    except ProcessKilled:
        recorded = (commit, fault) == (RECORD, Fault.KILLED_AFTER)
        assert payer.standing == ((3, True) if recorded else (2, False))
    assert payer.send(order).status == 422
    assert payer.standing == (3, True)
    assert payer.row.version == 4
    ledger.must_balance()


@pytest.mark.parametrize("commit", [1, 2])
def test_a_success_after_failures_moves_money_once_whatever_call_fails(
    ledger: LedgerPlatform, payer: Payer, commit: int
) -> None:
    for fault in (Fault.ANSWER_LOST, Fault.KILLED_BEFORE, Fault.KILLED_AFTER):
        payer.fail(1)
        client = ledger.client_with(Faults(at_commit(commit, fault)))
        order = payer.order(payer.rich, payer.empty, 10)
        try:
            payer.send(order, client)
        except ProcessKilled:
            payer.send(order)
        assert payer.standing == (0, False)
    ledger.must_balance()


# ------------------------------------------------------------ through the functions


def test_a_locked_customer_and_account_get_423_until_an_operator_unlocks_them(
    stage: Stage,
) -> None:
    shop: dict[str, Any] = stage.shop()
    who = token_of(shop["id"])

    def post(path: str, body: Any, who: Any = who) -> Any:
        headers = {"idempotency-key": uuid.uuid4().hex}
        return stage.api("POST", path, body, headers=headers, authorizer=who)

    person = {"name": "Jane", "email": "jane@example.com"}
    customer = post("/v1/customers", person).body["id"]
    wallet = {"account_type": "wallet", "currency": "USD"}
    poor, other = (post("/v1/accounts", wallet).body["id"] for _ in range(2))

    def transfer(**more: Any) -> Any:
        body = {"from_account_id": poor, "to_account_id": other, "amount": 5, "currency": "USD"}
        return post("/v1/transfers", {**body, **more})

    refusals = [transfer(customer_id=customer) for _ in range(3)]
    assert [each.body["code"] for each in refusals] == ["insufficient_funds"] * 3
    reported = transfer(customer_id=customer)
    assert (reported.status, reported.body["code"], reported.body["param"]) == (
        423,
        "locked",
        "customer_id",
    )
    reported = transfer()
    assert (reported.status, reported.body["param"]) == (423, "from_account_id")
    paths = (f"/v1/customers/{customer}", f"/v1/accounts/{poor}")
    seen = [stage.api("GET", path, authorizer=who).body["locked_until"] for path in paths]
    assert seen[0] == seen[1] is not None
    for path in paths:
        assert post(f"{path}/unlock", {}, OPERATOR).body["locked_until"] is None
    assert transfer(customer_id=customer).body["code"] == "insufficient_funds"
