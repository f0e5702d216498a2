"""Authorizations that nobody captured in time: voided once, at the processor too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from runtime.domain.instants import to_datetime
from runtime.domain.payment_operations import EXPIRY_RETRY
from runtime.domain.payments import Refused
from runtime.errors import InvalidState
from runtime.models.change import NOT_VOIDED
from runtime.models.merchant import MerchantProfile
from runtime.models.payment import PaymentStatus
from runtime.models.transaction import Transaction, TransactionStatus, TransactionType
from runtime.services.authorization_expiry import EXPIRED, EXPIRY
from tests.support.processors import Answering, unheard, unreached
from tests.support.world import Hooked, World, at_once

MANUAL = {"capture_method": "manual"}
RETRY_SECONDS = EXPIRY_RETRY.total_seconds()


@pytest.fixture
def shop(world: World) -> MerchantProfile:
    return world.merchant()


def until_expiry(world: World) -> float:
    """Seconds from authorization to its expiry, and one more."""
    return world.timing.authorization_seconds + 1


def voids(world: World) -> list[Transaction]:
    rows = [row for row in world.rows(Transaction) if row.type is TransactionType.VOID]
    return sorted(rows, key=lambda row: row.id)


def test_an_authorization_is_voided_after_its_week_and_not_before(
    world: World, shop: MerchantProfile
) -> None:
    world.paid(shop, **MANUAL)
    week = timedelta(seconds=world.timing.authorization_seconds)
    row = world.payment()
    assert row.authorization_expires_at is not None
    lasts = to_datetime(row.authorization_expires_at) - to_datetime(row.updated_at)
    assert lasts == week == timedelta(days=7)
    world.clock.advance(week.total_seconds() - 5)
    assert world.resolve().due == 0
    world.clock.advance(6)
    assert world.resolve().resolved == 1
    row = world.payment()
    assert (row.status, row.capturable_minor, row.open_bucket) == (PaymentStatus.CANCELED, 0, None)
    (void,) = voids(world)
    assert (void.amount, void.reason, void.claim_key) == (1000, EXPIRED, None)
    assert {step.by for step in void.audit_trail} == {EXPIRY}
    assert [charge.state for charge in world.charges()] == ["voided"]
    assert world.resolve().due == 0
    world.must_agree()


def test_what_was_captured_stays_and_only_the_rest_is_voided(
    world: World, shop: MerchantProfile
) -> None:
    payment = world.paid(shop, **MANUAL)
    world.operate(shop, payment, "capture", amount=300, final=False)
    world.operate(shop, payment, "refund", amount=100)
    world.clock.advance(until_expiry(world))
    assert world.resolve().resolved == 1
    row = world.payment()
    assert (row.status, row.amount_captured) == (PaymentStatus.SUCCEEDED, 300)
    assert [void.amount for void in voids(world)] == [700]
    assert world.operate(shop, payment, "refund").status == 200
    world.must_agree()


@pytest.mark.parametrize("what", ["capture", "cancel"])
def test_what_was_ended_in_time_does_not_expire(
    world: World, shop: MerchantProfile, what: str
) -> None:
    payment = world.paid(shop, **MANUAL)
    world.operate(shop, payment, what)
    before = world.payment()
    world.clock.advance(until_expiry(world))
    assert world.resolve().due == 0
    assert world.payment() == before


@pytest.mark.parametrize("final", [True, False])
def test_while_a_capture_is_pending_its_own_outcome_decides(
    world: World, shop: MerchantProfile, final: bool
) -> None:
    payment = world.paid(shop, **MANUAL)
    world.clock.advance(until_expiry(world) - 60)
    desk = world.desk(processor=unheard(world.sandbox()))
    answer = world.operate(shop, payment, "capture", desk=desk, amount=400, final=final)
    assert answer.status == 202
    world.clock.advance(60)
    report = world.resolve()
    assert (report.due, report.resolved, report.over) == (2, 1, 1), "the capture, not the expiry"
    assert voids(world) == []
    world.clock.advance(RETRY_SECONDS - 60)
    assert world.resolve().due == 0
    world.clock.advance(120)
    assert world.resolve().resolved == (0 if final else 1)
    assert [void.amount for void in voids(world)] == ([] if final else [600])
    row = world.payment()
    assert (row.status, row.amount_captured) == (PaymentStatus.SUCCEEDED, 400)
    world.must_agree()


def test_a_capture_that_is_at_the_processor_when_the_week_ends_is_not_disturbed(
    world: World, shop: MerchantProfile
) -> None:
    payment = world.paid(shop, **MANUAL)
    world.clock.advance(until_expiry(world) - 20)

    def the_week_ends() -> None:
        world.clock.advance(20)
        report = world.resolve()
        assert (report.due, report.over) == (1, 1)

    desk = world.desk(processor=Hooked(world.sandbox(), before=the_week_ends))
    assert world.operate(shop, payment, "capture", desk=desk).status == 200
    world.resolve_until_quiet()
    assert voids(world) == []
    assert world.payment().amount_captured == 1000
    world.must_agree()


def test_a_capture_that_comes_while_the_expiry_is_at_the_processor_is_refused(
    world: World, shop: MerchantProfile
) -> None:
    payment = world.paid(shop, **MANUAL)
    world.clock.advance(until_expiry(world))

    def somebody_captures() -> None:
        with pytest.raises(InvalidState, match="is being captured in full or canceled"):
            world.operate(shop, payment, "capture")

    report = world.resolve(processor=Hooked(world.sandbox(), before=somebody_captures))
    assert report.resolved == 1
    with pytest.raises(InvalidState, match="canceled"):
        world.operate(shop, payment, "capture")
    world.must_agree()


def test_several_runs_at_once_void_each_authorization_once(
    world: World, shop: MerchantProfile
) -> None:
    for _ in range(8):
        world.paid(shop, **MANUAL)
    world.clock.advance(until_expiry(world))
    reports = at_once(*[world.resolve] * 4)
    assert sum(report.resolved for report in reports) == 8  # type: ignore[union-attr]
    assert sum(report.failed for report in reports) == 0  # type: ignore[union-attr]
    assert {row.status for row in world.payments()} == {PaymentStatus.CANCELED}
    assert {row.version for row in world.payments()} == {5}, (
        "intent, authorized, postponed, void begun, canceled"
    )
    assert len(voids(world)) == 8
    world.must_agree()


def test_a_void_that_the_processor_refuses_rings_and_is_tried_again_later(
    world: World, shop: MerchantProfile, caplog: pytest.LogCaptureFixture
) -> None:
    world.paid(shop, **MANUAL)
    world.clock.advance(until_expiry(world))
    refusing = Answering(Refused("p", "void_refused", "Not now"))
    world.resolve(processor=refusing)  # type: ignore[arg-type]
    row = world.payment()
    assert (row.status, row.closing_id) == (PaymentStatus.REQUIRES_CAPTURE, None)
    assert [void.status for void in voids(world)] == [TransactionStatus.FAILED]
    assert NOT_VOIDED in caplog.messages
    world.clock.advance(RETRY_SECONDS - 60)
    assert world.resolve().due == 0
    world.clock.advance(120)
    assert world.resolve().resolved == 1
    assert [void.status for void in voids(world)] == ["failed", "succeeded"]
    assert world.payment().status is PaymentStatus.CANCELED
    world.must_agree()


@pytest.mark.parametrize("stumbling", [unheard, unreached])
def test_a_void_without_an_answer_is_finished_as_an_operation(
    world: World, shop: MerchantProfile, stumbling: Callable[[Any], Hooked]
) -> None:
    world.paid(shop, **MANUAL)
    world.clock.advance(until_expiry(world))
    world.resolve(processor=stumbling(world.sandbox()))
    assert [void.status for void in voids(world)] == [TransactionStatus.PENDING]
    assert world.payment().status is PaymentStatus.REQUIRES_CAPTURE
    world.must_agree()
    world.resolve_until_quiet()
    assert [void.status for void in voids(world)] == [TransactionStatus.SUCCEEDED]
    assert world.payment().status is PaymentStatus.CANCELED
    world.must_agree()
