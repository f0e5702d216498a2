"""Death, silence and delay at every step of a capture, cancel or refund: one effect, one answer."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from runtime.contract.answers import StoredAnswer
from runtime.domain.ids import created_at
from runtime.domain.instants import to_datetime, to_instant
from runtime.domain.payment_operations import EXPIRY_RETRY, LONGEST_RETRY
from runtime.errors import IdempotencyInFlight, Unavailable
from runtime.models.alert import Alert, AlertType
from runtime.models.change import UNKNOWN_TOO_OLD
from runtime.models.idempotency import ClaimState
from runtime.models.merchant import MerchantProfile
from runtime.models.payment import Payment, PaymentStatus
from runtime.models.sandbox_charge import SandboxCharge
from runtime.models.transaction import Transaction, TransactionStatus
from runtime.services.payment_desk import PaymentDesk
from runtime.services.payment_queries import get_payment
from runtime.services.payment_resolution import resolve_due
from tests.support.faults import COMMIT, TRANSIENT, Fault, Faults, Plan, ProcessKilled, at_commit
from tests.support.processors import Dead, unheard, unreached
from tests.support.world import Hooked, World

INTENT, SANDBOX, OUTCOME = 1, 2, 3
COMMITS = (INTENT, SANDBOX, OUTCOME)
KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
OPERATIONS = {
    "capture": {"capture_method": "manual"},
    "cancel": {"capture_method": "manual"},
    "refund": {},
}
"""What is asked, and of which payment."""


@pytest.fixture
def shop(world: World) -> MerchantProfile:
    return world.merchant()


def faulty(world: World, plan: Plan, **time_left: Any) -> PaymentDesk:
    return world.desk(world.store_on(Faults(plan).attach(world.engine.dynamodb()), **time_left))


def dying() -> None:
    raise ProcessKilled("around the processor's call")


def operation_of(world: World, payment: str) -> Transaction:
    rows = [row for row in world.rows(Transaction) if row.payment_id == payment]
    (only,) = [row for row in rows if row.claim_key is not None]
    return only


def must_be_done_once(world: World, shop: MerchantProfile, payment: str, what: str) -> StoredAnswer:
    """The resolver has been there: one effect at the processor, and one answer ever after."""
    done_there = [row.charge or row.reference for row in world.rows(SandboxCharge)]
    assert done_there.count(payment) == 2, "the charge and one operation"
    (row,) = [each for each in world.payments() if each.id == payment]
    operation = operation_of(world, payment)
    assert operation.status is TransactionStatus.SUCCEEDED
    assert (operation.open_bucket, operation.lease_owner) == (None, None)
    assert (row.closing_id, row.pending_capture_minor, row.pending_refund_minor) == (None, 0, 0)
    assert {claim.state for claim in world.claims()} == {ClaimState.COMPLETED}
    answer = world.operate(shop, payment, what, "k")
    assert (answer.status, answer.replayed) == (200, True)
    assert world.operate(shop, payment, what, "k") == answer
    assert json.loads(answer.body)["transactions"][1]["id"] == operation.id
    world.must_agree()
    return answer


# ------------------------------------------------------------ a request dies


@pytest.mark.parametrize("when", KILLS)
@pytest.mark.parametrize("commit", COMMITS)
def test_a_process_killed_at_any_commit_is_finished_by_the_resolver_with_one_effect(
    world: World, shop: MerchantProfile, commit: int, when: Fault
) -> None:
    for what, body in OPERATIONS.items():
        payment = world.paid(shop, **body)
        with pytest.raises(ProcessKilled):
            world.operate(shop, payment, what, "k", desk=faulty(world, at_commit(commit, when)))
        world.must_agree()
        if (commit, when) == (INTENT, Fault.KILLED_BEFORE):
            assert world.payments()[-1].version == 2, "nothing has begun"
            assert world.operate(shop, payment, what, "k").status == 200
        elif (commit, when) != (OUTCOME, Fault.KILLED_AFTER):
            with pytest.raises(IdempotencyInFlight):
                world.operate(shop, payment, what, "k")
            assert world.resolve().due == 0, "the lease still runs"
        world.resolve_until_quiet()
        must_be_done_once(world, shop, payment, what)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_death_around_the_processors_call_is_finished_by_the_resolver_with_one_effect(
    world: World, shop: MerchantProfile, moment: str
) -> None:
    desk = world.desk(processor=Hooked(world.sandbox(), **{moment: dying}))
    for what, body in OPERATIONS.items():
        payment = world.paid(shop, **body)
        with pytest.raises(ProcessKilled):
            world.operate(shop, payment, what, "k", desk=desk)
        assert operation_of(world, payment).status is TransactionStatus.PENDING
        world.resolve_until_quiet()
        must_be_done_once(world, shop, payment, what)


@pytest.mark.parametrize("commit", COMMITS)
def test_one_transient_fault_at_any_commit_is_not_seen_by_the_caller(
    world: World, shop: MerchantProfile, commit: int
) -> None:
    for fault, (what, body) in product(TRANSIENT, OPERATIONS.items()):
        payment = world.paid(shop, **body)
        desk = faulty(world, at_commit(commit, fault))
        answer = world.operate(shop, payment, what, "k", desk=desk)
        assert (answer.status, answer.replayed) == (200, False), fault
        assert world.operate(shop, payment, what, "k") == answer.again()
    world.must_agree()


@pytest.mark.parametrize("commit", COMMITS)
def test_an_answer_lost_for_longer_than_dynamodb_knows_its_token_is_still_ours(
    world: World, shop: MerchantProfile, commit: int
) -> None:
    def forget_tokens(params: dict[str, object], **_: object) -> dict[str, object]:
        return {**params, "ClientRequestToken": uuid.uuid4().hex}

    called = "provide-client-params.dynamodb.TransactWriteItems"
    for what, body in OPERATIONS.items():
        payment = world.paid(shop, **body)
        client = Faults(at_commit(commit, Fault.ANSWER_LOST)).attach(world.engine.dynamodb())
        client.meta.events.register(called, forget_tokens)
        desk = world.desk(world.store_on(client))
        answer = world.operate(shop, payment, what, "k", desk=desk)
        assert (answer.status, answer.replayed) == (200, False)
        assert must_be_done_once(world, shop, payment, what) == answer.again()


@pytest.mark.parametrize("commit", COMMITS)
def test_an_answer_lost_until_time_runs_out_is_told_as_busy_and_finished_by_the_resolver(
    world: World, shop: MerchantProfile, commit: int
) -> None:
    for what, body in OPERATIONS.items():
        payment = world.paid(shop, **body)
        seconds = iter([60.0, 60.0])
        desk = faulty(
            world,
            lambda called, n: Fault.ANSWER_LOST if called == COMMIT and n >= commit else None,
            remaining_seconds=lambda seconds=seconds: next(seconds, 0.0),  # type: ignore[misc]
        )
        with pytest.raises(Unavailable):
            world.operate(shop, payment, what, "k", desk=desk)
        world.resolve_until_quiet()
        must_be_done_once(world, shop, payment, what)


def test_a_database_that_is_busy_before_the_intent_leaves_nothing_behind(
    world: World, shop: MerchantProfile
) -> None:
    payment = world.paid(shop)
    before, keys = world.payment(), len(world.claims())
    for fault in (Fault.CONFLICT, Fault.THROTTLED, Fault.UNREACHED):
        seconds = iter([60.0, 60.0])
        desk = faulty(
            world,
            lambda called, _, fault=fault: fault if called == COMMIT else None,  # type: ignore[misc]
            remaining_seconds=lambda seconds=seconds: next(seconds, 0.0),  # type: ignore[misc]
        )
        with pytest.raises(Unavailable):
            world.operate(shop, payment, "refund", "k", desk=desk)
    assert (world.payment(), len(world.claims())) == (before, keys)
    assert world.operate(shop, payment, "refund", "k").status == 200


# ------------------------------------------------------------ a request comes late


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_slow_request_that_comes_back_after_the_resolver_tells_the_answer_that_was_stored(
    world: World, shop: MerchantProfile, moment: str
) -> None:
    hooks = {moment: world.resolve_until_quiet}
    desk = world.desk(processor=Hooked(world.sandbox(), **hooks))
    for what, body in OPERATIONS.items():
        payment = world.paid(shop, **body)
        answer = world.operate(shop, payment, what, "k", desk=desk)
        assert operation_of(world, payment).version == 3, "begun, leased, answered"
        assert must_be_done_once(world, shop, payment, what).body == answer.body


def test_an_answer_is_the_stored_one_though_the_payment_has_gone_on_since(
    world: World, shop: MerchantProfile
) -> None:
    def refunded_since(payment: Callable[[], str]) -> Callable[[], None]:
        def later() -> None:
            world.resolve_until_quiet()
            assert world.operate(shop, payment(), "refund", amount=1).status == 200

        return later

    held = world.paid(shop, capture_method="manual")
    slow = world.desk(processor=Hooked(world.sandbox(), after=refunded_since(lambda: held)))
    answer = world.operate(shop, held, "capture", "k", desk=slow)
    assert world.operate(shop, held, "capture", "k") == answer.again()

    only_other = refunded_since(lambda: next(p.id for p in world.payments() if p.id != held))
    slow = world.desk(processor=Hooked(world.sandbox(), after=only_other))
    answer = world.pay(shop, "k", desk=slow)
    assert world.pay(shop, "k") == answer.again()
    world.must_agree()


def test_a_late_outcome_that_meets_the_resolvers_lease_leaves_the_operation_to_it(
    world: World, shop: MerchantProfile
) -> None:
    def the_resolver_dies_with_its_lease() -> None:
        world.clock.advance(61)
        client = Faults(at_commit(2, Fault.KILLED_BEFORE)).attach(world.engine.dynamodb())
        with pytest.raises(ProcessKilled):
            world.resolve(world.store_on(client))

    slow = Hooked(world.sandbox(), after=the_resolver_dies_with_its_lease)
    for what, body in OPERATIONS.items():
        payment = world.paid(shop, **body)
        answer = world.operate(shop, payment, what, "k", desk=world.desk(processor=slow))
        assert answer.status == 202
        assert world.operate(shop, payment, what, "k") == answer.again()
        world.resolve_until_quiet()
        must_be_done_once(world, shop, payment, what)


def test_an_outcome_is_booked_even_if_its_claim_was_taken_away(
    world: World, shop: MerchantProfile
) -> None:
    payment = world.paid(shop)

    def somebody_takes_the_claim() -> None:
        (claim,) = [each for each in world.claims() if each.state is ClaimState.IN_PROGRESS]
        world.put(claim.model_copy(update={"owner": "somebody else"}))

    desk = world.desk(processor=Hooked(world.sandbox(), after=somebody_takes_the_claim))
    assert world.operate(shop, payment, "refund", "k", desk=desk).status == 200
    assert world.payment().amount_refunded == 1000
    assert {claim.state for claim in world.claims()} == {
        ClaimState.COMPLETED,
        ClaimState.IN_PROGRESS,
    }
    world.must_agree()


def test_keys_that_go_away_during_the_call_do_not_keep_the_outcome_from_being_booked(
    world: World, shop: MerchantProfile
) -> None:
    payment = world.paid(shop)
    desk = world.desk(processor=Hooked(world.sandbox(), after=world.lose_keys))
    answer = world.operate(shop, payment, "refund", "k", desk=desk, amount=400)
    assert answer.status == 200
    world.kms.available = True
    assert world.operate(shop, payment, "refund", "k", amount=400) == answer.again()
    assert world.payment().amount_refunded == 400
    world.must_agree()


# ------------------------------------------------------------ the resolver dies


@pytest.mark.parametrize("heard", [True, False], ids=["done", "never arrived"])
@pytest.mark.parametrize("when", KILLS)
@pytest.mark.parametrize("commit", [1, 2, 3])
def test_a_resolver_killed_at_any_commit_is_replaced_by_the_next_run(
    world: World, shop: MerchantProfile, commit: int, when: Fault, heard: bool
) -> None:
    stumbling = unheard(world.sandbox()) if heard else unreached(world.sandbox())
    for what, body in OPERATIONS.items():
        payment = world.paid(shop, **body)
        desk = world.desk(processor=stumbling)
        assert world.operate(shop, payment, what, f"{what}-k", desk=desk).status == 202
        world.clock.advance(600)
        faults = Faults(at_commit(commit, when))
        try:
            world.resolve(world.store_on(faults.attach(world.engine.dynamodb())))
        except ProcessKilled:
            assert faults.injected
        else:
            assert (commit, heard) == (3, True), "lease and outcome are all; else also the call"
        world.must_agree()
        world.resolve_until_quiet()
        answer = world.operate(shop, payment, what, f"{what}-k")
        assert (answer.status, answer.replayed) == (200, True)
    assert len(world.rows(SandboxCharge)) == 2 * len(OPERATIONS)
    assert {claim.state for claim in world.claims()} == {ClaimState.COMPLETED}
    world.must_agree()


@pytest.mark.parametrize("when", KILLS)
@pytest.mark.parametrize("commit", [1, 2, 3, 4])
def test_a_resolver_killed_while_it_voids_what_has_expired_voids_it_once_in_the_end(
    world: World, shop: MerchantProfile, commit: int, when: Fault
) -> None:
    world.paid(shop, capture_method="manual")
    world.clock.advance(world.timing.authorization_seconds + 1)
    client = Faults(at_commit(commit, when)).attach(world.engine.dynamodb())
    with pytest.raises(ProcessKilled):
        world.resolve(world.store_on(client))
    world.must_agree()
    world.clock.advance(EXPIRY_RETRY.total_seconds())
    world.resolve_until_quiet()
    assert world.payment().status is PaymentStatus.CANCELED
    voids = [row for row in world.rows(SandboxCharge) if row.kind == "void"]
    assert len(voids) == 1
    world.must_agree()


# ------------------------------------------------------------ the processor stays silent


def open_row(world: World) -> Payment | Transaction:
    rows: list[Payment | Transaction] = [*world.payments(), *world.rows(Transaction)]
    (only,) = [row for row in rows if row.open_bucket is not None]
    return only


def _lost_charge(world: World, shop: MerchantProfile) -> None:
    assert world.pay(shop, "k", payment_method="tok_timeout").status == 202


def _lost_refund(world: World, shop: MerchantProfile) -> None:
    desk = world.desk(processor=unreached(world.sandbox()))
    assert world.operate(shop, world.paid(shop), "refund", "k", desk=desk).status == 202


@pytest.mark.parametrize("lose", [_lost_charge, _lost_refund])
def test_a_processor_that_stays_silent_is_asked_ever_more_rarely_and_reported_when_too_old(
    world: World,
    shop: MerchantProfile,
    lose: Callable[[World, MerchantProfile], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    lose(world, shop)
    too_old = timedelta(seconds=world.timing.unknown_too_old_seconds)
    waits: list[timedelta] = []
    while len(waits) < 16:
        row = open_row(world)
        assert row.next_action_at is not None
        world.clock.set(max(world.clock(), to_datetime(row.next_action_at)))
        caplog.clear()
        report = world.resolve(processor=Dead())  # type: ignore[arg-type]
        assert (report.due, report.waiting) == (1, 1)
        asked, later = open_row(world), open_row(world).next_action_at
        assert later is not None
        waits.append(to_datetime(later) - to_datetime(asked.updated_at))
        is_old = world.clock() - created_at(asked.id) > too_old
        assert report.too_old == caplog.messages.count(UNKNOWN_TOO_OLD) == is_old
        assert world.resolve(processor=Dead()).due == 0, "nobody asks before its time"  # type: ignore[arg-type]
    shortest = timedelta(seconds=2 * world.timing.processor_timeout_seconds)
    assert waits[0] == shortest
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_RETRY
    assert report.too_old == 1
    (alert,) = world.rows(Alert)
    assert (alert.type, alert.entity_id) == (AlertType.UNKNOWN_TOO_OLD, asked.id)
    assert alert.merchant_id == shop.id
    assert alert.created_at == to_instant(created_at(asked.id) + too_old)
    world.resolve_until_quiet()
    assert world.resolve().due == 0
    world.must_agree()


class Faulty:
    """A connector with a fault of ours, whatever it is asked."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError(f"{name} is broken")

        return fail


@pytest.mark.parametrize("lose", [_lost_charge, _lost_refund])
def test_what_fails_at_every_run_is_told_when_it_is_too_old_like_what_waits(
    world: World,
    shop: MerchantProfile,
    lose: Callable[[World, MerchantProfile], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    lose(world, shop)
    lost = open_row(world)
    told = []
    for seconds in (600, world.timing.unknown_too_old_seconds, 3_600):
        world.clock.advance(seconds)
        caplog.clear()
        report = world.resolve(processor=Faulty())  # type: ignore[arg-type]
        assert (report.due, report.failed) == (1, 1)
        told.append(report.too_old)
        assert caplog.messages.count(UNKNOWN_TOO_OLD) == report.too_old
    assert told == [0, 1, 1]
    (alert,) = world.rows(Alert)
    assert (alert.type, alert.entity_id) == (AlertType.UNKNOWN_TOO_OLD, lost.id)


def test_a_payment_past_its_lease_is_visibly_unknown_and_its_key_says_so(
    world: World, shop: MerchantProfile
) -> None:
    desk = world.desk(processor=Hooked(world.sandbox(), after=dying))
    with pytest.raises(ProcessKilled):
        world.pay(shop, "k", desk=desk)
    assert world.payment().status is PaymentStatus.PROCESSING
    world.clock.advance(world.timing.intent_lease_seconds + 1)
    assert world.resolve(processor=Dead()).waiting == 1  # type: ignore[arg-type]
    detail = get_payment(world.payment().id, world.call(shop), world.archive())
    assert (detail.status, detail.transactions) == (PaymentStatus.UNKNOWN, ())
    answer = world.pay(shop, "k")
    assert (answer.status, json.loads(answer.body)["status"]) == (202, "unknown")
    world.resolve_until_quiet()
    assert world.pay(shop, "k").status == 201
    world.must_agree()


def test_an_operation_that_cannot_be_resolved_does_not_stop_the_others(
    world: World, shop: MerchantProfile
) -> None:
    gone = world.merchant()
    desk = world.desk(processor=unheard(world.sandbox()))
    for merchant in (gone, shop, shop):
        payment = world.paid(merchant)
        assert world.operate(merchant, payment, "refund", desk=desk).status == 202
    key = {"id": {"S": gone.id}}
    world.client.delete_item(TableName=world.tables["merchants"], Key=key)
    report = world.resolve()
    assert (report.due, report.resolved, report.failed) == (3, 2, 1)
    refunded = {row.merchant_id: row.amount_refunded for row in world.payments()}
    assert refunded == {gone.id: 0, shop.id: 1000}


def test_a_run_whose_time_is_short_looks_at_charges_and_operations_by_turns(
    world: World, shop: MerchantProfile
) -> None:
    for _ in range(3):
        world.pay(shop, payment_method="tok_timeout")
    desk = world.desk(processor=unheard(world.sandbox()))
    for _ in range(3):
        assert world.operate(shop, world.paid(shop), "refund", desk=desk).status == 202
    seconds = iter([300.0] * 4)
    store = world.store_on(world.client, remaining_seconds=lambda: next(seconds, 1.0))
    report = resolve_due(world.desk(), store, "run", world.trouble())
    assert (report.due, report.resolved, report.stopped_early) == (6, 4, True)
    unknown = [row for row in world.payments() if row.status is PaymentStatus.UNKNOWN]
    pending = [row for row in world.rows(Transaction) if row.status is TransactionStatus.PENDING]
    assert (len(unknown), len(pending)) == (1, 1)
    assert world.resolve().resolved == 2
