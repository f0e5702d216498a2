"""The Stripe connector over HTTP, against a stateful server (docs/processors.md)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from runtime.core.errors import InvalidValue, ProcessorUnknown
from runtime.payments.processors.port import ChargeRequest, OperationRequest, ProcessorIdentity
from runtime.payments.processors.stripe.connector import StripeProcessor, stripe_config
from runtime.payments.rules import Approved, ProcessorAnswer, Refused
from runtime.payments.transaction_models import TransactionType
from tests.support.processors.localstripe import stand_in_for_stripe
from tests.support.processors.stripe_proxy import LOST_ANSWER, LOST_REQUEST, Fault, StripeProxy
from tests.support.processors.stripe_rules import RESTRICTED_KEY, WRONG_KEY

PATIENT_SECONDS, IMPATIENT_SECONDS = 10.0, 0.3
AT = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "sk_test_shop"
VISA = "pm_card_visa"
T = TypeVar("T")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StripeProxy]:
    with stand_in_for_stripe(tmp_path_factory.mktemp("localstripe") / "log") as proxy:
        yield proxy


@pytest.fixture
def proxy(server: StripeProxy) -> Iterator[StripeProxy]:
    yield server
    assert not server.faults, "a fault set up by the test did not occur"
    server.search_shows_new = True


@pytest.fixture
def stripe(proxy: StripeProxy) -> StripeProcessor:
    return connector(proxy)


@pytest.fixture
def impatient(proxy: StripeProxy) -> StripeProcessor:
    return connector(proxy, timeout_seconds=IMPATIENT_SECONDS)


def connector(
    proxy: StripeProxy, key: str = KEY, timeout_seconds: float = PATIENT_SECONDS
) -> StripeProcessor:
    return StripeProcessor.of(stripe_config({"api_key": key}), proxy.url, timeout_seconds)


def charge_request(method: str = VISA, amount: int = 1000, **members: Any) -> ChargeRequest:
    reference = f"pay_{next(_numbers)}"
    return ChargeRequest(reference, amount, "USD", method, AT, **members)


def operation(
    kind: TransactionType, charge: ChargeRequest, answer: ProcessorAnswer, amount: int = 1000
) -> OperationRequest:
    assert isinstance(answer, Approved)
    reference = f"txn_{next(_numbers)}"
    return OperationRequest(
        kind, reference, charge.reference, answer.processor_id, amount, "USD", AT
    )


def eventually(ask: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + PATIENT_SECONDS
    while not (found := ask()):
        assert time.monotonic() < deadline, "it did not occur"
        time.sleep(0.05)
    return found


def has_arrived(proxy: StripeProxy, request: ChargeRequest) -> bool:
    carried = (params.get("metadata[reference]") for *_, params in proxy.requests)
    return request.reference in carried


def charges_of(proxy: StripeProxy, request: ChargeRequest) -> list[dict[str, Any]]:
    return [
        intent
        for intent in proxy.intents()
        if intent["metadata"].get("reference") == request.reference
    ]


def test_each_key_has_the_account_and_mode_that_stripe_reports(proxy: StripeProxy) -> None:
    proxy.accounts |= {"sk_test_first": "acct_1", "rk_test_second": "acct_1"}
    for key in ("sk_test_first", "rk_test_second"):
        assert connector(proxy, key).identify() == ProcessorIdentity("acct_1", "test")
    other = connector(proxy, "sk_live_other").identify()
    assert other.mode == "live"
    assert other.account != "acct_1"


@pytest.mark.parametrize("key", [WRONG_KEY, RESTRICTED_KEY])
def test_a_key_that_stripe_rejects_has_no_identity(proxy: StripeProxy, key: str) -> None:
    with pytest.raises(InvalidValue, match="Stripe rejected api_key") as refused:
        connector(proxy, key).identify()
    assert refused.value.param == "processor_config"
    assert key not in refused.value.detail


def test_the_owner_of_a_key_is_unknown_while_stripe_does_not_answer() -> None:
    unreachable = StripeProcessor.of(stripe_config({"api_key": KEY}), "http://127.0.0.1:9", 1)
    with pytest.raises(ProcessorUnknown):
        unreachable.identify()


def test_a_sale_is_charged_once_with_its_fee_and_carries_our_reference(
    proxy: StripeProxy, stripe: StripeProcessor
) -> None:
    request = charge_request()
    answer = stripe.charge(request)
    assert isinstance(answer, Approved)
    assert answer.fee_minor == 59
    (intent,) = charges_of(proxy, request)
    assert intent["id"] == answer.processor_id
    assert (intent["status"], intent["amount"], intent["currency"]) == ("succeeded", 1000, "usd")


def test_a_repeated_reference_gets_the_same_answer(
    proxy: StripeProxy, stripe: StripeProcessor
) -> None:
    request = charge_request()
    first = stripe.charge(request)
    assert stripe.charge(request) == first
    assert stripe.find(request) == first
    assert len(charges_of(proxy, request)) == 1


@pytest.mark.parametrize(
    ("method", "code", "retriable"),
    [
        ("pm_card_chargeDeclined", "generic_decline", False),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds", True),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", False),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", False),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", True),
        ("pm_card_chargeDeclinedFraudulent", "fraudulent", False),
        ("pm_card_visa_chargeDeclinedStolenCard", "fraudulent", False),
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "velocity_exceeded", True),
        ("pm_card_authenticationRequired", "authentication_required", False),
    ],
)
def test_a_declined_card_is_refused_at_once_and_found_as_refused_later(
    stripe: StripeProcessor, method: str, code: str, retriable: bool
) -> None:
    request = charge_request(method)
    answer = stripe.charge(request)
    assert isinstance(answer, Refused)
    assert (answer.decline_code, answer.is_retriable) == (code, retriable)
    assert answer.response_text.startswith("Your card was declined")
    assert answer.processor_id is not None
    assert stripe.find(request) == answer
    assert stripe.charge(request) == answer


def test_an_unknown_method_is_refused_without_being_repeated(
    stripe: StripeProcessor,
) -> None:
    answer = stripe.charge(charge_request("pm_unknown"))
    assert isinstance(answer, Refused)
    assert answer.decline_code == "invalid_payment_method"
    assert "pm_unknown" not in answer.response_text


@pytest.mark.parametrize("key", [WRONG_KEY, RESTRICTED_KEY])
def test_a_key_without_permission_to_charge_is_refused_and_never_shown(
    proxy: StripeProxy, key: str
) -> None:
    stripe = connector(proxy, key)
    answer = stripe.charge(charge_request())
    assert isinstance(answer, Refused)
    assert answer.decline_code == "processor_configuration"
    assert key not in repr(answer) + repr(stripe)
    with pytest.raises(ProcessorUnknown) as unknown:
        stripe.find(charge_request())
    assert key not in str(unknown.value)


@pytest.mark.parametrize(
    "fault",
    [
        LOST_ANSWER,
        Fault(status=500),
        Fault(status=503),
        Fault(status=409),
        Fault(status=429),
    ],
)
def test_a_charge_with_a_lost_answer_is_unknown_and_found(
    proxy: StripeProxy, stripe: StripeProcessor, fault: Fault
) -> None:
    request = charge_request()
    proxy.faults.append(fault)
    with pytest.raises(ProcessorUnknown):
        stripe.charge(request)
    found = stripe.find(request)
    assert isinstance(found, Approved)
    assert stripe.charge(request) == found
    assert len(charges_of(proxy, request)) == 1


def test_a_charge_that_times_out_is_unknown_and_found(
    proxy: StripeProxy, stripe: StripeProcessor, impatient: StripeProcessor
) -> None:
    request = charge_request()
    proxy.faults.append(Fault(answers_after_seconds=3 * IMPATIENT_SECONDS))
    with pytest.raises(ProcessorUnknown, match="Stripe: ReadTimeout"):
        impatient.charge(request)
    found = eventually(lambda: stripe.find(request))
    assert isinstance(found, Approved)
    assert stripe.charge(request) == found


def test_a_refused_connection_is_unknown(proxy: StripeProxy) -> None:
    unreachable = StripeProcessor.of(stripe_config({"api_key": KEY}), "http://127.0.0.1:9", 1)
    with pytest.raises(ProcessorUnknown, match="Stripe: ConnectionError"):
        unreachable.charge(charge_request())


def test_a_charge_that_never_arrived_is_forbidden_and_cannot_be_made_later(
    proxy: StripeProxy, stripe: StripeProcessor
) -> None:
    request = charge_request()
    proxy.faults.append(LOST_REQUEST)
    with pytest.raises(ProcessorUnknown):
        stripe.charge(request)
    assert stripe.find(request) is None
    assert stripe.forbid(request) is None
    assert stripe.forbid(request) is None, "a repeated request gets the same answer"
    with pytest.raises(ProcessorUnknown):
        stripe.charge(request)
    assert stripe.find(request) is None
    assert charges_of(proxy, request) == []
    empty = [i for i in proxy.intents() if request.reference in i["metadata"].values()]
    assert [intent["status"] for intent in empty] == ["canceled"]


def test_a_request_that_arrives_after_it_was_forbidden_charges_nothing(
    proxy: StripeProxy, stripe: StripeProcessor, impatient: StripeProcessor
) -> None:
    request = charge_request()
    proxy.faults.append(Fault(arrives_after_seconds=5 * IMPATIENT_SECONDS))
    with pytest.raises(ProcessorUnknown):
        impatient.charge(request)
    assert stripe.forbid(request) is None
    assert not has_arrived(proxy, request)
    eventually(lambda: has_arrived(proxy, request))
    assert stripe.forbid(request) is None
    assert charges_of(proxy, request) == []


def test_forbidding_a_charged_reference_reports_the_charge(
    stripe: StripeProcessor,
) -> None:
    request = charge_request()
    charged = stripe.charge(request)
    assert stripe.forbid(request) == charged


def test_forbidding_a_declined_reference_reports_the_decline(
    stripe: StripeProcessor,
) -> None:
    request = charge_request("pm_card_chargeDeclinedInsufficientFunds")
    declined = stripe.charge(request)
    assert stripe.forbid(request) == declined


def test_while_the_search_lags_a_charged_reference_is_unknown_and_not_forbidden(
    proxy: StripeProxy, stripe: StripeProcessor
) -> None:
    request = charge_request()
    charged = stripe.charge(request)
    proxy.search_shows_new = False
    assert stripe.find(request) is None
    with pytest.raises(ProcessorUnknown, match="its charge is not found yet"):
        stripe.forbid(request)
    proxy.search_shows_new = True
    assert stripe.forbid(request) == charged


def test_a_lost_answer_to_forbidding_is_unknown_and_forbidden_at_the_next_request(
    proxy: StripeProxy, stripe: StripeProcessor
) -> None:
    request = charge_request()
    for lost in ((LOST_ANSWER,), (Fault(), LOST_ANSWER)):
        proxy.faults.extend(lost)
        with pytest.raises(ProcessorUnknown):
            stripe.forbid(request)
    assert stripe.forbid(request) is None


def test_an_authorization_is_captured_in_part_with_the_fee_of_that_part(
    proxy: StripeProxy, stripe: StripeProcessor
) -> None:
    request = charge_request(capture=False)
    authorized = stripe.charge(request)
    assert isinstance(authorized, Approved)
    assert authorized.fee_minor == 0, "not known before the capture"
    capture = operation(TransactionType.CAPTURE, request, authorized, 600)
    assert stripe.find_operation(capture) is None
    answer = stripe.operate(capture)
    assert answer == Approved(authorized.processor_id, 47)
    assert stripe.operate(capture) == answer
    assert stripe.find_operation(capture) == answer
    (intent,) = charges_of(proxy, request)
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 600)
    assert not stripe.captures_in_parts


def test_a_second_capture_is_refused(stripe: StripeProcessor) -> None:
    request = charge_request(capture=False)
    authorized = stripe.charge(request)
    stripe.operate(operation(TransactionType.CAPTURE, request, authorized, 600))
    second = stripe.operate(operation(TransactionType.CAPTURE, request, authorized, 400))
    assert isinstance(second, Refused)
    assert second.decline_code == "capture_rejected"


def test_a_voided_authorization_cannot_be_captured(stripe: StripeProcessor) -> None:
    request = charge_request(capture=False)
    authorized = stripe.charge(request)
    void = operation(TransactionType.VOID, request, authorized)
    assert stripe.find_operation(void) is None
    answer = stripe.operate(void)
    assert isinstance(answer, Approved)
    assert stripe.operate(void) == answer == stripe.find_operation(void)
    capture = stripe.operate(operation(TransactionType.CAPTURE, request, authorized))
    assert isinstance(capture, Refused)
    assert capture.decline_code == "capture_rejected"


def test_a_captured_amount_cannot_be_voided(stripe: StripeProcessor) -> None:
    request = charge_request()
    charged = stripe.charge(request)
    void = stripe.operate(operation(TransactionType.VOID, request, charged))
    assert isinstance(void, Refused)
    assert void.decline_code == "void_rejected"


def test_refunds_are_made_once_each_up_to_the_captured_amount(stripe: StripeProcessor) -> None:
    request = charge_request()
    charged = stripe.charge(request)
    part = operation(TransactionType.REFUND, request, charged, 400)
    assert stripe.find_operation(part) is None
    answer = stripe.operate(part)
    assert isinstance(answer, Approved)
    assert answer.processor_id.startswith("re_")
    assert stripe.operate(part) == answer == stripe.find_operation(part)
    too_much = stripe.operate(operation(TransactionType.REFUND, request, charged, 601))
    rest = stripe.operate(operation(TransactionType.REFUND, request, charged, 600))
    one_more = stripe.operate(operation(TransactionType.REFUND, request, charged, 1))
    assert isinstance(rest, Approved)
    for refused in (too_much, one_more):
        assert isinstance(refused, Refused)
        assert refused.decline_code == "refund_rejected"


@pytest.mark.parametrize("kind", [TransactionType.CAPTURE, TransactionType.VOID])
def test_a_capture_or_void_with_a_lost_answer_is_found(
    proxy: StripeProxy, stripe: StripeProcessor, kind: TransactionType
) -> None:
    request = charge_request(capture=False)
    asked = operation(kind, request, stripe.charge(request))
    proxy.faults.append(LOST_ANSWER)
    with pytest.raises(ProcessorUnknown):
        stripe.operate(asked)
    assert isinstance(stripe.find_operation(asked), Approved)


def test_a_refund_with_a_lost_answer_is_found_and_not_made_twice(
    proxy: StripeProxy, stripe: StripeProcessor
) -> None:
    request = charge_request()
    refund = operation(TransactionType.REFUND, request, stripe.charge(request))
    proxy.faults.append(LOST_ANSWER)
    with pytest.raises(ProcessorUnknown):
        stripe.operate(refund)
    found = stripe.find_operation(refund)
    assert isinstance(found, Approved)
    assert stripe.operate(refund) == found


@pytest.mark.parametrize("kind", list(TransactionType)[1:])
def test_an_operation_already_done_is_recognized_although_its_key_is_forgotten(
    proxy: StripeProxy, stripe: StripeProcessor, kind: TransactionType
) -> None:
    request = charge_request(capture=kind is TransactionType.REFUND)
    asked = operation(kind, request, stripe.charge(request))
    answer = stripe.operate(asked)
    proxy.forget_keys()
    assert stripe.operate(asked) == answer


def test_an_operation_on_a_charge_of_another_account_is_refused(stripe: StripeProcessor) -> None:
    elsewhere = Approved("pi_elsewhere", 0)
    for kind in list(TransactionType)[1:]:
        answer = stripe.operate(operation(kind, charge_request(), elsewhere))
        assert isinstance(answer, Refused)
        assert answer.decline_code == f"{kind}_rejected"


def test_the_statement_descriptor_and_customer_are_sent(
    proxy: StripeProxy, stripe: StripeProcessor
) -> None:
    request = charge_request(statement_descriptor="SHOP 7")
    stripe.charge(request)
    stripe.charge(replace(charge_request(), payment_method=f"cus_unknown/{VISA}"))
    described, with_customer = (params for _, _, params in proxy.requests[-2:])
    assert described["statement_descriptor_suffix"] == "SHOP 7"
    assert (with_customer["customer"], with_customer["payment_method"]) == ("cus_unknown", VISA)
