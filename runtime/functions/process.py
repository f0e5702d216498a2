"""The function behind POST, PATCH and DELETE."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from runtime.access.api import ApiKeyRequest
from runtime.access.api_keys import create_api_key, revoke_api_key
from runtime.customers.api import CustomerPatch, CustomerRequest, MethodRequest
from runtime.customers.customers import (
    change_customer,
    create_customer,
    erase_customer,
    unlock_customer,
)
from runtime.customers.payment_methods import add_method, remove_method
from runtime.functions.composition.process_services import ProcessServices, process_services
from runtime.functions.composition.real_outside import real_outside
from runtime.functions.http.function import HttpFunction, error_types_of_environment
from runtime.functions.http.request import Request
from runtime.functions.http.routes import Answer, Routes
from runtime.http.responses import HttpResponse, StoredAnswer
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
from runtime.merchants.api import MerchantPatch, MerchantRequest, SecretRotation
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
from runtime.payments.processors.sandbox.api import DecisionForm
from runtime.reconciliation.exceptions.api import BulkResolveRequest, ResolveRequest
from runtime.reconciliation.files.api import SettlementFileRequest
from runtime.reconciliation.files.routes import create_settlement_file
from runtime.reporting.exports.api import ExportRequest
from runtime.webhooks.deliveries import redeliver
from runtime.webhooks.endpoints.api import (
    EndpointPatch,
    EndpointRecovery,
    EndpointRequest,
    EndpointSecretRotation,
)
from runtime.webhooks.endpoints.endpoints import (
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    rotate_endpoint_secret,
)
from runtime.webhooks.endpoints.sending import recover_endpoint, send_test

ROUTES: Final[Routes[ProcessServices]] = Routes("process")

merchants = ROUTES.using(lambda services: services.merchant_dependencies)
merchants.with_body("createMerchant", create_merchant, MerchantRequest)
merchants.with_id_and_body("changeMerchant", change_merchant, MerchantPatch)
merchants.with_id_and_body("rotateWebhookSecret", rotate_webhook_secret, SecretRotation)

api_keys = ROUTES.using(lambda services: services.api_key_dependencies)
api_keys.with_body("createApiKey", create_api_key, ApiKeyRequest)
api_keys.with_id("revokeApiKey", revoke_api_key)

customers = ROUTES.using(lambda services: services.customer_dependencies)
customers.with_body("createCustomer", create_customer, CustomerRequest)
customers.with_id_and_body("changeCustomer", change_customer, CustomerPatch)
customers.with_id("eraseCustomer", erase_customer)
customers.with_id("unlockCustomer", unlock_customer)
customers.with_id_and_body("addPaymentMethod", add_method, MethodRequest)

accounts = ROUTES.using(lambda services: services.account_dependencies)
accounts.with_body("createAccount", create_account, AccountRequest)
accounts.with_id("deactivateAccount", deactivate_account)
accounts.with_id("activateAccount", activate_account)
accounts.with_id("unlockAccount", unlock_account)
accounts.with_id("closeAccount", close_account)

transfers = ROUTES.using(lambda services: services.transfer_dependencies)
transfers.with_body("createTransfer", create_transfer, TransferRequest)
transfers.with_id_and_body("postTransfer", post_transfer, PostRequest)
transfers.with_id("cancelTransfer", cancel_transfer)

payments = ROUTES.using(lambda services: services.payment_dependencies)
payments.with_body("createPayment", create_payment, PaymentRequest)
payments.with_id_and_body("capturePayment", capture_payment, CaptureRequest)
payments.with_id("cancelPayment", cancel_payment)
payments.with_id_and_body("refundPayment", refund_payment, RefundRequest)

processor_events = ROUTES.using(lambda services: services.processor_event_dependencies)
processor_events.with_id("applyProcessorEvent", apply_kept_event)

settlement_files = ROUTES.using(lambda services: services.settlement_files)
settlement_files.with_body("createSettlementFile", create_settlement_file, SettlementFileRequest)

webhooks = ROUTES.using(lambda services: services.webhook_dependencies)
webhooks.with_id("redeliverWebhook", redeliver)

hooks = ROUTES.using(lambda services: services.endpoint_dependencies)
hooks.with_body("createWebhookEndpoint", create_endpoint, EndpointRequest)
hooks.with_id_and_body("changeWebhookEndpoint", change_endpoint, EndpointPatch)
hooks.with_id("deleteWebhookEndpoint", delete_endpoint)
hooks.with_id("testWebhookEndpoint", send_test)
hooks.with_id_and_body("recoverWebhookEndpoint", recover_endpoint, EndpointRecovery)
hooks.with_id_and_body(
    "rotateWebhookEndpointSecret", rotate_endpoint_secret, EndpointSecretRotation
)


@ROUTES.handles("removeProcessorAccount")
def delete_processor_account(request: Request, services: ProcessServices) -> StoredAnswer:
    """DELETE /v1/merchants/{id}/processor-accounts/{account}."""
    deps = services.merchant_dependencies
    account = request.path["account"]
    return remove_processor_account(request.path_id, account, request.authenticated, deps)


@ROUTES.handles("removePaymentMethod")
def delete_method(request: Request, services: ProcessServices) -> StoredAnswer:
    """DELETE /v1/customers/{id}/payment-methods/{pm_id}."""
    deps = services.customer_dependencies
    return remove_method(request.path_id, request.path["pm_id"], request.authenticated, deps)


@ROUTES.handles("receiveProcessorEvent")
def post_processor_event(request: Request, services: ProcessServices) -> EventAnswer:
    """POST /v1/processor-events/{processor}."""
    return receive_event(request.notification, services.processor_event_dependencies)


@ROUTES.handles("decideSandboxAction")
def post_sandbox_action(request: Request, services: ProcessServices) -> HttpResponse:
    """POST /v1/sandbox/actions/{action}. Rare: see `post_export`."""
    from runtime.payments.resolution.sandbox_pages import decide_action  # noqa: PLC0415

    decision = request.body(DecisionForm).decision
    return decide_action(
        request.path["action"], decision, request.request_id, services.sandbox_pages
    )


@ROUTES.handles("resolveException")
def post_resolution(request: Request, services: ProcessServices) -> StoredAnswer:
    """POST /v1/settlement-lines/{settlement_id}/{line}/resolve. Rare: see `post_export`."""
    from runtime.reconciliation.exceptions.resolutions import resolve_exception  # noqa: PLC0415

    body, dependencies = request.body(ResolveRequest), services.resolutions
    return resolve_exception(request.path, body, request.authenticated, dependencies)


@ROUTES.handles("resolveExceptions")
def post_resolutions(request: Request, services: ProcessServices) -> Answer:
    """POST /v1/settlement-lines/resolve. Rare: see `post_export`."""
    from runtime.reconciliation.exceptions.bulk import resolve_exceptions  # noqa: PLC0415

    body, dependencies = request.body(BulkResolveRequest), services.resolutions
    return resolve_exceptions(body, request.authenticated, dependencies)


@ROUTES.handles("createExport")
def post_export(request: Request, services: ProcessServices) -> Answer:
    """POST /v1/exports. Rare, and all other requests start without its code (decision 0077)."""
    from runtime.reporting.exports.requests import create_export  # noqa: PLC0415

    return create_export(request.body(ExportRequest), request.authenticated, services.exports)


def handler_for(
    services: Callable[[], ProcessServices],
    now: Callable[[], datetime] | None = None,
    error_types: Callable[[], str] | None = None,
) -> HttpFunction[ProcessServices]:
    """Create the handler on the services of one execution environment."""
    return HttpFunction(ROUTES, services, now, error_types)


handler = handler_for(process_services, real_outside().now, error_types_of_environment)
