"""A payment of a customer without a payment method: its default one is charged, once per key."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from runtime.core.errors import InvalidValue, NotFound
from runtime.core.scope import UNRESTRICTED
from runtime.customers.api import CustomerPatch, MethodRequest
from runtime.customers.customers import change_customer, erase_customer
from runtime.customers.models import Customer
from runtime.customers.payment_methods import add_method, remove_method
from runtime.http.responses import StoredAnswer
from runtime.merchants.models import MerchantProfile
from runtime.payments.api import PaymentRequest
from runtime.payments.charge.charge import create_payment
from tests.support.platform import Platform, at_once

SALE = {"amount": 1000, "currency": "USD"}


class Buyer:
    """A customer of a merchant, with the payment methods that a test gives it."""

    def __init__(self, platform: Platform, merchant: MerchantProfile) -> None:
        self.platform, self.merchant = platform, merchant
        self.id = platform.customer(merchant)
        self.deps = platform.customer_dependencies()

    def add(self, token: str, *, is_default: bool = False) -> str:
        body: dict[str, Any] = {
            "type": "card",
            "token": token,
            "last4": "4242",
            "is_default": is_default,
        }
        call = self.platform.call(self.merchant, body)
        answer = add_method(self.id, MethodRequest.model_validate(body), call, self.deps)
        return str(json.loads(answer.body)["id"])

    def prefer(self, method_id: str | None) -> None:
        body = {"default_method": method_id}
        call = self.platform.call(self.merchant, body)
        change_customer(self.id, CustomerPatch.model_validate(body), call, self.deps)

    def pay(self, key: str, **body: Any) -> StoredAnswer:
        sale = {**SALE, "customer_id": self.id, **body}
        call = self.platform.call(self.merchant, sale, key)
        return create_payment(PaymentRequest.model_validate(sale), call, self.platform.deps())


@pytest.fixture
def buyer(platform: Platform) -> Buyer:
    return Buyer(platform, platform.merchant())


def test_the_default_method_is_charged_and_named_by_the_payment(buyer: Buyer) -> None:
    buyer.add("tok_declined")
    preferred = buyer.add("tok_approved", is_default=True)
    answer = buyer.pay("k")
    assert answer.status == 201
    shown = json.loads(answer.body)
    assert (shown["customer_id"], shown["payment_method"]) == (buyer.id, preferred)


def test_a_method_that_is_named_is_charged_instead(buyer: Buyer) -> None:
    refused = buyer.add("tok_declined")
    buyer.add("tok_approved", is_default=True)
    assert buyer.pay("k", payment_method=refused).status == 402
    assert buyer.pay("l", payment_method="tok_approved").status == 201


def test_a_key_has_one_answer_whatever_becomes_of_the_default(buyer: Buyer) -> None:
    first_method = buyer.add("tok_approved", is_default=True)
    first = buyer.pay("k")
    buyer.add("tok_declined", is_default=True)
    assert buyer.pay("k") == first.again()
    buyer.prefer(None)
    assert buyer.pay("k") == first.again()
    remove_method(buyer.id, first_method, buyer.platform.call(buyer.merchant), buyer.deps)
    assert buyer.pay("k") == first.again()
    erase_customer(buyer.id, buyer.platform.call(buyer.merchant), buyer.deps)
    assert buyer.pay("k") == first.again()
    assert len(buyer.platform.charges()) == 1


def test_a_customer_without_a_default_is_refused_until_it_has_one(buyer: Buyer) -> None:
    method = buyer.add("tok_approved")
    with pytest.raises(InvalidValue, match="no default payment method; send") as refused:
        buyer.pay("k")
    assert refused.value.param == "payment_method"
    assert buyer.platform.payments() == []
    buyer.prefer(method)
    assert buyer.pay("k").status == 201, "a refusal that was not stored does not use up the key"


def test_a_default_whose_method_was_removed_is_no_default(buyer: Buyer) -> None:
    method = buyer.add("tok_approved", is_default=True)
    remove_method(buyer.id, method, buyer.platform.call(buyer.merchant), buyer.deps)
    with pytest.raises(InvalidValue, match="no default payment method"):
        buyer.pay("k")


def test_the_default_of_anothers_unknown_or_erased_customer_is_not_charged(buyer: Buyer) -> None:
    platform = buyer.platform
    other = Buyer(platform, platform.merchant())
    other.add("tok_approved", is_default=True)
    for customer in (other.id, "cus_unknown"):
        with pytest.raises(NotFound, match=f"No such customer: {customer}"):
            buyer.pay("k", customer_id=customer)
    buyer.add("tok_approved", is_default=True)
    erase_customer(buyer.id, platform.call(buyer.merchant), buyer.deps)
    with pytest.raises(NotFound):
        buyer.pay("k")
    assert platform.charges() == []


def test_copies_of_a_request_charge_once_while_the_default_changes(buyer: Buyer) -> None:
    methods = [buyer.add("tok_approved", is_default=True), buyer.add("tok_approved")]

    def step(number: int) -> None:
        if number % 4 == 0:
            buyer.prefer(methods[number // 4 % 2])
        else:
            buyer.pay("k")

    at_once(*(partial(step, number) for number in range(8)))
    assert len(buyer.platform.charges()) == 1
    (payment,) = buyer.platform.payments()
    assert payment.payment_method in methods
    row = buyer.platform.store.get(Customer, {"id": buyer.id}, Customer, UNRESTRICTED)
    assert row is not None
    assert row.default_method in methods
