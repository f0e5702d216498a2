"""Disputes and refunds as read from Stripe: their identity and their total amounts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.core.errors import ProcessorUnknown
from runtime.payments.models import DisputeStatus
from runtime.payments.processors.events import DisputeState, EventKind, RefundOutcome
from runtime.payments.processors.stripe.connector import StripeConfig, StripeProcessor
from tests.support.processors.stripe_shapes import (
    Recorded,
    balance_transaction,
    dispute,
    error,
    event,
    intent,
    refund,
)

TAKEN = balance_transaction(-1000, 1500)
GIVEN_BACK = balance_transaction(1000, 0)
FEE_BACK = balance_transaction(1000, -1500)
MISSING = (404, error(code="resource_missing", param="id"))


def stripe_that_answers(*answers: Any) -> tuple[StripeProcessor, Recorded]:
    network = Recorded(*answers)
    config = StripeConfig(api_key="sk_test_1")
    return StripeProcessor.of(config, "https://api.stripe.example", 5, network), network


def read(about: Any) -> DisputeState:
    processor, _ = stripe_that_answers((200, about))
    state = processor.find_dispute("du_1")
    assert state is not None
    return state


def test_a_dispute_is_read_by_its_id_with_the_charge_that_has_our_reference() -> None:
    processor, network = stripe_that_answers(
        (200, dispute("lost", TAKEN, payment_intent=intent(), created=1_767_225_600))
    )
    state = processor.find_dispute("du_1MtJUT2eZvKYlo2CNaw2HvEv")
    assert state == DisputeState(
        id="du_1MtJUT2eZvKYlo2CNaw2HvEv",
        status=DisputeStatus.LOST,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        currency="USD",
        amount_minor=1000,
        withdrawn_minor=1000,
        reinstated_minor=0,
        fee_minor=1500,
        charge_id=intent()["id"],
        reference="pay_1",
    )
    (sent,) = network.sent
    assert (sent.method.upper(), sent.path) == ("GET", "/v1/disputes/du_1MtJUT2eZvKYlo2CNaw2HvEv")
    assert sent.params == {"expand[0]": "payment_intent"}


@pytest.mark.parametrize(
    ("about", "status", "amounts"),
    [
        (dispute("needs_response", TAKEN), "opened", (1000, 0, 1500)),
        (dispute("under_review"), "opened", (0, 0, 0)),
        (dispute("warning_needs_response"), "opened", (0, 0, 0)),
        (dispute("won", TAKEN), "won", (1000, 0, 1500)),
        (dispute("won", TAKEN, GIVEN_BACK), "won", (1000, 1000, 1500)),
        (dispute("won", TAKEN, FEE_BACK), "won", (1000, 1000, 0)),
        (dispute("won", TAKEN, balance_transaction(900, 0)), "won", (1000, 900, 1500)),
        (dispute("lost", TAKEN), "lost", (1000, 0, 1500)),
    ],
)
def test_withdrawn_reinstated_and_kept_amounts_are_sums_of_balance_transactions(
    about: Any, status: str, amounts: tuple[int, int, int]
) -> None:
    state = read(about)
    assert state.status == status
    assert (state.withdrawn_minor, state.reinstated_minor, state.fee_minor) == amounts


def test_in_a_balance_of_another_currency_the_disputed_amount_counts_without_a_fee() -> None:
    taken, back = balance_transaction(-930, 1400, "eur"), balance_transaction(905, 0, "eur")
    state = read(dispute("needs_response", taken))
    assert (state.withdrawn_minor, state.reinstated_minor, state.fee_minor) == (1000, 0, 0)
    state = read(dispute("won", taken, back))
    assert (state.withdrawn_minor, state.reinstated_minor, state.fee_minor) == (1000, 1000, 0)


def test_amounts_are_converted_to_our_units() -> None:
    moved = balance_transaction(-50000, 150000, "isk")
    state = read(dispute("needs_response", moved, amount=50000, currency="isk"))
    assert (state.currency, state.amount_minor) == ("ISK", 500)
    assert (state.withdrawn_minor, state.fee_minor) == (500, 1500)


def test_an_amount_in_an_unknown_currency_is_not_converted() -> None:
    assert read(dispute("lost", currency="xxx")).currency == "XXX"


def test_a_missing_dispute_is_none_and_an_unclear_answer_is_unknown() -> None:
    processor, _ = stripe_that_answers(MISSING, MISSING)
    assert processor.find_dispute("du_1") is None
    assert processor.find_refund("txn_1", "re_1") is None
    assert processor.find_refund("txn_1", None) is None
    for silence in ((500, error("api_error")), (401, error()), (429, error(code="lock_timeout"))):
        processor, _ = stripe_that_answers(silence, silence)
        with pytest.raises(ProcessorUnknown):
            processor.find_dispute("du_1")
        with pytest.raises(ProcessorUnknown):
            processor.find_refund("txn_1", "re_1")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("succeeded", RefundOutcome.SUCCEEDED),
        ("pending", RefundOutcome.PENDING),
        ("requires_action", RefundOutcome.PENDING),
        ("failed", RefundOutcome.FAILED),
        ("canceled", RefundOutcome.FAILED),
    ],
)
def test_a_refund_is_read_by_its_own_id(status: str, outcome: RefundOutcome) -> None:
    processor, network = stripe_that_answers((200, refund(status)))
    state = processor.find_refund("txn_1", "re_1")
    assert state is not None
    assert (state.outcome, state.amount_minor, state.currency) == (outcome, 400, "USD")
    assert network.sent[0].path == "/v1/refunds/re_1"


def test_recent_events_are_read_from_stripes_own_events() -> None:
    reported = [
        event("charge.dispute.closed", dispute("won", TAKEN)),
        event("refund.failed", refund("failed")),
    ]
    processor, network = stripe_that_answers(
        (200, {"object": "list", "data": reported, "has_more": False, "url": "/v1/events"})
    )
    hints = list(processor.recent_events(datetime(2026, 1, 1, tzinfo=UTC)))
    assert [hint.kind for hint in hints] == [EventKind.DISPUTE_CHANGED, EventKind.REFUND_FAILED]
    (sent,) = network.sent
    assert sent.path == "/v1/events"
    assert sent.params["created[gte]"] == "1767225600"
    assert "charge.dispute.closed" in sent.params.values()


def test_unreadable_events_are_an_unknown_answer() -> None:
    unreadable = {"object": "list", "data": [{"id": "evt"}], "has_more": False}
    for silence in ((500, error("api_error")), (200, unreadable)):
        processor, _ = stripe_that_answers(silence)
        with pytest.raises(ProcessorUnknown):
            list(processor.recent_events(datetime(2026, 1, 1, tzinfo=UTC)))


def test_an_unreadable_event_does_not_block_others() -> None:
    reported = [{"id": "evt"}, event("refund.failed", refund("failed"))]
    processor, _ = stripe_that_answers(
        (200, {"object": "list", "data": reported, "has_more": False, "url": "/v1/events"})
    )
    heard = processor.recent_events(datetime(2026, 1, 1, tzinfo=UTC))
    assert next(heard).kind is EventKind.REFUND_FAILED
    with pytest.raises(ProcessorUnknown):
        next(heard)
