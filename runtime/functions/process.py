"""The function behind POST, PATCH and DELETE."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from runtime.access.api import ApiKeyRequest
from runtime.access.api_keys import create_api_key, revoke_api_key
from runtime.customers.api import CustomerAnswer, CustomerPatch, CustomerRequest, MethodRequest
from runtime.customers.customers import (
    change_customer,
    create_customer,
    erase_customer,
    unlock_customer,
)
from runtime.customers.payment_methods import add_method, remove_method
from runtime.functions.composition.process_services import ProcessServices, process_services
from runtime.functions.composition.real_outside import real_outside
from runtime.functions.http.function import HttpFunction, Routes
from runtime.functions.http.request import Request
from runtime.http.responses import StoredAnswer
from runtime.ledger.accounts.account_lifecycle import (
    activate_account,
    close_account,
    deactivate_account,
    unlock_account,
)
from runtime.ledger.accounts.accounts import create_account
from runtime.ledger.accounts.api import AccountRequest
from runtime.ledger.holds.holds import cancel_transfer, post_transfer
from runtime.ledger.transfers.api import PostRequest, TransferRequest
from runtime.ledger.transfers.transfers import create_transfer
from runtime.merchants.api import MerchantAnswer, MerchantPatch, MerchantRequest, SecretRotation
from runtime.merchants.merchants import (
    change_merchant,
    create_merchant,
    remove_processor_account,
    rotate_webhook_secret,
)
from runtime.payments.api import CaptureRequest, PaymentRequest, RefundRequest
from runtime.payments.charge.charge import create_payment
from runtime.payments.disputes.api import EventAnswer
from runtime.payments.disputes.kept_event_routes import apply_kept_event
from runtime.payments.disputes.processor_webhooks import receive_event
from runtime.payments.operations.operations import cancel_payment, capture_payment, refund_payment
from runtime.reconciliation.exceptions.api import BulkResolveRequest, ResolveRequest
from runtime.reconciliation.exceptions.resolutions import resolve_exception, resolve_exceptions
from runtime.reconciliation.files.api import SettlementFileRequest
from runtime.reconciliation.files.routes import create_settlement_file
from runtime.reporting.exports.api import ExportRequest
from runtime.reporting.exports.requests import create_export
from runtime.webhooks.deliveries import redeliver

ROUTES: Final[Routes[ProcessServices]] = Routes("process")


@ROUTES.handles("createMerchant")
def post_merchant(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/merchants."""
    deps = services.merchant_dependencies
    return create_merchant(request.body(MerchantRequest), request.authenticated, deps)


@ROUTES.handles("changeMerchant")
def patch_merchant(request: Request, services: ProcessServices) -> MerchantAnswer:
    """PATCH /v1/merchants/{id}."""
    deps = services.merchant_dependencies
    return change_merchant(
        request.path_id, request.body(MerchantPatch), request.authenticated, deps
    )


@ROUTES.handles("rotateWebhookSecret")
def post_rotation(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/merchants/{id}/rotate-webhook-secret."""
    deps = services.merchant_dependencies
    return rotate_webhook_secret(
        request.path_id, request.body(SecretRotation), request.authenticated, deps
    )


@ROUTES.handles("removeProcessorAccount")
def delete_processor_account(request: Request, services: ProcessServices) -> StoredAnswer:
    """DELETE /v1/merchants/{id}/processor-accounts/{account}."""
    deps = services.merchant_dependencies
    account = request.path["account"]
    return remove_processor_account(request.path_id, account, request.authenticated, deps)


@ROUTES.handles("createApiKey")
def post_api_key(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/api-keys."""
    deps = services.api_key_dependencies
    return create_api_key(request.body(ApiKeyRequest), request.authenticated, deps)


@ROUTES.handles("revokeApiKey")
def post_revoke(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/api-keys/{id}/revoke."""
    deps = services.api_key_dependencies
    return revoke_api_key(request.path_id, request.authenticated, deps)


@ROUTES.handles("createCustomer")
def post_customer(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/customers."""
    deps = services.customer_dependencies
    return create_customer(request.body(CustomerRequest), request.authenticated, deps)


@ROUTES.handles("changeCustomer")
def patch_customer(request: Request, services: ProcessServices) -> CustomerAnswer:
    """PATCH /v1/customers/{id}."""
    deps = services.customer_dependencies
    return change_customer(
        request.path_id, request.body(CustomerPatch), request.authenticated, deps
    )


@ROUTES.handles("eraseCustomer")
def delete_customer(request: Request, services: ProcessServices) -> StoredAnswer:
    """DELETE /v1/customers/{id}."""
    deps = services.customer_dependencies
    return erase_customer(request.path_id, request.authenticated, deps)


@ROUTES.handles("unlockCustomer")
def post_customer_unlock(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/customers/{id}/unlock."""
    deps = services.customer_dependencies
    return unlock_customer(request.path_id, request.authenticated, deps)


@ROUTES.handles("addPaymentMethod")
def post_method(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/customers/{id}/payment-methods."""
    deps = services.customer_dependencies
    return add_method(request.path_id, request.body(MethodRequest), request.authenticated, deps)


@ROUTES.handles("removePaymentMethod")
def delete_method(request: Request, services: ProcessServices) -> StoredAnswer:
    """DELETE /v1/customers/{id}/payment-methods/{pm_id}."""
    deps = services.customer_dependencies
    return remove_method(request.path_id, request.path["pm_id"], request.authenticated, deps)


@ROUTES.handles("createAccount")
def post_account(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/accounts."""
    deps = services.account_dependencies
    return create_account(request.body(AccountRequest), request.authenticated, deps)


@ROUTES.handles("createPayment")
def post_payment(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/payments."""
    deps = services.payment_dependencies
    return create_payment(request.body(PaymentRequest), request.authenticated, deps)


@ROUTES.handles("capturePayment")
def post_capture(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/payments/{id}/capture."""
    deps, body = services.payment_dependencies, request.body(CaptureRequest)
    return capture_payment(request.path_id, body, request.authenticated, deps)


@ROUTES.handles("cancelPayment")
def post_cancel_payment(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/payments/{id}/cancel."""
    deps = services.payment_dependencies
    return cancel_payment(request.path_id, request.authenticated, deps)


@ROUTES.handles("refundPayment")
def post_refund(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/payments/{id}/refund."""
    deps, body = services.payment_dependencies, request.body(RefundRequest)
    return refund_payment(request.path_id, body, request.authenticated, deps)


@ROUTES.handles("receiveProcessorEvent")
def post_processor_event(request: Request, services: ProcessServices) -> EventAnswer:
    """POST /v1/processor-events/{processor}."""
    return receive_event(request.notification, services.processor_event_dependencies)


@ROUTES.handles("applyProcessorEvent")
def post_apply(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/processor-events/{id}/apply."""
    deps = services.processor_event_dependencies
    return apply_kept_event(request.path_id, request.authenticated, deps)


@ROUTES.handles("deactivateAccount")
def post_deactivate(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/accounts/{id}/deactivate."""
    deps = services.account_dependencies
    return deactivate_account(request.path_id, request.authenticated, deps)


@ROUTES.handles("activateAccount")
def post_activate(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/accounts/{id}/activate."""
    deps = services.account_dependencies
    return activate_account(request.path_id, request.authenticated, deps)


@ROUTES.handles("unlockAccount")
def post_unlock(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/accounts/{id}/unlock."""
    deps = services.account_dependencies
    return unlock_account(request.path_id, request.authenticated, deps)


@ROUTES.handles("closeAccount")
def post_close(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/accounts/{id}/close."""
    deps = services.account_dependencies
    return close_account(request.path_id, request.authenticated, deps)


@ROUTES.handles("createTransfer")
def post_transfers(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/transfers."""
    deps = services.transfer_dependencies
    return create_transfer(request.body(TransferRequest), request.authenticated, deps)


@ROUTES.handles("postTransfer")
def post_post(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/transfers/{id}/post."""
    deps = services.transfer_dependencies
    return post_transfer(request.path_id, request.body(PostRequest), request.authenticated, deps)


@ROUTES.handles("cancelTransfer")
def post_cancel(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/transfers/{id}/cancel."""
    deps = services.transfer_dependencies
    return cancel_transfer(request.path_id, request.authenticated, deps)


@ROUTES.handles("redeliverWebhook")
def post_redelivery(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/webhooks/{id}/redeliver."""
    return redeliver(request.path_id, request.authenticated, services.webhook_dependencies)


@ROUTES.handles("resolveException")
def post_resolution(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/settlement-lines/{settlement_id}/{line}/resolve."""
    body, dependencies = request.body(ResolveRequest), services.resolutions
    return resolve_exception(request.path, body, request.authenticated, dependencies)


@ROUTES.handles("resolveExceptions")
def post_resolutions(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/settlement-lines/resolve."""
    body, dependencies = request.body(BulkResolveRequest), services.resolutions
    return resolve_exceptions(body, request.authenticated, dependencies)


@ROUTES.handles("createSettlementFile")
def post_settlement_file(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/settlement-files."""
    body, dependencies = request.body(SettlementFileRequest), services.settlement_files
    return create_settlement_file(body, request.authenticated, dependencies)


@ROUTES.handles("createExport")
def post_export(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/exports."""
    dependencies = services.exports
    return create_export(request.body(ExportRequest), request.authenticated, dependencies)


def handler_for(
    services: Callable[[], ProcessServices], now: Callable[[], datetime] | None = None
) -> HttpFunction[ProcessServices]:
    """Create the handler on the services of one execution environment."""
    return HttpFunction(ROUTES, services, now)


handler = handler_for(process_services, real_outside().now)
