"""Stripe's notifications: verification, and the meaning of each."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stripe import WebhookSignature

from runtime.core.errors import BadSignature, MalformedJson
from runtime.payments.processors.events import EventKind, ProcessorEvent
from runtime.payments.processors.stripe.events import TOLERANCE_SECONDS, read_stripe_event
from tests.support.processors.stripe_shapes import (
    balance_transaction,
    dispute,
    event,
    intent,
    refund,
)

SECRET, OLD_SECRET = "whsec_now", "whsec_before"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TAKEN = balance_transaction(-1000, 1500)
GIVEN_BACK = balance_transaction(1000, -1500)
INTENT_ID, DISPUTE_ID = intent()["id"], dispute("lost")["id"]


def header(text: str, secret: str = SECRET, at: datetime = NOW) -> str:
    return WebhookSignature.generate_signature_header(text, secret, int(at.timestamp()))


def read(
    document: Any, signature: str | None = None, secret: str | None = SECRET
) -> ProcessorEvent:
    text = document if isinstance(document, str) else json.dumps(document)
    signed = header(text) if signature is None else signature
    return read_stripe_event({"stripe-signature": signed}, text.encode(), secret, NOW)


BODY = json.dumps(event("payment_intent.succeeded", intent()))


def test_a_notification_signed_with_the_endpoints_secret_is_accepted() -> None:
    assert read(BODY) == ProcessorEvent(
        id="evt_1NG8Du2eZvKYlo2CUI79vXWy",
        kind=EventKind.CHARGE_CHANGED,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        charge_id=INTENT_ID,
        reference="pay_1",
    )


def test_during_a_secret_rotation_one_of_two_signatures_is_enough() -> None:
    both = f"{header(BODY, OLD_SECRET)},{header(BODY).partition(',')[2]}"
    assert read(BODY, both).kind is EventKind.CHARGE_CHANGED


@pytest.mark.parametrize("seconds", [0, TOLERANCE_SECONDS, -TOLERANCE_SECONDS])
def test_the_caller_passes_the_time_which_may_be_off_by_five_minutes(seconds: int) -> None:
    at = NOW - timedelta(seconds=seconds)
    assert read(BODY, header(BODY, at=at)).reference == "pay_1"


@pytest.mark.parametrize("seconds", [TOLERANCE_SECONDS + 1, -TOLERANCE_SECONDS - 1])
def test_an_old_or_future_notification_is_refused(seconds: int) -> None:
    with pytest.raises(BadSignature, match="more than 300 s"):
        read(BODY, header(BODY, at=NOW - timedelta(seconds=seconds)))


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "t=",
        "t=1",
        "v1=00",
        "t=x,v1=00",
        "t=1767268800,v1=é",
        "t=1767268800,v0=" + header(BODY).partition("v1=")[2],
        header(BODY, OLD_SECRET),
        header(BODY + " "),
        header(BODY)[:-1],
        header(BODY).replace("t=1767268800", "t=1767268801"),
        "t=1767268801," + header(BODY),
        "t= 1000,t=1767268800,"
        + header(BODY, at=datetime.fromtimestamp(1000, UTC)).partition(",")[2],
        "t=٣,v1=00",
        "nonsense",
    ],
)
def test_a_notification_not_signed_by_stripe_is_refused(signature: str) -> None:
    with pytest.raises(BadSignature):
        read(BODY, signature)


def test_without_a_header_or_a_secret_every_notification_is_refused() -> None:
    with pytest.raises(BadSignature, match="missing"):
        read_stripe_event({}, BODY.encode(), SECRET, NOW)
    with pytest.raises(BadSignature, match="no webhook_secret"):
        read(BODY, secret=None)


def test_a_body_that_is_not_text_is_refused() -> None:
    with pytest.raises(BadSignature):
        read_stripe_event({"stripe-signature": header(BODY)}, b"\xff", SECRET, NOW)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        event("payment_intent.succeeded", {"id": 7}),
        event("refund.updated", {}),
        event("charge.dispute.closed", {}),
    ],
)
def test_a_genuine_notification_that_cannot_be_parsed_is_refused(document: Any) -> None:
    with pytest.raises(MalformedJson):
        read(document)


@pytest.mark.parametrize(
    "type_",
    ["succeeded", "payment_failed", "canceled", "amount_capturable_updated", "new_to_us"],
)
def test_events_of_our_charges_are_hints(type_: str) -> None:
    reported = read(event(f"payment_intent.{type_}", intent()))
    assert (reported.kind, reported.charge_id, reported.reference) == (
        EventKind.CHARGE_CHANGED,
        INTENT_ID,
        "pay_1",
    )


@pytest.mark.parametrize("type_", ["refund.created", "refund.updated", "charge.refund.updated"])
@pytest.mark.parametrize("status", ["pending", "succeeded"])
def test_events_of_our_refunds_are_hints(type_: str, status: str) -> None:
    reported = read(event(type_, refund(status)))
    assert (reported.kind, reported.charge_id, reported.reference) == (
        EventKind.OPERATION_CHANGED,
        INTENT_ID,
        "txn_1",
    )


@pytest.mark.parametrize("type_", ["refund.failed", "refund.updated", "charge.refund.updated"])
@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_returned_refund_is_a_failed_refund(type_: str, status: str) -> None:
    reported = read(event(type_, refund(status)))
    assert (reported.kind, reported.reference) == (EventKind.REFUND_FAILED, "txn_1")
    assert reported.object_id == refund()["id"]


@pytest.mark.parametrize(
    ("type_", "about"),
    [
        ("created", dispute("needs_response", TAKEN)),
        ("funds_withdrawn", dispute("needs_response", TAKEN)),
        ("funds_withdrawn", dispute("under_review")),
        ("funds_reinstated", dispute("won", TAKEN, GIVEN_BACK)),
        ("closed", dispute("won", TAKEN)),
        ("closed", dispute("lost", TAKEN)),
        ("closed", dispute("lost", currency="xxx")),
    ],
)
def test_a_dispute_event_that_moves_money_is_a_hint(type_: str, about: Any) -> None:
    reported = read(event(f"charge.dispute.{type_}", about))
    assert (reported.kind, reported.charge_id, reported.object_id) == (
        EventKind.DISPUTE_CHANGED,
        INTENT_ID,
        DISPUTE_ID,
    )


@pytest.mark.parametrize(
    ("type_", "about"),
    [
        ("customer.created", {"id": "cus_1"}),
        ("charge.refunded", {"id": "ch_1"}),
        ("charge.dispute.updated", dispute("under_review", TAKEN)),
        ("charge.dispute.created", dispute("needs_response")),
        ("charge.dispute.created", dispute("warning_needs_response")),
        ("charge.dispute.closed", dispute("warning_closed")),
        ("charge.dispute.closed", dispute("prevented")),
        ("charge.dispute.funds_withdrawn", dispute("needs_response", TAKEN, payment_intent=None)),
        ("payment_intent.canceled", intent("canceled", metadata={"forbidden_reference": "pay_1"})),
        ("payment_intent.succeeded", intent(metadata={})),
        ("refund.updated", refund(metadata={})),
        ("refund.updated", refund(payment_intent=None)),
    ],
)
def test_other_events_are_ignored(type_: str, about: Any) -> None:
    assert read(event(type_, about)).kind is EventKind.IGNORED
