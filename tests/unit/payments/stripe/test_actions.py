"""3-D Secure at Stripe, in the shapes of its API reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runtime.core.errors import ProcessorUnknown
from runtime.payments.rules import ActionRequired, Approved, Refused
from runtime.payments.transaction_models import TransactionType
from tests.support.processors.stripe_shapes import Recorded, error, intent
from tests.unit.payments.stripe.test_shapes import (
    INTENT_ID,
    REQUEST,
    VOID,
    answering,
    listed,
)

URL = "https://hooks.stripe.com/redirect/authenticate/src_1?client_secret=src_client_secret_1"
SECRET = str(intent()["client_secret"])
REDIRECT = {
    "type": "redirect_to_url",
    "redirect_to_url": {"url": URL, "return_url": "https://shop.example/done"},
}
SDK = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
WAITING = intent("requires_action", next_action=REDIRECT)
AUTHENTICATION_FAILED = {
    "type": "invalid_request_error",
    "code": "payment_intent_authentication_failure",
    "message": "The provided PaymentMethod has failed authentication.",
}
FAILED = intent("requires_payment_method", last_payment_error=AUTHENTICATION_FAILED)
CANCELED = intent("canceled")


def _paths(network: Recorded) -> list[str]:
    return [f"{each.method} {each.path}" for each in network.sent]


def test_the_customer_is_sent_to_stripes_url_and_comes_back_to_the_return_url() -> None:
    stripe, network = answering((200, WAITING))
    reply = stripe.charge(replace(REQUEST, return_url="https://shop.example/done"))
    assert reply == ActionRequired(INTENT_ID, "redirect_to_url", URL, SECRET)
    assert network.sent[0].params["return_url"] == "https://shop.example/done"
    assert "error_on_requires_action" not in network.sent[0].params


def test_without_a_return_url_stripes_library_acts_with_the_client_secret() -> None:
    stripe, network = answering((200, intent("requires_action", next_action=SDK)))
    reply = stripe.charge(REQUEST)
    assert reply == ActionRequired(INTENT_ID, "use_stripe_sdk", None, SECRET)
    assert "return_url" not in network.sent[0].params


def test_what_lets_its_holder_act_is_not_in_the_text_of_an_object() -> None:
    stripe, _ = answering((200, WAITING))
    text = repr(stripe.charge(replace(REQUEST, return_url="https://shop.example/secret-path")))
    assert SECRET not in text
    assert URL not in text
    assert "secret-path" not in repr(
        replace(REQUEST, return_url="https://shop.example/secret-path")
    )


def test_a_lost_answer_is_found_with_its_action() -> None:
    stripe, _ = answering(listed({"id": INTENT_ID}), (200, WAITING))
    assert isinstance(stripe.find(REQUEST), ActionRequired)


def test_an_action_that_stripe_does_not_describe_is_unknown() -> None:
    stripe, _ = answering((200, intent("requires_action")))
    with pytest.raises(ProcessorUnknown, match="does not say which"):
        stripe.charge(REQUEST)


@pytest.mark.parametrize("status", ["succeeded", "requires_capture"])
def test_a_customer_who_authenticated_is_charged(status: str) -> None:
    stripe, network = answering((200, intent(status)))
    assert stripe.find_waiting(REQUEST, INTENT_ID) == Approved(INTENT_ID, 0)
    assert _paths(network) == [f"get /v1/payment_intents/{INTENT_ID}"]


def test_a_customer_who_has_not_acted_is_waited_for() -> None:
    stripe, _ = answering((200, WAITING))
    assert isinstance(stripe.find_waiting(REQUEST, INTENT_ID), ActionRequired)


def test_a_charge_in_processing_has_no_answer_yet() -> None:
    stripe, _ = answering((200, intent("processing")))
    with pytest.raises(ProcessorUnknown):
        stripe.find_waiting(REQUEST, INTENT_ID)


def test_a_failed_authentication_is_refused_only_after_the_intent_is_canceled() -> None:
    """With the client secret, the customer could otherwise pay it with another card later."""
    stripe, network = answering((200, FAILED), (200, CANCELED))
    reply = stripe.find_waiting(REQUEST, INTENT_ID)
    assert isinstance(reply, Refused)
    assert reply.decline_code == "authentication_failed"
    assert _paths(network)[1] == f"post /v1/payment_intents/{INTENT_ID}/cancel"


def test_a_customer_who_pays_with_another_card_before_that_is_charged() -> None:
    refused = (400, error(code="payment_intent_unexpected_state"))
    stripe, _ = answering((200, FAILED), refused, (200, intent("succeeded")))
    assert stripe.find_waiting(REQUEST, INTENT_ID) == Approved(INTENT_ID, 0)


def test_a_customer_who_tries_another_card_meanwhile_is_waited_for() -> None:
    refused = (400, error(code="payment_intent_unexpected_state"))
    stripe, _ = answering((200, FAILED), refused, (200, WAITING))
    assert isinstance(stripe.find_waiting(REQUEST, INTENT_ID), ActionRequired)


@pytest.mark.parametrize(
    ("canceled", "code"),
    [
        (CANCELED, "canceled"),
        (intent("canceled", last_payment_error=AUTHENTICATION_FAILED), "authentication_failed"),
    ],
)
def test_a_canceled_intent_is_final(canceled: Any, code: str) -> None:
    stripe, network = answering((200, canceled))
    reply = stripe.find_waiting(REQUEST, INTENT_ID)
    assert isinstance(reply, Refused)
    assert reply.decline_code == code
    assert len(network.sent) == 1


def test_an_intent_of_another_amount_is_not_ours() -> None:
    stripe, _ = answering((200, intent(amount=999)))
    with pytest.raises(ProcessorUnknown, match="not our amount"):
        stripe.find_waiting(REQUEST, INTENT_ID)


@pytest.mark.parametrize("abandoned", [False, True])
def test_a_void_of_a_waiting_charge_cancels_it_and_says_why(*, abandoned: bool) -> None:
    assert VOID.kind is TransactionType.VOID
    stripe, network = answering((200, CANCELED))
    assert isinstance(stripe.operate(replace(VOID, abandoned=abandoned)), Approved)
    assert network.sent[0].path == f"/v1/payment_intents/{INTENT_ID}/cancel"
    assert network.sent[0].params == ({"cancellation_reason": "abandoned"} if abandoned else {})


def test_a_void_of_a_charge_that_was_approved_just_before_is_refused() -> None:
    refused = (400, error(code="payment_intent_unexpected_state"))
    stripe, _ = answering(refused, (200, intent("succeeded")))
    assert isinstance(stripe.operate(VOID), Refused)
