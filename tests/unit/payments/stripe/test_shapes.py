"""The Stripe connector on answers from Stripe's API reference, without a server."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stripe as library

from runtime.core.currency import DECIMALS
from runtime.core.errors import InvalidValue, ProcessorUnknown
from runtime.payments.processors.port import ChargeRequest, OperationRequest
from runtime.payments.processors.stripe.amounts import (
    STRIPE_DECIMALS,
    NotInStripesUnits,
    from_stripe,
    to_stripe,
)
from runtime.payments.processors.stripe.answers import DECLINE_CODES
from runtime.payments.processors.stripe.connector import StripeProcessor, stripe_config
from runtime.payments.rules import Approved, Refused
from runtime.payments.transaction_models import TransactionType
from tests.support.processors.stripe_shapes import (
    Recorded,
    balance_transaction,
    charge,
    error,
    intent,
    refund,
)

PAGE = Path(__file__).resolve().parents[4] / "docs" / "processors.md"
SECRET = "sk_test_marked"
METHOD = "pm_card_marked"
AT = datetime(2026, 1, 1, tzinfo=UTC)
REQUEST = ChargeRequest("pay_1", 1000, "USD", METHOD, AT)
INTENT_ID = intent()["id"]
CAPTURE, REFUND, VOID = (
    OperationRequest(kind, "txn_1", "pay_1", INTENT_ID, 400, "USD", AT)
    for kind in (TransactionType.CAPTURE, TransactionType.REFUND, TransactionType.VOID)
)
CANCELED = intent("canceled")


def connector(network: Recorded) -> StripeProcessor:
    config = stripe_config({"api_key": SECRET})
    return StripeProcessor.of(config, "https://stripe.invalid", 10, network)


def answering(*answers: Any) -> tuple[StripeProcessor, Recorded]:
    network = Recorded(*answers)
    return connector(network), network


def listed(*data: Any) -> tuple[int, Any]:
    return 200, {"object": "list", "data": list(data), "has_more": False, "url": "/v1/x"}


@pytest.mark.parametrize(
    ("moved", "fee"),
    [
        (balance_transaction(1000, 59), 59),
        (balance_transaction(930, 55, "eur"), 0),
        (None, 0),
        ("txn_not_expanded", 0),
    ],
)
def test_the_fee_is_stripes_in_the_charges_currency_or_unknown(moved: Any, fee: int) -> None:
    stripe, _ = answering((200, intent(latest_charge=charge(moved))))
    assert stripe.charge(REQUEST) == Approved(INTENT_ID, fee)


@pytest.mark.parametrize(
    ("currency", "amount", "sent"),
    [
        ("USD", 1999, "1999"),
        ("JPY", 500, "500"),
        ("KWD", 5120, "5120"),
        ("ISK", 5, "500"),
        ("UGX", 5, "500"),
        ("MGA", 500, "5"),
    ],
)
def test_amounts_are_sent_in_stripes_units(currency: str, amount: int, sent: str) -> None:
    stripe, network = answering((200, intent(currency=currency.lower())))
    stripe.charge(replace(REQUEST, amount_minor=amount, currency=currency))
    assert network.sent[0].params["amount"] == sent
    assert network.sent[0].params["currency"] == currency.lower()


def test_the_shops_reference_is_sent_beside_ours_by_which_the_charge_is_found() -> None:
    stripe, network = answering((200, intent()), (200, intent()))
    stripe.charge(REQUEST)
    stripe.charge(replace(REQUEST, shop_reference="order 17"))
    plain, named = (each.params for each in network.sent)
    assert plain["metadata[reference]"] == named["metadata[reference]"] == "pay_1"
    assert "metadata[shop_reference]" not in plain
    assert named["metadata[shop_reference]"] == "order 17"


def test_an_amount_that_stripe_cannot_represent_is_refused_without_a_request() -> None:
    stripe, network = answering()
    odd = replace(REQUEST, amount_minor=550, currency="MGA")
    answer = stripe.charge(odd)
    assert isinstance(answer, Refused)
    assert answer.decline_code == "processor_rejected"
    assert stripe.forbid(odd) is None
    capture = stripe.operate(replace(CAPTURE, amount_minor=550, currency="MGA"))
    assert isinstance(capture, Refused)
    assert not network.sent


@pytest.mark.parametrize("currency", sorted(DECIMALS))
def test_amounts_survive_the_conversion_to_stripes_units(currency: str) -> None:
    whole = 7 * 10 ** DECIMALS[currency]
    assert from_stripe(to_stripe(whole, currency), currency) == whole


def test_a_fraction_of_our_unit_is_rounded_half_up_and_of_stripes_refused() -> None:
    assert [from_stripe(amount, "ISK") for amount in (149, 150, 249, 250)] == [1, 2, 2, 3]
    with pytest.raises(NotInStripesUnits, match="whole MGA"):
        to_stripe(50, "MGA")
    assert set(STRIPE_DECIMALS) <= set(DECIMALS)


def test_a_charge_is_one_confirmed_intent_under_our_reference() -> None:
    stripe, network = answering((200, intent()), (200, intent("requires_capture")))
    stripe.charge(replace(REQUEST, payment_method="cus_1/pm_1", statement_descriptor="SHOP"))
    stripe.charge(replace(REQUEST, capture=False))
    first, second = network.sent
    assert (first.method, first.path) == ("post", "/v1/payment_intents")
    assert first.headers["Idempotency-Key"] == "pay_1"
    assert first.params == {
        "amount": "1000",
        "currency": "usd",
        "payment_method": "pm_1",
        "customer": "cus_1",
        "allowed_payment_method_types[0]": "card",
        "capture_method": "automatic",
        "confirm": "true",
        "metadata[reference]": "pay_1",
        "statement_descriptor_suffix": "SHOP",
        "expand[0]": "latest_charge.balance_transaction",
    }
    assert second.params["capture_method"] == "manual"


@pytest.mark.parametrize(("theirs", "ours"), sorted(DECLINE_CODES.items()))
def test_stripes_decline_code_becomes_our_code(theirs: str, ours: str) -> None:
    by_decline_code = error("card_error", code="card_declined", decline_code=theirs)
    by_code = error("card_error", code=theirs)
    for body in (by_decline_code, by_code):
        stripe, _ = answering((402, body))
        assert stripe.charge(REQUEST) == Refused(None, ours, "As Stripe words it.")


def test_the_documented_table_of_declines_matches_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (yes|no) \| (`.*`) \|$", PAGE.read_text(), re.MULTILINE)
    reported = {theirs: ours for ours, _, cell in rows for theirs in re.findall(r"`(\w+)`", cell)}
    assert reported == DECLINE_CODES
    for ours, later, _ in rows:
        assert Refused(None, ours, "").is_retriable == (later == "yes")


@pytest.mark.parametrize("theirs", ["do_not_honor", "something_new", None])
def test_any_other_decline_is_generic(theirs: str | None) -> None:
    failed = intent("requires_payment_method", last_payment_error={"type": "card_error"})
    body = error("card_error", code="card_declined", decline_code=theirs, payment_intent=failed)
    stripe, _ = answering((402, body))
    assert stripe.charge(REQUEST) == Refused(INTENT_ID, "generic_decline", "As Stripe words it.")


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, error(code="amount_too_small", param="amount"), "processor_rejected"),
        (400, error(code="resource_missing", param="payment_method"), "invalid_payment_method"),
        (404, error(code="resource_missing", param="customer"), "invalid_payment_method"),
        (401, error(), "processor_configuration"),
        (403, error(), "processor_configuration"),
    ],
)
def test_a_request_that_stripe_did_not_begin_is_refused(status: int, body: Any, code: str) -> None:
    body["error"]["message"] = f"Something about {METHOD} and {SECRET}"
    stripe, _ = answering((status, body))
    answer = stripe.charge(REQUEST)
    assert isinstance(answer, Refused)
    assert answer.decline_code == code
    assert "marked" not in repr(answer)


@pytest.mark.parametrize(
    "answer",
    [
        (400, error("idempotency_error")),
        (409, error("idempotency_error")),
        (429, error(code="lock_timeout")),
        (429, error(code="rate_limit")),
        (500, error("api_error")),
        (502, b"<html>bad gateway</html>"),
        (200, b"<html>maintenance</html>"),
        (200, {"object": "payment_intent"}),
        (200, intent(id="pi_" + "x" * 2_100)),
        library.APIConnectionError("no answer"),
    ],
)
def test_an_answer_without_a_clear_outcome_is_unknown(answer: Any) -> None:
    stripe, network = answering(answer)
    with pytest.raises(ProcessorUnknown) as unknown:
        stripe.charge(REQUEST)
    assert len(network.sent) == 1, "the connector does not retry"
    assert "marked" not in str(unknown.value)
    assert unknown.value.__suppress_context__


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_an_error_leaves_the_outcome_unknown(status: int) -> None:
    for ask in (
        lambda s: s.find(REQUEST),
        lambda s: s.forbid(REQUEST),
        lambda s: s.find_operation(CAPTURE),
        lambda s: s.find_operation(REFUND),
    ):
        stripe, _ = answering((status, error()))
        with pytest.raises(ProcessorUnknown):
            ask(stripe)


@pytest.mark.parametrize("status", ["requires_confirmation", "requires_payment_method"])
def test_a_charge_that_was_begun_and_not_attempted_is_canceled(status: str) -> None:
    stripe, network = answering(listed({"id": INTENT_ID}), (200, intent(status)), (200, CANCELED))
    answer = stripe.find(REQUEST)
    assert isinstance(answer, Refused)
    assert answer.decline_code == "canceled"
    assert network.sent[0].params["query"] == "metadata['reference']:'pay_1'"


def test_a_canceled_charge_is_not_canceled_again() -> None:
    refused = (400, error(code="payment_intent_unexpected_state"))
    begun = (200, intent("requires_confirmation"))
    stripe, network = answering(listed({"id": INTENT_ID}), begun, refused, (200, CANCELED))
    assert isinstance(stripe.find(REQUEST), Refused)
    network.close()


def test_a_charge_in_progress_is_unknown_and_a_canceled_one_refused() -> None:
    stripe, _ = answering((200, intent("processing")))
    with pytest.raises(ProcessorUnknown, match="is processing"):
        stripe.charge(REQUEST)
    stripe, _ = answering(listed({"id": INTENT_ID}), (200, CANCELED))
    found = stripe.find(REQUEST)
    assert isinstance(found, Refused)
    assert found.decline_code == "canceled"


def test_forbidding_uses_the_key_for_an_unconfirmed_payment_intent() -> None:
    empty = intent("requires_payment_method", id="pi_empty")
    stripe, network = answering((200, empty), (200, {**CANCELED, "id": "pi_empty"}))
    assert stripe.forbid(REQUEST) is None
    made, canceled = network.sent
    assert made.headers["Idempotency-Key"] == REQUEST.reference
    assert made.params["confirm"] == "false"
    assert "payment_method" not in made.params
    assert "metadata[reference]" not in made.params, "find must not take it for the charge"
    assert canceled.path == "/v1/payment_intents/pi_empty/cancel"


@pytest.mark.parametrize("status", ["pending", "requires_action"])
def test_a_pending_refund_is_unknown(status: str) -> None:
    waiting = refund(status, pending_reason="insufficient_funds")
    for answer in ((200, waiting), listed(waiting)):
        stripe, _ = answering(answer)
        ask = stripe.find_operation if "data" in answer[1] else stripe.operate
        with pytest.raises(ProcessorUnknown, match="insufficient_funds"):
            ask(REFUND)


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_failed_refund_is_refused_with_the_reason(status: str) -> None:
    stripe, _ = answering((200, refund(status, failure_reason="expired_or_canceled_card")))
    answer = stripe.operate(REFUND)
    assert isinstance(answer, Refused)
    assert answer.decline_code == "refund_rejected"
    assert "expired_or_canceled_card" in answer.response_text


def test_our_refund_is_found_among_others_of_the_same_charge() -> None:
    others = [
        refund(id="re_other", metadata={"reference": "txn_0"}),
        refund(id="re_by_hand", metadata={}),
        refund(id="re_old", metadata=None),
    ]
    stripe, network = answering(listed(*others, refund(id="re_ours")), listed(*others))
    assert stripe.find_operation(REFUND) == Approved("re_ours", 0)
    assert stripe.find_operation(REFUND) is None
    assert network.sent[0].params == {"payment_intent": INTENT_ID, "limit": "100"}


def test_a_refund_of_a_disputed_charge_is_refused() -> None:
    stripe, _ = answering((400, error(code="charge_disputed")), listed())
    answer = stripe.operate(REFUND)
    assert isinstance(answer, Refused)
    assert answer.decline_code == "refund_rejected"
    assert "charge_disputed" in answer.response_text


def test_a_capture_that_the_bank_declines_is_refused_with_the_cards_reason() -> None:
    body = error("card_error", code="card_declined", decline_code="insufficient_funds")
    stripe, _ = answering((402, body))
    answer = stripe.operate(CAPTURE)
    assert isinstance(answer, Refused)
    assert answer.decline_code == "insufficient_funds"


def test_a_capture_of_another_amount_is_not_ours() -> None:
    stripe, _ = answering((200, intent(amount_received=401)))
    answer = stripe.find_operation(CAPTURE)
    assert isinstance(answer, Refused)
    assert answer.decline_code == "capture_rejected"


@pytest.mark.parametrize("request_", [CAPTURE, VOID])
def test_an_operation_that_left_the_charge_unchanged_is_unknown(request_: OperationRequest) -> None:
    stripe, _ = answering((200, intent("requires_capture")))
    with pytest.raises(ProcessorUnknown, match="requires_capture"):
        stripe.operate(request_)


@pytest.mark.parametrize("request_", [CAPTURE, REFUND, VOID])
def test_operations_use_their_own_reference_as_key(request_: OperationRequest) -> None:
    stripe, network = answering((401, error()))
    answer = stripe.operate(request_)
    assert isinstance(answer, Refused)
    assert answer.decline_code == "processor_configuration"
    assert network.sent[0].headers["Idempotency-Key"] == "txn_1"


def test_no_machine_data_is_sent_and_no_card_data_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    stripe, network = answering((200, intent()), (200, intent()))
    stripe.charge(REQUEST)
    stripe.charge(REQUEST)
    for sent in network.sent:
        assert "X-Stripe-Client-Telemetry" not in sent.headers
        assert "platform" not in sent.headers["X-Stripe-Client-User-Agent"]
        assert sent.headers["Authorization"] == f"Bearer {SECRET}"
    assert "marked" not in caplog.text
    assert "marked" not in repr(stripe)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "api_key must be"),
        ({"api_key": "pk_test_marked"}, "api_key must be"),
        ({"api_key": "sk_test_marked\n"}, "api_key must be"),
        ({"api_key": 7}, "api_key must be"),
        ({"api_key": "sk_live_x", "webhook_secret": "marked"}, "webhook_secret must be"),
        ({"api_key": "marked", "webhook_secret": "marked"}, "api_key .*; webhook_secret"),
    ],
)
def test_an_invalid_configuration_is_refused_without_being_repeated(config: Any, said: str) -> None:
    with pytest.raises(InvalidValue, match=said) as refused:
        stripe_config(config)
    assert refused.value.param == "processor_config"
    assert "marked" not in refused.value.detail
    assert refused.value.__context__ is None


def test_a_configuration_shows_no_secret_and_may_have_extra_members() -> None:
    keys = {"api_key": "rk_live_marked", "webhook_secret": "whsec_marked", "note": "x"}
    config = stripe_config(keys)
    assert config.webhook_secret == "whsec_marked"
    assert "marked" not in repr(config)


@pytest.mark.parametrize(
    "method", ["pm_1Nx", "pm_card_visa", "card_1Nx", "src_1Nx", "cus_9/pm_1Nx"]
)
def test_stripes_payment_methods_are_accepted(method: str) -> None:
    stripe, _ = answering()
    stripe.check_method(method)


@pytest.mark.parametrize(
    "method", ["tok_approved", "pm_", "pm_1 ", "cus_9/", "cus_9", "x/pm_1", ""]
)
def test_other_payment_methods_are_refused(method: str) -> None:
    stripe, _ = answering()
    with pytest.raises(InvalidValue) as refused:
        stripe.check_method(method)
    assert refused.value.param == "payment_method"
