"""3-D Secure through the Stripe connector, over HTTP: customers who approve, fail or do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from runtime.core.errors import ProcessorUnknown
from runtime.payments.processors.port import ChargeRequest
from runtime.payments.processors.stripe.connector import StripeProcessor
from runtime.payments.rules import ActionRequired, Approved, Refused
from runtime.payments.transaction_models import TransactionType
from tests.integration.payments.processors.test_stripe_connector import (
    charge_request,
    charges_of,
    connector,
    operation,
)
from tests.support.processors.localstripe import stand_in_for_stripe
from tests.support.processors.stripe_proxy import LOST_ANSWER, StripeProxy

AUTHENTICATED = "pm_card_threeDSecure2Required"
DECLINED_AFTERWARDS = "pm_card_threeDSecureRequiredChargeDeclined"
RETURN_URL = "https://shop.example/done"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StripeProxy]:
    with stand_in_for_stripe(tmp_path_factory.mktemp("localstripe") / "log") as proxy:
        yield proxy


@pytest.fixture
def stripe(proxy: StripeProxy) -> StripeProcessor:
    return connector(proxy)


def waiting(stripe: StripeProcessor, request: ChargeRequest) -> ActionRequired:
    reply = stripe.charge(request)
    assert isinstance(reply, ActionRequired)
    return reply


def test_the_customer_is_redirected_or_acts_in_the_shops_page(stripe: StripeProcessor) -> None:
    request = charge_request(AUTHENTICATED)
    in_page = waiting(stripe, request)
    assert (in_page.type, in_page.url) == ("use_stripe_sdk", None)
    assert in_page.client_secret is not None
    assert in_page.client_secret.startswith(f"{in_page.processor_id}_secret_")
    redirected = waiting(stripe, charge_request(AUTHENTICATED, return_url=RETURN_URL))
    assert redirected.type == "redirect_to_url"
    assert redirected.url is not None
    assert redirected.url.startswith("https://hooks.stripe.com/")
    assert stripe.find(request) == stripe.find_waiting(request, in_page.processor_id) == in_page


@pytest.mark.parametrize("capture", [True, False])
def test_a_customer_who_authenticates_is_charged_once(
    proxy: StripeProxy, stripe: StripeProcessor, capture: bool
) -> None:
    request = replace(charge_request(AUTHENTICATED, return_url=RETURN_URL), capture=capture)
    made = waiting(stripe, request)
    after = proxy.authenticate(made.processor_id, succeeds=True)
    assert after["status"] == ("succeeded" if capture else "requires_capture")
    assert after["next_action"] is None
    answer = stripe.find_waiting(request, made.processor_id)
    assert answer == Approved(made.processor_id, 59 if capture else 0)
    [intent] = charges_of(proxy, request)
    assert intent["amount_received"] == (1000 if capture else 0)


@pytest.mark.parametrize(
    ("method", "succeeds", "code"),
    [
        (AUTHENTICATED, False, "authentication_failed"),
        (DECLINED_AFTERWARDS, True, "generic_decline"),
    ],
)
def test_a_customer_who_fails_or_is_declined_pays_nothing_and_cannot_try_again(
    proxy: StripeProxy, stripe: StripeProcessor, method: str, succeeds: bool, code: str
) -> None:
    request = charge_request(method)
    made = waiting(stripe, request)
    after = proxy.authenticate(made.processor_id, succeeds=succeeds)
    assert (after["status"], after["amount_received"]) == ("requires_payment_method", 0)
    answer = stripe.find_waiting(request, made.processor_id)
    assert isinstance(answer, Refused)
    assert answer.decline_code == code
    assert [each["status"] for each in charges_of(proxy, request)] == ["canceled"]


def test_a_customer_who_does_nothing_can_no_longer_pay_after_the_void(
    proxy: StripeProxy, stripe: StripeProcessor
) -> None:
    request = charge_request(AUTHENTICATED)
    made = waiting(stripe, request)
    void = operation(TransactionType.VOID, request, Approved(made.processor_id, 0))
    assert stripe.operate(replace(void, abandoned=True)) == Approved(made.processor_id, 0)
    assert proxy.requests[-1][2].get("cancellation_reason") == "abandoned"
    with pytest.raises(AssertionError, match="is canceled"):
        proxy.authenticate(made.processor_id, succeeds=True)


def test_a_charge_with_a_lost_response_is_found_with_its_action(
    proxy: StripeProxy, stripe: StripeProcessor
) -> None:
    request = charge_request(AUTHENTICATED, return_url=RETURN_URL)
    proxy.faults.append(LOST_ANSWER)
    with pytest.raises(ProcessorUnknown):
        stripe.charge(request)
    found = stripe.find(request)
    assert isinstance(found, ActionRequired)
    assert found == stripe.charge(request), "Stripe repeats its answer under the same key"
    assert len(charges_of(proxy, request)) == 1
