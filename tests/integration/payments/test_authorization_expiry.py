"""Authorizations that are not captured in time are voided once, also at the processor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from runtime.core.change_context import NOT_VOIDED
from runtime.core.errors import InvalidState
from runtime.core.timestamps import to_datetime
from runtime.merchants.models import MerchantProfile
from runtime.payments.models import PaymentStatus
from runtime.payments.operations.rules import EXPIRY_RETRY
from runtime.payments.resolution.authorization_expiry import AUTHORIZATION
from runtime.payments.rules import Refused
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType
from tests.support.platform import Hooked, Platform, at_once
from tests.support.processors.unreliable import Answering, unheard, unreached

MANUAL = {"capture_method": "manual"}
RETRY_SECONDS = EXPIRY_RETRY.total_seconds()


@pytest.fixture
def shop(platform: Platform) -> MerchantProfile:
    return platform.merchant()


def until_expiry(platform: Platform) -> float:
    """Seconds from an authorization to one second past its expiry."""
    return platform.timing.authorization_seconds + 1


def voids(platform: Platform) -> list[Transaction]:
    rows = [row for row in platform.rows(Transaction) if row.type is TransactionType.VOID]
    return sorted(rows, key=lambda row: row.id)


def test_an_authorization_is_voided_after_a_week_and_not_before(
    platform: Platform, shop: MerchantProfile
) -> None:
    platform.paid(shop, **MANUAL)
    week = timedelta(seconds=platform.timing.authorization_seconds)
    row = platform.payment()
    assert row.authorization_expires_at is not None
    lasts = to_datetime(row.authorization_expires_at) - to_datetime(row.updated_at)
    assert lasts == week == timedelta(days=7)
    platform.clock.advance(week.total_seconds() - 5)
    assert platform.resolve().due == 0
    platform.clock.advance(6)
    assert platform.resolve().resolved == 1
    row = platform.payment()
    assert (row.status, row.capturable_minor, row.open_bucket) == (PaymentStatus.CANCELED, 0, None)
    (void,) = voids(platform)
    assert (void.amount, void.reason, void.claim_key) == (1000, AUTHORIZATION.reason, None)
    assert {step.by for step in void.audit_trail} == {AUTHORIZATION.user}
    assert [charge.state for charge in platform.charges()] == ["voided"]
    assert platform.resolve().due == 0
    platform.must_agree()


def test_only_the_uncaptured_rest_is_voided(platform: Platform, shop: MerchantProfile) -> None:
    payment = platform.paid(shop, **MANUAL)
    platform.operate(shop, payment, "capture", amount=300, final=False)
    platform.operate(shop, payment, "refund", amount=100)
    platform.clock.advance(until_expiry(platform))
    assert platform.resolve().resolved == 1
    row = platform.payment()
    assert (row.status, row.amount_captured) == (PaymentStatus.SUCCEEDED, 300)
    assert [void.amount for void in voids(platform)] == [700]
    assert platform.operate(shop, payment, "refund").status == 200
    platform.must_agree()


@pytest.mark.parametrize("what", ["capture", "cancel"])
def test_an_authorization_that_ended_in_time_does_not_expire(
    platform: Platform, shop: MerchantProfile, what: str
) -> None:
    payment = platform.paid(shop, **MANUAL)
    platform.operate(shop, payment, what)
    before = platform.payment()
    platform.clock.advance(until_expiry(platform))
    assert platform.resolve().due == 0
    assert platform.payment() == before


@pytest.mark.parametrize("final", [True, False])
def test_a_pending_captures_own_outcome_takes_precedence(
    platform: Platform, shop: MerchantProfile, final: bool
) -> None:
    payment = platform.paid(shop, **MANUAL)
    platform.clock.advance(until_expiry(platform) - 60)
    deps = platform.deps(processor=unheard(platform.sandbox()))
    answer = platform.operate(shop, payment, "capture", deps=deps, amount=400, final=final)
    assert answer.status == 202
    platform.clock.advance(60)
    report = platform.resolve()
    assert (report.due, report.resolved, report.over) == (2, 1, 1), "the capture, not the expiry"
    assert voids(platform) == []
    platform.clock.advance(RETRY_SECONDS - 60)
    assert platform.resolve().due == 0
    platform.clock.advance(120)
    assert platform.resolve().resolved == (0 if final else 1)
    assert [void.amount for void in voids(platform)] == ([] if final else [600])
    row = platform.payment()
    assert (row.status, row.amount_captured) == (PaymentStatus.SUCCEEDED, 400)
    platform.must_agree()


def test_a_capture_at_the_processor_when_the_week_ends_is_not_disturbed(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    platform.clock.advance(until_expiry(platform) - 20)

    def the_week_ends() -> None:
        platform.clock.advance(20)
        report = platform.resolve()
        assert (report.due, report.over) == (1, 1)

    deps = platform.deps(processor=Hooked(platform.sandbox(), before=the_week_ends))
    assert platform.operate(shop, payment, "capture", deps=deps).status == 200
    platform.resolve_until_quiet()
    assert voids(platform) == []
    assert platform.payment().amount_captured == 1000
    platform.must_agree()


def test_a_capture_during_the_expiry_at_the_processor_is_refused(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    platform.clock.advance(until_expiry(platform))

    def capture_now() -> None:
        with pytest.raises(InvalidState, match="is being captured in full or canceled"):
            platform.operate(shop, payment, "capture")

    report = platform.resolve(processor=Hooked(platform.sandbox(), before=capture_now))
    assert report.resolved == 1
    with pytest.raises(InvalidState, match="canceled"):
        platform.operate(shop, payment, "capture")
    platform.must_agree()


def test_concurrent_runs_void_each_authorization_once(
    platform: Platform, shop: MerchantProfile
) -> None:
    for _ in range(8):
        platform.paid(shop, **MANUAL)
    platform.clock.advance(until_expiry(platform))
    reports = at_once(*[platform.resolve] * 4)
    assert sum(report.resolved for report in reports) == 8  # type: ignore[union-attr]
    assert sum(report.failed for report in reports) == 0  # type: ignore[union-attr]
    assert {row.status for row in platform.payments()} == {PaymentStatus.CANCELED}
    assert {row.version for row in platform.payments()} == {5}, (
        "intent, authorized, postponed, void begun, canceled"
    )
    assert len(voids(platform)) == 8
    platform.must_agree()


def test_a_void_that_the_processor_refuses_raises_an_alert_and_is_retried_later(
    platform: Platform, shop: MerchantProfile, caplog: pytest.LogCaptureFixture
) -> None:
    platform.paid(shop, **MANUAL)
    platform.clock.advance(until_expiry(platform))
    refusing = Answering(Refused("p", "void_refused", "Not now"))
    platform.resolve(processor=refusing)  # type: ignore[arg-type]
    row = platform.payment()
    assert (row.status, row.closing_id) == (PaymentStatus.REQUIRES_CAPTURE, None)
    assert [void.status for void in voids(platform)] == [TransactionStatus.FAILED]
    assert NOT_VOIDED in caplog.messages
    platform.clock.advance(RETRY_SECONDS - 60)
    assert platform.resolve().due == 0
    platform.clock.advance(120)
    assert platform.resolve().resolved == 1
    assert [void.status for void in voids(platform)] == ["failed", "succeeded"]
    assert platform.payment().status is PaymentStatus.CANCELED
    platform.must_agree()


@pytest.mark.parametrize("stumbling", [unheard, unreached])
def test_a_void_without_an_answer_is_finished_like_an_operation(
    platform: Platform, shop: MerchantProfile, stumbling: Callable[[Any], Hooked]
) -> None:
    platform.paid(shop, **MANUAL)
    platform.clock.advance(until_expiry(platform))
    platform.resolve(processor=stumbling(platform.sandbox()))
    assert [void.status for void in voids(platform)] == [TransactionStatus.PENDING]
    assert platform.payment().status is PaymentStatus.REQUIRES_CAPTURE
    platform.must_agree()
    platform.resolve_until_quiet()
    assert [void.status for void in voids(platform)] == [TransactionStatus.SUCCEEDED]
    assert platform.payment().status is PaymentStatus.CANCELED
    platform.must_agree()
