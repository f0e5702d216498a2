"""Crashes, lost answers and delays at every step of a payment; never two charges."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from runtime.core.errors import IdempotencyInFlight, NotFound, Unavailable
from runtime.core.timestamps import to_datetime
from runtime.idempotency.models import ClaimState
from runtime.payments.models import PaymentStatus
from runtime.payments.resolution.resolver import resolve_due
from tests.support.engines.faults import (
    TRANSIENT,
    Fault,
    Faults,
    ProcessKilled,
    at_commit,
    every_commit,
)
from tests.support.platform import Hooked, Platform, at_once

INTENT, CHARGE, OUTCOME = 1, 2, 3
COMMITS = (INTENT, CHARGE, OUTCOME)
_TOKENS = {"tok_approved": 201, "tok_declined": 402}


@pytest.mark.parametrize("token", list(_TOKENS))
@pytest.mark.parametrize("when", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
@pytest.mark.parametrize("commit", COMMITS)
def test_a_process_killed_at_any_commit_never_charges_twice_and_is_finished_by_the_resolver(
    platform: Platform, commit: int, when: Fault, token: str
) -> None:
    merchant = platform.merchant()
    faults = Faults(at_commit(commit, when))
    store = platform.store_on(faults.attach(platform.engine.dynamodb()))
    with pytest.raises(ProcessKilled):
        platform.pay(merchant, "k", deps=platform.deps(store), payment_method=token)
    begun = (commit, when) != (INTENT, Fault.KILLED_BEFORE)
    asked = commit == OUTCOME or (commit, when) == (CHARGE, Fault.KILLED_AFTER)
    if begun and (commit, when) != (OUTCOME, Fault.KILLED_AFTER):
        with pytest.raises(IdempotencyInFlight):
            platform.pay(merchant, "k", payment_method=token)
    platform.resolve_until_quiet()
    _must_be_finished(platform, begun=begun)
    expected = _TOKENS[token] if asked or not begun else 402
    answer = platform.pay(merchant, "k", payment_method=token)
    assert (answer.status, answer.replayed) == (expected, begun)
    assert len(platform.charges()) == (1 if expected == 201 else 0)
    assert platform.pay(merchant, "k", payment_method=token) == answer.again()
    platform.must_agree()


@pytest.mark.parametrize("fault", TRANSIENT)
@pytest.mark.parametrize("commit", COMMITS)
def test_a_transient_fault_at_any_commit_is_hidden_from_the_caller(
    platform: Platform, commit: int, fault: Fault
) -> None:
    merchant = platform.merchant()
    faults = Faults(at_commit(commit, fault))
    store = platform.store_on(faults.attach(platform.engine.dynamodb()))
    answer = platform.pay(merchant, "k", deps=platform.deps(store))
    assert [each[2] for each in faults.injected] == [fault]
    assert (answer.status, answer.replayed) == (201, False)
    assert platform.payment().status is PaymentStatus.SUCCEEDED
    assert platform.pay(merchant, "k") == answer.again()
    platform.must_agree()


@pytest.mark.parametrize("commit", COMMITS)
def test_lost_answers_time_out_as_busy_and_the_resolver_finishes_the_payment(
    platform: Platform, commit: int
) -> None:
    merchant = platform.merchant()
    seconds = iter([60.0, 60.0])
    faults = Faults(
        lambda op, n: Fault.ANSWER_LOST if op == "TransactWriteItems" and n >= commit else None
    )
    store = platform.store_on(
        faults.attach(platform.engine.dynamodb()), remaining_seconds=lambda: next(seconds, 0.0)
    )
    with pytest.raises(Unavailable) as busy:
        platform.pay(merchant, "k", deps=platform.deps(store))
    assert busy.value.retry_after_seconds == 1
    platform.resolve_until_quiet()
    _must_be_finished(platform, begun=True)
    answer = platform.pay(merchant, "k")
    assert answer.status == (402 if commit == INTENT else 201)
    assert len(platform.charges()) == (0 if commit == INTENT else 1)
    platform.must_agree()


def test_a_database_that_stays_busy_before_the_intent_stores_nothing(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    for fault in (Fault.CONFLICT, Fault.THROTTLED, Fault.UNREACHED):
        faults = Faults(every_commit(fault))
        seconds = iter([60.0, 60.0])
        store = platform.store_on(
            faults.attach(platform.engine.dynamodb()),
            remaining_seconds=lambda seconds=seconds: next(seconds, 0.0),
        )
        with pytest.raises(Unavailable):
            platform.pay(merchant, "k", deps=platform.deps(store))
    assert platform.payments() == []
    assert platform.claims() == []
    assert platform.pay(merchant, "k").status == 201


def test_a_crash_between_the_charge_and_its_outcome_is_resolved_with_that_charge(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    deps = platform.deps(processor=Hooked(platform.sandbox(), after=_die))
    with pytest.raises(ProcessKilled):
        platform.pay(merchant, "k", deps=deps, amount=12345)
    assert platform.payment().status is PaymentStatus.PROCESSING
    assert platform.resolve().due == 0, "the lease has not expired"
    platform.resolve_until_quiet()
    assert json.loads(platform.pay(merchant, "k", amount=12345).body)["amount_captured"] == 12345
    assert len(platform.charges()) == 1
    platform.must_agree()


def test_a_slow_request_that_returns_after_the_resolver_is_applied_once(
    platform: Platform,
) -> None:
    merchant = platform.merchant()

    def the_resolver_overtakes() -> None:
        platform.resolve_until_quiet()
        assert platform.payment().status is PaymentStatus.SUCCEEDED

    deps = platform.deps(processor=Hooked(platform.sandbox(), after=the_resolver_overtakes))
    answer = platform.pay(merchant, "k", deps=deps)
    assert answer.status == 201
    assert platform.payment().version == 3, "intent, lease, outcome"
    assert len(platform.payment().transaction_ids) == 1
    assert len(platform.charges()) == 1
    assert platform.pay(merchant, "k").body == answer.body
    platform.must_agree()


def test_a_charge_that_arrives_after_its_reference_was_forbidden_is_refused_there(
    platform: Platform,
) -> None:
    merchant = platform.merchant()

    def the_resolver_calls_it_off() -> None:
        platform.resolve_until_quiet()
        assert platform.payment().status is PaymentStatus.FAILED

    deps = platform.deps(processor=Hooked(platform.sandbox(), before=the_resolver_calls_it_off))
    answer = platform.pay(merchant, "k", deps=deps)
    assert answer.status == 402
    assert platform.charges() == []
    assert platform.pay(merchant, "k").status == 402
    platform.must_agree()


def test_a_late_outcome_during_the_resolvers_lease_leaves_the_payment_to_it(
    platform: Platform,
) -> None:
    merchant = platform.merchant()

    def the_resolver_dies_with_its_lease() -> None:
        platform.clock.advance(61)
        faults = Faults(at_commit(2, Fault.KILLED_BEFORE))
        store = platform.store_on(faults.attach(platform.engine.dynamodb()))
        with pytest.raises(ProcessKilled):
            platform.resolve(store)

    deps = platform.deps(
        processor=Hooked(platform.sandbox(), after=the_resolver_dies_with_its_lease)
    )
    answer = platform.pay(merchant, "k", deps=deps)
    assert answer.status == 202
    platform.resolve_until_quiet()
    assert platform.pay(merchant, "k").status == 201
    platform.must_agree()


@pytest.mark.parametrize("when", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
@pytest.mark.parametrize("commit", [1, 2, 3])
@pytest.mark.parametrize("charged", [True, False])
def test_a_resolver_killed_at_any_commit_is_replaced_by_the_next_run(
    platform: Platform, commit: int, when: Fault, charged: bool
) -> None:
    merchant = platform.merchant()
    token = "tok_timeout" if charged else "tok_timeout_not_charged"
    assert platform.pay(merchant, "k", payment_method=token).status == 202
    platform.clock.advance(600)
    faults = Faults(at_commit(commit, when))
    store = platform.store_on(faults.attach(platform.engine.dynamodb()))
    try:
        platform.resolve(store)
    except ProcessKilled:
        assert faults.injected
    else:
        assert (commit, charged) == (3, True), (
            "the lease and the outcome; otherwise also forbidding the charge"
        )
    platform.resolve_until_quiet()
    _must_be_finished(platform, begun=True)
    answer = platform.pay(merchant, "k", payment_method=token)
    assert answer.status == (201 if charged else 402)
    assert len(platform.charges()) == (1 if charged else 0)
    platform.must_agree()


def test_two_concurrent_resolver_runs_finish_each_payment_once(platform: Platform) -> None:
    merchant = platform.merchant()
    for n in range(12):
        platform.pay(merchant, f"k{n}", payment_method="tok_timeout")
    reports = at_once(*[platform.resolve] * 4)
    assert sum(report.resolved for report in reports) == 12  # type: ignore[union-attr]
    assert {row.version for row in platform.payments()} == {4}, "intent, unknown, lease, outcome"
    platform.must_agree()


@pytest.mark.parametrize("token", ["tok_timeout", "tok_error"])
def test_a_charge_with_a_lost_answer_is_unknown_until_the_resolver_asks(
    platform: Platform, token: str
) -> None:
    merchant = platform.merchant()
    first = platform.pay(merchant, "k", payment_method=token)
    assert (first.status, json.loads(first.body)["status"]) == (202, "unknown")
    replay = platform.pay(merchant, "k", payment_method=token)
    assert (replay.status, replay.replayed) == (202, True)
    assert platform.resolve().resolved == 1, "the resolver may take it at once"
    final = platform.pay(merchant, "k", payment_method=token)
    assert (final.status, json.loads(final.body)["status"]) == (201, "succeeded")
    assert platform.pay(merchant, "k", payment_method=token) == final
    platform.must_agree()


def test_a_charge_that_never_arrived_fails_only_after_lease_timeout_and_margin(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    token = "tok_timeout_not_charged"
    assert platform.pay(merchant, "k", payment_method=token).status == 202
    longest = timedelta(
        seconds=platform.timing.intent_lease_seconds
        + platform.timing.processor_timeout_seconds
        + platform.timing.resolver_margin_seconds
    )
    waited = 0
    while platform.payment().status is PaymentStatus.UNKNOWN:
        final_before = platform.clock() - to_datetime(platform.payment().created_at)
        platform.clock.advance(10)
        platform.resolve()
        waited += 1
        assert waited < 30
    assert final_before + timedelta(seconds=11) >= longest
    assert (
        to_datetime(platform.payment().updated_at) - to_datetime(platform.payment().created_at)
        >= longest
    )
    answer = platform.pay(merchant, "k", payment_method=token)
    reported = json.loads(answer.body)
    assert (answer.status, reported["decline_code"]) == (402, "processor_unreachable")
    assert platform.charges() == []
    platform.must_agree()


def test_a_payment_that_cannot_be_resolved_does_not_stop_the_others(platform: Platform) -> None:
    merchant, gone = platform.merchant(), platform.merchant()
    platform.pay(gone, "poison", payment_method="tok_timeout")
    for n in range(3):
        platform.pay(merchant, f"k{n}", payment_method="tok_timeout")
    key = {"id": {"S": gone.id}}
    platform.client.delete_item(TableName=platform.tables["merchants"], Key=key)
    platform.clock.advance(120)
    report = platform.resolve()
    assert (report.due, report.resolved, report.failed) == (4, 3, 1)
    stuck = [row for row in platform.payments() if row.merchant_id == gone.id]
    assert [row.status for row in stuck] == [PaymentStatus.UNKNOWN]


def test_the_resolver_stops_in_time_and_continues_in_the_next_run(platform: Platform) -> None:
    merchant = platform.merchant()
    for n in range(4):
        platform.pay(merchant, f"k{n}", payment_method="tok_timeout")
    seconds = iter([300.0, 300.0])
    store = platform.store_on(platform.client, remaining_seconds=lambda: next(seconds, 1.0))
    report = resolve_due(platform.deps(), store, "run", platform.operational_alerts())
    assert (report.stopped_early, report.resolved) == (True, 2)
    assert platform.resolve().resolved == 2


def test_a_payment_for_another_merchants_customer_is_not_found_and_charges_nothing(
    platform: Platform,
) -> None:
    merchant, other = platform.merchant(), platform.merchant()
    foreign = platform.customer(other)
    for customer in (foreign, "cus_unknown"):
        with pytest.raises(NotFound) as refused:
            platform.pay(merchant, "k", customer_id=customer)
        assert refused.value.param == "customer_id"
    assert (platform.payments(), platform.charges(), platform.claims()) == ([], [], [])


def _must_be_finished(platform: Platform, *, begun: bool) -> None:
    if not begun:
        assert (platform.payments(), platform.claims()) == ([], [])
        return
    payment = platform.payment()
    (claim,) = platform.claims()
    assert payment.status in (PaymentStatus.SUCCEEDED, PaymentStatus.FAILED)
    assert (payment.open_bucket, payment.next_action_at, payment.lease_owner) == (None, None, None)
    assert (claim.state, claim.resource_id) == (ClaimState.COMPLETED, payment.id)


def _die() -> None:
    raise ProcessKilled("between the charge and its outcome")
