"""Crashes, lost answers and delays at every step of an operation: one effect, one answer."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from runtime.alerts.models import Alert, AlertType
from runtime.core.change_context import UNKNOWN_TOO_OLD
from runtime.core.errors import IdempotencyInFlight, Unavailable
from runtime.core.ids import created_at
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.http.responses import StoredAnswer
from runtime.idempotency.models import ClaimState
from runtime.merchants.models import MerchantProfile
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.operations.rules import EXPIRY_RETRY, LONGEST_RETRY
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.queries import get_payment
from runtime.payments.resolution.resolver import resolve_due
from runtime.payments.transaction_models import Transaction, TransactionStatus
from tests.support.engines.faults import (
    COMMIT,
    TRANSIENT,
    Fault,
    Faults,
    Plan,
    ProcessKilled,
    at_commit,
)
from tests.support.platform import Hooked, Platform
from tests.support.processors.unreliable import Dead, unheard, unreached

INTENT, SANDBOX, OUTCOME = 1, 2, 3
COMMITS = (INTENT, SANDBOX, OUTCOME)
KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
OPERATIONS = {
    "capture": {"capture_method": "manual"},
    "cancel": {"capture_method": "manual"},
    "refund": {},
}
"""The requested operation, and its payment."""


@pytest.fixture
def shop(platform: Platform) -> MerchantProfile:
    return platform.merchant()


def faulty(platform: Platform, plan: Plan, **time_left: Any) -> PaymentDependencies:
    return platform.deps(
        platform.store_on(Faults(plan).attach(platform.engine.dynamodb()), **time_left)
    )


def dying() -> None:
    raise ProcessKilled("around the processor's call")


def operation_of(platform: Platform, payment: str) -> Transaction:
    rows = [row for row in platform.rows(Transaction) if row.payment_id == payment]
    (only,) = [row for row in rows if row.claim_key is not None]
    return only


def must_be_done_once(
    platform: Platform, shop: MerchantProfile, payment: str, what: str
) -> StoredAnswer:
    """After the resolver: one effect at the processor, and the same answer from then on."""
    done_there = [row.charge or row.reference for row in platform.rows(SandboxCharge)]
    assert done_there.count(payment) == 2, "the charge and one operation"
    (row,) = [each for each in platform.payments() if each.id == payment]
    operation = operation_of(platform, payment)
    assert operation.status is TransactionStatus.SUCCEEDED
    assert (operation.open_bucket, operation.lease_owner) == (None, None)
    assert (row.closing_id, row.pending_capture_minor, row.pending_refund_minor) == (None, 0, 0)
    assert {claim.state for claim in platform.claims()} == {ClaimState.COMPLETED}
    answer = platform.operate(shop, payment, what, "k")
    assert (answer.status, answer.replayed) == (200, True)
    assert platform.operate(shop, payment, what, "k") == answer
    assert json.loads(answer.body)["transactions"][1]["id"] == operation.id
    platform.must_agree()
    return answer


# ------------------------------------------------------------ a request crashes


@pytest.mark.parametrize("when", KILLS)
@pytest.mark.parametrize("commit", COMMITS)
def test_a_process_killed_at_any_commit_is_finished_by_the_resolver_with_one_effect(
    platform: Platform, shop: MerchantProfile, commit: int, when: Fault
) -> None:
    for what, body in OPERATIONS.items():
        payment = platform.paid(shop, **body)
        with pytest.raises(ProcessKilled):
            platform.operate(
                shop, payment, what, "k", deps=faulty(platform, at_commit(commit, when))
            )
        platform.must_agree()
        if (commit, when) == (INTENT, Fault.KILLED_BEFORE):
            assert platform.payments()[-1].version == 2, "nothing has begun"
            assert platform.operate(shop, payment, what, "k").status == 200
        elif (commit, when) != (OUTCOME, Fault.KILLED_AFTER):
            with pytest.raises(IdempotencyInFlight):
                platform.operate(shop, payment, what, "k")
            assert platform.resolve().due == 0, "the lease has not expired"
        platform.resolve_until_quiet()
        must_be_done_once(platform, shop, payment, what)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_around_the_processors_call_is_finished_by_the_resolver_with_one_effect(
    platform: Platform, shop: MerchantProfile, moment: str
) -> None:
    deps = platform.deps(processor=Hooked(platform.sandbox(), **{moment: dying}))
    for what, body in OPERATIONS.items():
        payment = platform.paid(shop, **body)
        with pytest.raises(ProcessKilled):
            platform.operate(shop, payment, what, "k", deps=deps)
        assert operation_of(platform, payment).status is TransactionStatus.PENDING
        platform.resolve_until_quiet()
        must_be_done_once(platform, shop, payment, what)


@pytest.mark.parametrize("commit", COMMITS)
def test_a_transient_fault_at_any_commit_is_hidden_from_the_caller(
    platform: Platform, shop: MerchantProfile, commit: int
) -> None:
    for fault, (what, body) in product(TRANSIENT, OPERATIONS.items()):
        payment = platform.paid(shop, **body)
        deps = faulty(platform, at_commit(commit, fault))
        answer = platform.operate(shop, payment, what, "k", deps=deps)
        assert (answer.status, answer.replayed) == (200, False), fault
        assert platform.operate(shop, payment, what, "k") == answer.again()
    platform.must_agree()


@pytest.mark.parametrize("commit", COMMITS)
def test_an_answer_lost_beyond_the_token_lifetime_is_still_recognized(
    platform: Platform, shop: MerchantProfile, commit: int
) -> None:
    def forget_tokens(params: dict[str, object], **_: object) -> dict[str, object]:
        return {**params, "ClientRequestToken": uuid.uuid4().hex}

    called = "provide-client-params.dynamodb.TransactWriteItems"
    for what, body in OPERATIONS.items():
        payment = platform.paid(shop, **body)
        client = Faults(at_commit(commit, Fault.ANSWER_LOST)).attach(platform.engine.dynamodb())
        client.meta.events.register(called, forget_tokens)
        deps = platform.deps(platform.store_on(client))
        answer = platform.operate(shop, payment, what, "k", deps=deps)
        assert (answer.status, answer.replayed) == (200, False)
        assert must_be_done_once(platform, shop, payment, what) == answer.again()


@pytest.mark.parametrize("commit", COMMITS)
def test_lost_answers_time_out_as_busy_and_the_resolver_finishes_the_operation(
    platform: Platform, shop: MerchantProfile, commit: int
) -> None:
    for what, body in OPERATIONS.items():
        payment = platform.paid(shop, **body)
        seconds = iter([60.0, 60.0])
        deps = faulty(
            platform,
            lambda called, n: Fault.ANSWER_LOST if called == COMMIT and n >= commit else None,
            remaining_seconds=lambda seconds=seconds: next(seconds, 0.0),  # type: ignore[misc]
        )
        with pytest.raises(Unavailable):
            platform.operate(shop, payment, what, "k", deps=deps)
        platform.resolve_until_quiet()
        must_be_done_once(platform, shop, payment, what)


def test_a_database_that_is_busy_before_the_intent_stores_nothing(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop)
    before, keys = platform.payment(), len(platform.claims())
    for fault in (Fault.CONFLICT, Fault.THROTTLED, Fault.UNREACHED):
        seconds = iter([60.0, 60.0])
        deps = faulty(
            platform,
            lambda called, _, fault=fault: fault if called == COMMIT else None,  # type: ignore[misc]
            remaining_seconds=lambda seconds=seconds: next(seconds, 0.0),  # type: ignore[misc]
        )
        with pytest.raises(Unavailable):
            platform.operate(shop, payment, "refund", "k", deps=deps)
    assert (platform.payment(), len(platform.claims())) == (before, keys)
    assert platform.operate(shop, payment, "refund", "k").status == 200


# ------------------------------------------------------------ a request is late


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_slow_request_that_returns_after_the_resolver_gets_the_stored_answer(
    platform: Platform, shop: MerchantProfile, moment: str
) -> None:
    hooks = {moment: platform.resolve_until_quiet}
    deps = platform.deps(processor=Hooked(platform.sandbox(), **hooks))
    for what, body in OPERATIONS.items():
        payment = platform.paid(shop, **body)
        answer = platform.operate(shop, payment, what, "k", deps=deps)
        assert operation_of(platform, payment).version == 3, "begun, leased, answered"
        assert must_be_done_once(platform, shop, payment, what).body == answer.body


def test_the_stored_answer_is_returned_although_the_payment_has_changed_since(
    platform: Platform, shop: MerchantProfile
) -> None:
    def refunded_since(payment: Callable[[], str]) -> Callable[[], None]:
        def later() -> None:
            platform.resolve_until_quiet()
            assert platform.operate(shop, payment(), "refund", amount=1).status == 200

        return later

    held = platform.paid(shop, capture_method="manual")
    slow = platform.deps(processor=Hooked(platform.sandbox(), after=refunded_since(lambda: held)))
    answer = platform.operate(shop, held, "capture", "k", deps=slow)
    assert platform.operate(shop, held, "capture", "k") == answer.again()

    only_other = refunded_since(lambda: next(p.id for p in platform.payments() if p.id != held))
    slow = platform.deps(processor=Hooked(platform.sandbox(), after=only_other))
    answer = platform.pay(shop, "k", deps=slow)
    assert platform.pay(shop, "k") == answer.again()
    platform.must_agree()


def test_a_late_outcome_during_the_resolvers_lease_leaves_the_operation_to_it(
    platform: Platform, shop: MerchantProfile
) -> None:
    def the_resolver_dies_with_its_lease() -> None:
        platform.clock.advance(61)
        client = Faults(at_commit(2, Fault.KILLED_BEFORE)).attach(platform.engine.dynamodb())
        with pytest.raises(ProcessKilled):
            platform.resolve(platform.store_on(client))

    slow = Hooked(platform.sandbox(), after=the_resolver_dies_with_its_lease)
    for what, body in OPERATIONS.items():
        payment = platform.paid(shop, **body)
        answer = platform.operate(shop, payment, what, "k", deps=platform.deps(processor=slow))
        assert answer.status == 202
        assert platform.operate(shop, payment, what, "k") == answer.again()
        platform.resolve_until_quiet()
        must_be_done_once(platform, shop, payment, what)


def test_an_outcome_is_booked_even_if_its_claim_was_taken_away(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop)

    def take_the_claim() -> None:
        (claim,) = [each for each in platform.claims() if each.state is ClaimState.IN_PROGRESS]
        platform.put(claim.model_copy(update={"owner": "another owner"}))

    deps = platform.deps(processor=Hooked(platform.sandbox(), after=take_the_claim))
    assert platform.operate(shop, payment, "refund", "k", deps=deps).status == 200
    assert platform.payment().amount_refunded == 1000
    assert {claim.state for claim in platform.claims()} == {
        ClaimState.COMPLETED,
        ClaimState.IN_PROGRESS,
    }
    platform.must_agree()


def test_an_outcome_is_booked_although_keys_become_unavailable_during_the_call(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop)
    deps = platform.deps(processor=Hooked(platform.sandbox(), after=platform.lose_keys))
    answer = platform.operate(shop, payment, "refund", "k", deps=deps, amount=400)
    assert answer.status == 200
    platform.kms.available = True
    assert platform.operate(shop, payment, "refund", "k", amount=400) == answer.again()
    assert platform.payment().amount_refunded == 400
    platform.must_agree()


# ------------------------------------------------------------ the resolver crashes


@pytest.mark.parametrize("heard", [True, False], ids=["done", "never arrived"])
@pytest.mark.parametrize("when", KILLS)
@pytest.mark.parametrize("commit", [1, 2, 3])
def test_a_resolver_killed_at_any_commit_is_replaced_by_the_next_run(
    platform: Platform, shop: MerchantProfile, commit: int, when: Fault, heard: bool
) -> None:
    stumbling = unheard(platform.sandbox()) if heard else unreached(platform.sandbox())
    for what, body in OPERATIONS.items():
        payment = platform.paid(shop, **body)
        deps = platform.deps(processor=stumbling)
        assert platform.operate(shop, payment, what, f"{what}-k", deps=deps).status == 202
        platform.clock.advance(600)
        faults = Faults(at_commit(commit, when))
        try:
            platform.resolve(platform.store_on(faults.attach(platform.engine.dynamodb())))
        except ProcessKilled:
            assert faults.injected
        else:
            assert (commit, heard) == (3, True), (
                "the lease and the outcome; otherwise also the call"
            )
        platform.must_agree()
        platform.resolve_until_quiet()
        answer = platform.operate(shop, payment, what, f"{what}-k")
        assert (answer.status, answer.replayed) == (200, True)
    assert len(platform.rows(SandboxCharge)) == 2 * len(OPERATIONS)
    assert {claim.state for claim in platform.claims()} == {ClaimState.COMPLETED}
    platform.must_agree()


@pytest.mark.parametrize("when", KILLS)
@pytest.mark.parametrize("commit", [1, 2, 3, 4])
def test_a_resolver_killed_while_voiding_expired_authorizations_voids_each_once(
    platform: Platform, shop: MerchantProfile, commit: int, when: Fault
) -> None:
    platform.paid(shop, capture_method="manual")
    platform.clock.advance(platform.timing.authorization_seconds + 1)
    client = Faults(at_commit(commit, when)).attach(platform.engine.dynamodb())
    with pytest.raises(ProcessKilled):
        platform.resolve(platform.store_on(client))
    platform.must_agree()
    platform.clock.advance(EXPIRY_RETRY.total_seconds())
    platform.resolve_until_quiet()
    assert platform.payment().status is PaymentStatus.CANCELED
    voids = [row for row in platform.rows(SandboxCharge) if row.kind == "void"]
    assert len(voids) == 1
    platform.must_agree()


# ------------------------------------------------------------ the processor does not answer


def open_row(platform: Platform) -> Payment | Transaction:
    rows: list[Payment | Transaction] = [*platform.payments(), *platform.rows(Transaction)]
    (only,) = [row for row in rows if row.open_bucket is not None]
    return only


def _lost_charge(platform: Platform, shop: MerchantProfile) -> None:
    assert platform.pay(shop, "k", payment_method="tok_timeout").status == 202


def _lost_refund(platform: Platform, shop: MerchantProfile) -> None:
    deps = platform.deps(processor=unreached(platform.sandbox()))
    assert platform.operate(shop, platform.paid(shop), "refund", "k", deps=deps).status == 202


@pytest.mark.parametrize("lose", [_lost_charge, pytest.param(_lost_refund, marks=pytest.mark.deep)])
def test_a_processor_that_does_not_answer_is_asked_less_and_less_often_and_alerted_when_too_old(
    platform: Platform,
    shop: MerchantProfile,
    lose: Callable[[Platform, MerchantProfile], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    lose(platform, shop)
    too_old = timedelta(seconds=platform.timing.unknown_too_old_seconds)
    waits: list[timedelta] = []
    while len(waits) < 16:
        row = open_row(platform)
        assert row.next_action_at is not None
        platform.clock.set(max(platform.clock(), to_datetime(row.next_action_at)))
        caplog.clear()
        report = platform.resolve(processor=Dead())  # type: ignore[arg-type]
        assert (report.due, report.waiting) == (1, 1)
        asked, later = open_row(platform), open_row(platform).next_action_at
        assert later is not None
        waits.append(to_datetime(later) - to_datetime(asked.updated_at))
        is_old = platform.clock() - created_at(asked.id) > too_old
        assert report.too_old == caplog.messages.count(UNKNOWN_TOO_OLD) == is_old
        assert platform.resolve(processor=Dead()).due == 0, "it is not due yet"  # type: ignore[arg-type]
    shortest = timedelta(seconds=2 * platform.timing.processor_timeout_seconds)
    assert waits[0] == shortest
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_RETRY
    assert report.too_old == 1
    (alert,) = platform.rows(Alert)
    assert (alert.type, alert.entity_id) == (AlertType.UNKNOWN_TOO_OLD, asked.id)
    assert alert.merchant_id == shop.id
    assert alert.created_at == to_timestamp(created_at(asked.id) + too_old)
    platform.resolve_until_quiet()
    assert platform.resolve().due == 0
    platform.must_agree()


class Faulty:
    """A connector with a fault of ours, whatever it is asked."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError(f"{name} is broken")

        return fail


@pytest.mark.parametrize("lose", [_lost_charge, _lost_refund])
def test_a_row_that_fails_in_every_run_is_alerted_when_too_old(
    platform: Platform,
    shop: MerchantProfile,
    lose: Callable[[Platform, MerchantProfile], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    lose(platform, shop)
    lost = open_row(platform)
    reported = []
    for seconds in (600, platform.timing.unknown_too_old_seconds, 3_600):
        platform.clock.advance(seconds)
        caplog.clear()
        report = platform.resolve(processor=Faulty())  # type: ignore[arg-type]
        assert (report.due, report.failed) == (1, 1)
        reported.append(report.too_old)
        assert caplog.messages.count(UNKNOWN_TOO_OLD) == report.too_old
    assert reported == [0, 1, 1]
    (alert,) = platform.rows(Alert)
    assert (alert.type, alert.entity_id) == (AlertType.UNKNOWN_TOO_OLD, lost.id)


def test_a_payment_past_its_lease_is_shown_as_unknown_also_to_its_key(
    platform: Platform, shop: MerchantProfile
) -> None:
    deps = platform.deps(processor=Hooked(platform.sandbox(), after=dying))
    with pytest.raises(ProcessKilled):
        platform.pay(shop, "k", deps=deps)
    assert platform.payment().status is PaymentStatus.PROCESSING
    platform.clock.advance(platform.timing.intent_lease_seconds + 1)
    assert platform.resolve(processor=Dead()).waiting == 1  # type: ignore[arg-type]
    detail = get_payment(platform.payment().id, platform.call(shop), platform.payment_reads())
    assert (detail.status, detail.transactions) == (PaymentStatus.UNKNOWN, ())
    answer = platform.pay(shop, "k")
    assert (answer.status, json.loads(answer.body)["status"]) == (202, "unknown")
    platform.resolve_until_quiet()
    assert platform.pay(shop, "k").status == 201
    platform.must_agree()


def test_an_operation_that_cannot_be_resolved_does_not_stop_the_others(
    platform: Platform, shop: MerchantProfile
) -> None:
    gone = platform.merchant()
    deps = platform.deps(processor=unheard(platform.sandbox()))
    for merchant in (gone, shop, shop):
        payment = platform.paid(merchant)
        assert platform.operate(merchant, payment, "refund", deps=deps).status == 202
    key = {"id": {"S": gone.id}}
    platform.client.delete_item(TableName=platform.tables["merchants"], Key=key)
    report = platform.resolve()
    assert (report.due, report.resolved, report.failed) == (3, 2, 1)
    refunded = {row.merchant_id: row.amount_refunded for row in platform.payments()}
    assert refunded == {gone.id: 0, shop.id: 1000}


def test_a_run_short_of_time_alternates_between_charges_and_operations(
    platform: Platform, shop: MerchantProfile
) -> None:
    for _ in range(3):
        platform.pay(shop, payment_method="tok_timeout")
    deps = platform.deps(processor=unheard(platform.sandbox()))
    for _ in range(3):
        assert platform.operate(shop, platform.paid(shop), "refund", deps=deps).status == 202
    seconds = iter([300.0] * 4)
    store = platform.store_on(platform.client, remaining_seconds=lambda: next(seconds, 1.0))
    report = resolve_due(platform.deps(), store, "run", platform.operational_alerts())
    assert (report.due, report.resolved, report.stopped_early) == (6, 4, True)
    unknown = [row for row in platform.payments() if row.status is PaymentStatus.UNKNOWN]
    pending = [row for row in platform.rows(Transaction) if row.status is TransactionStatus.PENDING]
    assert (len(unknown), len(pending)) == (1, 1)
    assert platform.resolve().resolved == 2
