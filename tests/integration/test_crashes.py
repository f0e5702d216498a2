"""Death, silence and delay at every step of a payment; then the resolver. Never two charges."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from runtime.domain.instants import to_datetime
from runtime.errors import IdempotencyInFlight, NotFound, Unavailable
from runtime.models.idempotency import ClaimState
from runtime.models.payment import PaymentStatus
from runtime.services.payment_resolution import resolve_due
from tests.support.faults import TRANSIENT, Fault, Faults, ProcessKilled, at_commit, every_commit
from tests.support.world import Hooked, World, at_once

INTENT, CHARGE, OUTCOME = 1, 2, 3
COMMITS = (INTENT, CHARGE, OUTCOME)
_TOKENS = {"tok_approved": 201, "tok_declined": 402}


@pytest.mark.parametrize("token", list(_TOKENS))
@pytest.mark.parametrize("when", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
@pytest.mark.parametrize("commit", COMMITS)
def test_a_process_killed_at_any_commit_never_charges_twice_and_is_finished_by_the_resolver(
    world: World, commit: int, when: Fault, token: str
) -> None:
    merchant = world.merchant()
    faults = Faults(at_commit(commit, when))
    store = world.store_on(faults.attach(world.engine.dynamodb()))
    with pytest.raises(ProcessKilled):
        world.pay(merchant, "k", desk=world.desk(store), payment_method=token)
    begun = (commit, when) != (INTENT, Fault.KILLED_BEFORE)
    asked = commit == OUTCOME or (commit, when) == (CHARGE, Fault.KILLED_AFTER)
    if begun and (commit, when) != (OUTCOME, Fault.KILLED_AFTER):
        with pytest.raises(IdempotencyInFlight):
            world.pay(merchant, "k", payment_method=token)
    world.resolve_until_quiet()
    _must_be_finished(world, begun=begun)
    expected = _TOKENS[token] if asked or not begun else 402
    answer = world.pay(merchant, "k", payment_method=token)
    assert (answer.status, answer.replayed) == (expected, begun)
    assert len(world.charges()) == (1 if expected == 201 else 0)
    assert world.pay(merchant, "k", payment_method=token) == answer.again()
    world.must_agree()


@pytest.mark.parametrize("fault", TRANSIENT)
@pytest.mark.parametrize("commit", COMMITS)
def test_one_transient_fault_at_any_commit_is_not_seen_by_the_caller(
    world: World, commit: int, fault: Fault
) -> None:
    merchant = world.merchant()
    faults = Faults(at_commit(commit, fault))
    store = world.store_on(faults.attach(world.engine.dynamodb()))
    answer = world.pay(merchant, "k", desk=world.desk(store))
    assert [each[2] for each in faults.injected] == [fault]
    assert (answer.status, answer.replayed) == (201, False)
    assert world.payment().status is PaymentStatus.SUCCEEDED
    assert world.pay(merchant, "k") == answer.again()
    world.must_agree()


@pytest.mark.parametrize("commit", COMMITS)
def test_an_answer_lost_until_time_runs_out_is_told_as_busy_and_finished_by_the_resolver(
    world: World, commit: int
) -> None:
    merchant = world.merchant()
    seconds = iter([60.0, 60.0])
    faults = Faults(
        lambda op, n: Fault.ANSWER_LOST if op == "TransactWriteItems" and n >= commit else None
    )
    store = world.store_on(
        faults.attach(world.engine.dynamodb()), remaining_seconds=lambda: next(seconds, 0.0)
    )
    with pytest.raises(Unavailable) as busy:
        world.pay(merchant, "k", desk=world.desk(store))
    assert busy.value.retry_after_seconds == 1
    world.resolve_until_quiet()
    _must_be_finished(world, begun=True)
    answer = world.pay(merchant, "k")
    assert answer.status == (402 if commit == INTENT else 201)
    assert len(world.charges()) == (0 if commit == INTENT else 1)
    world.must_agree()


def test_a_database_that_stays_busy_before_the_intent_leaves_nothing_behind(world: World) -> None:
    merchant = world.merchant()
    for fault in (Fault.CONFLICT, Fault.THROTTLED, Fault.UNREACHED):
        faults = Faults(every_commit(fault))
        seconds = iter([60.0, 60.0])
        store = world.store_on(
            faults.attach(world.engine.dynamodb()),
            remaining_seconds=lambda seconds=seconds: next(seconds, 0.0),
        )
        with pytest.raises(Unavailable):
            world.pay(merchant, "k", desk=world.desk(store))
    assert world.payments() == []
    assert world.claims() == []
    assert world.pay(merchant, "k").status == 201


def test_a_death_between_the_charge_and_its_outcome_is_resolved_with_the_charge_that_was_made(
    world: World,
) -> None:
    merchant = world.merchant()
    desk = world.desk(processor=Hooked(world.sandbox(), after=_die))
    with pytest.raises(ProcessKilled):
        world.pay(merchant, "k", desk=desk, amount=12345)
    assert world.payment().status is PaymentStatus.PROCESSING
    assert world.resolve().due == 0, "the lease still runs"
    world.resolve_until_quiet()
    assert json.loads(world.pay(merchant, "k", amount=12345).body)["amount_captured"] == 12345
    assert len(world.charges()) == 1
    world.must_agree()


def test_a_slow_request_that_comes_back_after_the_resolver_is_applied_once(world: World) -> None:
    merchant = world.merchant()

    def the_resolver_overtakes() -> None:
        world.resolve_until_quiet()
        assert world.payment().status is PaymentStatus.SUCCEEDED

    desk = world.desk(processor=Hooked(world.sandbox(), after=the_resolver_overtakes))
    answer = world.pay(merchant, "k", desk=desk)
    assert answer.status == 201
    assert world.payment().version == 3, "intent, lease, outcome"
    assert len(world.payment().transaction_ids) == 1
    assert len(world.charges()) == 1
    assert world.pay(merchant, "k").body == answer.body
    world.must_agree()


def test_a_charge_that_arrives_after_its_reference_was_called_off_is_refused_there(
    world: World,
) -> None:
    merchant = world.merchant()

    def the_resolver_calls_it_off() -> None:
        world.resolve_until_quiet()
        assert world.payment().status is PaymentStatus.FAILED

    desk = world.desk(processor=Hooked(world.sandbox(), before=the_resolver_calls_it_off))
    answer = world.pay(merchant, "k", desk=desk)
    assert answer.status == 402
    assert world.charges() == []
    assert world.pay(merchant, "k").status == 402
    world.must_agree()


def test_a_late_outcome_that_meets_the_resolvers_lease_leaves_the_payment_to_it(
    world: World,
) -> None:
    merchant = world.merchant()

    def the_resolver_dies_with_its_lease() -> None:
        world.clock.advance(61)
        faults = Faults(at_commit(2, Fault.KILLED_BEFORE))
        store = world.store_on(faults.attach(world.engine.dynamodb()))
        with pytest.raises(ProcessKilled):
            world.resolve(store)

    desk = world.desk(processor=Hooked(world.sandbox(), after=the_resolver_dies_with_its_lease))
    answer = world.pay(merchant, "k", desk=desk)
    assert answer.status == 202
    world.resolve_until_quiet()
    assert world.pay(merchant, "k").status == 201
    world.must_agree()


@pytest.mark.parametrize("when", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
@pytest.mark.parametrize("commit", [1, 2, 3])
@pytest.mark.parametrize("charged", [True, False])
def test_a_resolver_killed_at_any_commit_is_replaced_by_the_next_run(
    world: World, commit: int, when: Fault, charged: bool
) -> None:
    merchant = world.merchant()
    token = "tok_timeout" if charged else "tok_timeout_not_charged"
    assert world.pay(merchant, "k", payment_method=token).status == 202
    world.clock.advance(600)
    faults = Faults(at_commit(commit, when))
    store = world.store_on(faults.attach(world.engine.dynamodb()))
    try:
        world.resolve(store)
    except ProcessKilled:
        assert faults.injected
    else:
        assert (commit, charged) == (3, True), "lease and outcome are all; else also the call-off"
    world.resolve_until_quiet()
    _must_be_finished(world, begun=True)
    answer = world.pay(merchant, "k", payment_method=token)
    assert answer.status == (201 if charged else 402)
    assert len(world.charges()) == (1 if charged else 0)
    world.must_agree()


def test_two_runs_of_the_resolver_at_once_finish_each_payment_once(world: World) -> None:
    merchant = world.merchant()
    for n in range(12):
        world.pay(merchant, f"k{n}", payment_method="tok_timeout")
    reports = at_once(*[world.resolve] * 4)
    assert sum(report.resolved for report in reports) == 12  # type: ignore[union-attr]
    assert {row.version for row in world.payments()} == {4}, "intent, unknown, lease, outcome"
    world.must_agree()


@pytest.mark.parametrize("token", ["tok_timeout", "tok_error"])
def test_a_charge_whose_answer_was_lost_is_unknown_until_the_resolver_asked(
    world: World, token: str
) -> None:
    merchant = world.merchant()
    first = world.pay(merchant, "k", payment_method=token)
    assert (first.status, json.loads(first.body)["status"]) == (202, "unknown")
    replay = world.pay(merchant, "k", payment_method=token)
    assert (replay.status, replay.replayed) == (202, True)
    assert world.resolve().resolved == 1, "the resolver may take it at once"
    final = world.pay(merchant, "k", payment_method=token)
    assert (final.status, json.loads(final.body)["status"]) == (201, "succeeded")
    assert world.pay(merchant, "k", payment_method=token) == final
    world.must_agree()


def test_a_charge_that_never_arrived_fails_only_after_lease_timeout_and_margin(
    world: World,
) -> None:
    merchant = world.merchant()
    token = "tok_timeout_not_charged"
    assert world.pay(merchant, "k", payment_method=token).status == 202
    longest = timedelta(
        seconds=world.timing.intent_lease_seconds
        + world.timing.processor_timeout_seconds
        + world.timing.resolver_margin_seconds
    )
    waited = 0
    while world.payment().status is PaymentStatus.UNKNOWN:
        final_before = world.clock() - to_datetime(world.payment().created_at)
        world.clock.advance(10)
        world.resolve()
        waited += 1
        assert waited < 30
    assert final_before + timedelta(seconds=11) >= longest
    assert (
        to_datetime(world.payment().updated_at) - to_datetime(world.payment().created_at) >= longest
    )
    answer = world.pay(merchant, "k", payment_method=token)
    told = json.loads(answer.body)
    assert (answer.status, told["decline_code"]) == (402, "processor_unreachable")
    assert world.charges() == []
    world.must_agree()


def test_a_payment_that_cannot_be_resolved_does_not_stop_the_others(world: World) -> None:
    merchant, gone = world.merchant(), world.merchant()
    world.pay(gone, "poison", payment_method="tok_timeout")
    for n in range(3):
        world.pay(merchant, f"k{n}", payment_method="tok_timeout")
    key = {"id": {"S": gone.id}}
    world.client.delete_item(TableName=world.tables["merchants"], Key=key)
    world.clock.advance(120)
    report = world.resolve()
    assert (report.due, report.resolved, report.failed) == (4, 3, 1)
    stuck = [row for row in world.payments() if row.merchant_id == gone.id]
    assert [row.status for row in stuck] == [PaymentStatus.UNKNOWN]


def test_the_resolver_stops_in_time_and_goes_on_in_the_next_run(world: World) -> None:
    merchant = world.merchant()
    for n in range(4):
        world.pay(merchant, f"k{n}", payment_method="tok_timeout")
    seconds = iter([300.0, 300.0])
    store = world.store_on(world.client, remaining_seconds=lambda: next(seconds, 1.0))
    report = resolve_due(world.desk(), store, "run", world.trouble())
    assert (report.stopped_early, report.resolved) == (True, 2)
    assert world.resolve().resolved == 2


def test_a_payment_begun_for_a_customer_of_somebody_else_does_not_exist_and_charges_nothing(
    world: World,
) -> None:
    merchant, other = world.merchant(), world.merchant()
    foreign = world.customer(other)
    for customer in (foreign, "cus_nobody"):
        with pytest.raises(NotFound) as refused:
            world.pay(merchant, "k", customer_id=customer)
        assert refused.value.param == "customer_id"
    assert (world.payments(), world.charges(), world.claims()) == ([], [], [])


def _must_be_finished(world: World, *, begun: bool) -> None:
    if not begun:
        assert (world.payments(), world.claims()) == ([], [])
        return
    payment = world.payment()
    (claim,) = world.claims()
    assert payment.status in (PaymentStatus.SUCCEEDED, PaymentStatus.FAILED)
    assert (payment.open_bucket, payment.next_action_at, payment.lease_owner) == (None, None, None)
    assert (claim.state, claim.resource_id) == (ClaimState.COMPLETED, payment.id)


def _die() -> None:
    raise ProcessKilled("between the charge and its outcome")
