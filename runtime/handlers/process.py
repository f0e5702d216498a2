"""Everything that changes something: the function behind POST, PATCH and DELETE."""

from __future__ import annotations

from runtime.bootstrap.process import process_services
from runtime.contract.accounts import AccountRequest
from runtime.contract.answers import StoredAnswer
from runtime.contract.api_keys import ApiKeyRequest
from runtime.contract.customers import (
    CustomerAnswer,
    CustomerPatch,
    CustomerRequest,
    MethodRequest,
)
from runtime.contract.exports import ExportRequest
from runtime.contract.merchants import (
    MerchantAnswer,
    MerchantPatch,
    MerchantRequest,
    SecretRotation,
)
from runtime.contract.payments import CaptureRequest, PaymentRequest, RefundRequest
from runtime.contract.processor_events import EventAnswer
from runtime.contract.settlement_files import SettlementFileRequest
from runtime.contract.settlement_lines import BulkResolveRequest, ResolveRequest
from runtime.contract.transfers import PostRequest, TransferRequest
from runtime.handlers.http import HttpFunction
from runtime.handlers.request import Request
from runtime.services.account_changes import (
    activate_account,
    close_account,
    deactivate_account,
    unlock_account,
)
from runtime.services.accounts import create_account
from runtime.services.api_keys import create_api_key, revoke_api_key
from runtime.services.customers import (
    change_customer,
    create_customer,
    erase_customer,
    unlock_customer,
)
from runtime.services.exports.requests import create_export
from runtime.services.holds import cancel_transfer, post_transfer
from runtime.services.kept_event_routes import apply_kept_event
from runtime.services.merchants import (
    change_merchant,
    create_merchant,
    remove_processor_account,
    rotate_webhook_secret,
)
from runtime.services.payment_methods import add_method, remove_method
from runtime.services.payment_operations import (
    cancel_payment,
    capture_payment,
    refund_payment,
)
from runtime.services.payments import create_payment
from runtime.services.processor_events import receive_event
from runtime.services.reconciliation.file_routes import create_settlement_file
from runtime.services.reconciliation.resolutions import resolve_exception, resolve_exceptions
from runtime.services.transfers import create_transfer
from runtime.services.webhooks import redeliver

handler = HttpFunction(
    "process",
    begin=lambda context: process_services().begin(context),
    usage=lambda: process_services().store.usage,
    trouble=lambda: process_services().trouble,
)


@handler.handles("createMerchant")
def post_merchant(request: Request) -> StoredAnswer:
    """POST /v1/merchants."""
    desk = process_services().merchant_desk
    return create_merchant(request.body(MerchantRequest), request.authenticated, desk)


@handler.handles("changeMerchant")
def patch_merchant(request: Request) -> MerchantAnswer:
    """PATCH /v1/merchants/{id}."""
    desk = process_services().merchant_desk
    return change_merchant(
        request.path_id, request.body(MerchantPatch), request.authenticated, desk
    )


@handler.handles("rotateWebhookSecret")
def post_rotation(request: Request) -> StoredAnswer:
    """POST /v1/merchants/{id}/rotate-webhook-secret."""
    desk = process_services().merchant_desk
    return rotate_webhook_secret(
        request.path_id, request.body(SecretRotation), request.authenticated, desk
    )


@handler.handles("removeProcessorAccount")
def delete_processor_account(request: Request) -> StoredAnswer:
    """DELETE /v1/merchants/{id}/processor-accounts/{account}."""
    desk = process_services().merchant_desk
    account = request.path["account"]
    return remove_processor_account(request.path_id, account, request.authenticated, desk)


@handler.handles("createApiKey")
def post_api_key(request: Request) -> StoredAnswer:
    """POST /v1/api-keys."""
    desk = process_services().api_key_desk
    return create_api_key(request.body(ApiKeyRequest), request.authenticated, desk)


@handler.handles("revokeApiKey")
def post_revoke(request: Request) -> StoredAnswer:
    """POST /v1/api-keys/{id}/revoke."""
    desk = process_services().api_key_desk
    return revoke_api_key(request.path_id, request.authenticated, desk)


@handler.handles("createCustomer")
def post_customer(request: Request) -> StoredAnswer:
    """POST /v1/customers."""
    desk = process_services().customer_desk
    return create_customer(request.body(CustomerRequest), request.authenticated, desk)


@handler.handles("changeCustomer")
def patch_customer(request: Request) -> CustomerAnswer:
    """PATCH /v1/customers/{id}."""
    desk = process_services().customer_desk
    return change_customer(
        request.path_id, request.body(CustomerPatch), request.authenticated, desk
    )


@handler.handles("eraseCustomer")
def delete_customer(request: Request) -> StoredAnswer:
    """DELETE /v1/customers/{id}."""
    desk = process_services().customer_desk
    return erase_customer(request.path_id, request.authenticated, desk)


@handler.handles("unlockCustomer")
def post_customer_unlock(request: Request) -> StoredAnswer:
    """POST /v1/customers/{id}/unlock."""
    desk = process_services().customer_desk
    return unlock_customer(request.path_id, request.authenticated, desk)


@handler.handles("addPaymentMethod")
def post_method(request: Request) -> StoredAnswer:
    """POST /v1/customers/{id}/payment-methods."""
    desk = process_services().customer_desk
    return add_method(request.path_id, request.body(MethodRequest), request.authenticated, desk)


@handler.handles("removePaymentMethod")
def delete_method(request: Request) -> StoredAnswer:
    """DELETE /v1/customers/{id}/payment-methods/{pm_id}."""
    desk = process_services().customer_desk
    return remove_method(request.path_id, request.path["pm_id"], request.authenticated, desk)


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


@handler.handles("capturePayment")
def post_capture(request: Request) -> StoredAnswer:
    """POST /v1/payments/{id}/capture."""
    desk, body = process_services().payment_desk, request.body(CaptureRequest)
    return capture_payment(request.path_id, body, request.authenticated, desk)


@handler.handles("cancelPayment")
def post_cancel_payment(request: Request) -> StoredAnswer:
    """POST /v1/payments/{id}/cancel."""
    desk = process_services().payment_desk
    return cancel_payment(request.path_id, request.authenticated, desk)


@handler.handles("refundPayment")
def post_refund(request: Request) -> StoredAnswer:
    """POST /v1/payments/{id}/refund."""
    desk, body = process_services().payment_desk, request.body(RefundRequest)
    return refund_payment(request.path_id, body, request.authenticated, desk)


@handler.handles("receiveProcessorEvent")
def post_processor_event(request: Request) -> EventAnswer:
    """POST /v1/processor-events/{processor}."""
    return receive_event(request.notification, process_services().processor_event_desk)


@handler.handles("applyProcessorEvent")
def post_apply(request: Request) -> StoredAnswer:
    """POST /v1/processor-events/{id}/apply."""
    desk = process_services().processor_event_desk
    return apply_kept_event(request.path_id, request.authenticated, desk)


@handler.handles("deactivateAccount")
def post_deactivate(request: Request) -> StoredAnswer:
    """POST /v1/accounts/{id}/deactivate."""
    desk = process_services().account_desk
    return deactivate_account(request.path_id, request.authenticated, desk)


@handler.handles("activateAccount")
def post_activate(request: Request) -> StoredAnswer:
    """POST /v1/accounts/{id}/activate."""
    desk = process_services().account_desk
    return activate_account(request.path_id, request.authenticated, desk)


@handler.handles("unlockAccount")
def post_unlock(request: Request) -> StoredAnswer:
    """POST /v1/accounts/{id}/unlock."""
    desk = process_services().account_desk
    return unlock_account(request.path_id, request.authenticated, desk)


@handler.handles("closeAccount")
def post_close(request: Request) -> StoredAnswer:
    """POST /v1/accounts/{id}/close."""
    desk = process_services().account_desk
    return close_account(request.path_id, request.authenticated, desk)


@handler.handles("createTransfer")
def post_transfers(request: Request) -> StoredAnswer:
    """POST /v1/transfers."""
    desk = process_services().transfer_desk
    return create_transfer(request.body(TransferRequest), request.authenticated, desk)


@handler.handles("postTransfer")
def post_post(request: Request) -> StoredAnswer:
    """POST /v1/transfers/{id}/post."""
    desk = process_services().transfer_desk
    return post_transfer(request.path_id, request.body(PostRequest), request.authenticated, desk)


@handler.handles("cancelTransfer")
def post_cancel(request: Request) -> StoredAnswer:
    """POST /v1/transfers/{id}/cancel."""
    desk = process_services().transfer_desk
    return cancel_transfer(request.path_id, request.authenticated, desk)


@handler.handles("redeliverWebhook")
def post_redelivery(request: Request) -> StoredAnswer:
    """POST /v1/webhooks/{id}/redeliver."""
    return redeliver(request.path_id, request.authenticated, process_services().webhook_desk)


@handler.handles("resolveException")
def post_resolution(request: Request) -> StoredAnswer:
    """POST /v1/settlement-lines/{settlement_id}/{line}/resolve."""
    body, dependencies = request.body(ResolveRequest), process_services().resolutions
    return resolve_exception(request.path, body, request.authenticated, dependencies)


@handler.handles("resolveExceptions")
def post_resolutions(request: Request) -> StoredAnswer:
    """POST /v1/settlement-lines/resolve."""
    body, dependencies = request.body(BulkResolveRequest), process_services().resolutions
    return resolve_exceptions(body, request.authenticated, dependencies)


@handler.handles("createSettlementFile")
def post_settlement_file(request: Request) -> StoredAnswer:
    """POST /v1/settlement-files."""
    body, dependencies = request.body(SettlementFileRequest), process_services().settlement_files
    return create_settlement_file(body, request.authenticated, dependencies)


@handler.handles("createExport")
def post_export(request: Request) -> StoredAnswer:
    """POST /v1/exports."""
    dependencies = process_services().exports
    return create_export(request.body(ExportRequest), request.authenticated, dependencies)
