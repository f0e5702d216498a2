"""Everything that changes something: the function behind POST."""

from __future__ import annotations

from runtime.bootstrap import process_services
from runtime.contract.accounts import AccountRequest
from runtime.contract.answers import StoredAnswer
from runtime.contract.customers import CustomerRequest
from runtime.contract.merchants import MerchantRequest
from runtime.contract.payments import PaymentRequest
from runtime.handlers.http import HttpFunction
from runtime.handlers.request import Request
from runtime.services.accounts import create_account
from runtime.services.customers import create_customer
from runtime.services.merchants import create_merchant
from runtime.services.payments import create_payment

handler = HttpFunction("process", begin=lambda context: process_services().begin(context))


@handler.handles("createMerchant")
def post_merchant(request: Request) -> StoredAnswer:
    """POST /v1/merchants."""
    desk = process_services().merchant_desk
    return create_merchant(request.body(MerchantRequest), request.authenticated, desk)


@handler.handles("createCustomer")
def post_customer(request: Request) -> StoredAnswer:
    """POST /v1/customers."""
    desk = process_services().customer_desk
    return create_customer(request.body(CustomerRequest), request.authenticated, desk)


@handler.handles("createAccount")
def post_account(request: Request) -> StoredAnswer:
    """POST /v1/accounts."""
    desk = process_services().account_desk
    return create_account(request.body(AccountRequest), request.authenticated, desk)


@handler.handles("createPayment")
def post_payment(request: Request) -> StoredAnswer:
    """POST /v1/payments."""
    desk = process_services().payment_desk
    return create_payment(request.body(PaymentRequest), request.authenticated, desk)
