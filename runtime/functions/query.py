"""The function behind GET and unknown paths."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from runtime.access.api import ApiKeyQuery
from runtime.access.api_keys import list_api_keys
from runtime.alerts.api import AlertQuery
from runtime.alerts.queries import list_alerts
from runtime.audit.api import AuditQuery, VerifyAnswer, VerifyQuery
from runtime.audit.queries import list_audit, verify_chain
from runtime.customers.api import CustomerQuery
from runtime.customers.customers import find_customers, get_customer
from runtime.functions.composition.query_services import QueryServices, query_services
from runtime.functions.composition.real_outside import real_outside
from runtime.functions.http.function import HttpFunction, error_types_of_environment
from runtime.functions.http.request import Request
from runtime.functions.http.routes import Answer, Routes
from runtime.http.problem import Health
from runtime.http.responses import HttpResponse
from runtime.idempotency.api import IdempotencyKeyQuery
from runtime.idempotency.queries import list_keys
from runtime.ledger.accounts.api import AccountQuery, BalanceQuery, EntryQuery
from runtime.ledger.accounts.balance_at import get_balance
from runtime.ledger.accounts.queries import get_account, list_accounts, list_entries
from runtime.ledger.transfers.api import TransferQuery
from runtime.ledger.transfers.queries import get_transfer, list_transfers
from runtime.merchants.api import MerchantQuery
from runtime.merchants.merchants import get_merchant, list_accounts_at_processors, list_merchants
from runtime.payments.api import PaymentQuery, SummaryQuery
from runtime.payments.disputes.api import KeptEventQuery
from runtime.payments.queries import get_payment, list_payments
from runtime.reconciliation.exceptions.api import ExceptionQuery
from runtime.reconciliation.exceptions.queries import list_exceptions
from runtime.reconciliation.files.api import SettlementFileQuery
from runtime.reconciliation.files.routes import get_settlement_file, list_settlement_files
from runtime.reconciliation.settlements.api import LineQuery, SettlementQuery
from runtime.reconciliation.settlements.queries import get_settlement, list_lines, list_settlements
from runtime.reconciliation.transactions.api import TransactionQuery
from runtime.reconciliation.transactions.queries import get_transaction, list_transactions
from runtime.reporting.exports.api import ExportQuery
from runtime.reporting.exports.queries import get_export, list_exports
from runtime.reporting.summary import summarize_payments
from runtime.verification.api import ProofAnswer
from runtime.verification.queries import get_report
from runtime.webhooks.api import WebhookQuery
from runtime.webhooks.deliveries import get_webhook, list_webhooks
from runtime.webhooks.endpoints.api import EndpointQuery
from runtime.webhooks.endpoints.endpoints import get_endpoint, list_endpoints

ROUTES: Final[Routes[QueryServices]] = Routes("query")

merchants = ROUTES.using(lambda services: services.merchants)
merchants.with_id("getMerchant", get_merchant)
merchants.with_id("listProcessorAccounts", list_accounts_at_processors)
merchant_lists = ROUTES.using(lambda services: services.merchant_reads)
merchant_lists.with_query("listMerchants", list_merchants, MerchantQuery)

api_keys = ROUTES.using(lambda services: services.api_keys)
api_keys.with_query("listApiKeys", list_api_keys, ApiKeyQuery)

customers = ROUTES.using(lambda services: services.customers)
customers.with_id("getCustomer", get_customer)
customer_lists = ROUTES.using(lambda services: services.customer_reads)
customer_lists.with_query("findCustomers", find_customers, CustomerQuery)

accounts = ROUTES.using(lambda services: services.accounts)
accounts.with_id("getAccount", get_account)
accounts.with_query("listAccounts", list_accounts, AccountQuery)
accounts.with_id_and_query("listEntries", list_entries, EntryQuery)
balances = ROUTES.using(lambda services: services.balances)
balances.with_id_and_query("getBalance", get_balance, BalanceQuery)

transfers = ROUTES.using(lambda services: services.transfers)
transfers.with_id("getTransfer", get_transfer)
transfers.with_query("listTransfers", list_transfers, TransferQuery)

payments = ROUTES.using(lambda services: services.payments)
payments.with_id("getPayment", get_payment)
payments.with_query("listPayments", list_payments, PaymentQuery)
payment_summary = ROUTES.using(lambda services: services.summary)
payment_summary.with_query("summarizePayments", summarize_payments, SummaryQuery)

transactions = ROUTES.using(lambda services: services.transactions)
transactions.with_id("getTransaction", get_transaction)
transactions.with_query("listTransactions", list_transactions, TransactionQuery)

settlements = ROUTES.using(lambda services: services.settlements)
settlements.with_query("listSettlements", list_settlements, SettlementQuery)
settlements.with_id("getSettlement", get_settlement)
settlements.with_id_and_query("listSettlementLines", list_lines, LineQuery)

settlement_files = ROUTES.using(lambda services: services.settlement_files)
settlement_files.with_query("listSettlementFiles", list_settlement_files, SettlementFileQuery)
settlement_files.with_id("getSettlementFile", get_settlement_file)

exceptions = ROUTES.using(lambda services: services.exceptions)
exceptions.with_query("listExceptions", list_exceptions, ExceptionQuery)

alerts = ROUTES.using(lambda services: services.alerts)
alerts.with_query("listAlerts", list_alerts, AlertQuery)

exports = ROUTES.using(lambda services: services.exports)
exports.with_query("listExports", list_exports, ExportQuery)
exports.with_id("getExport", get_export)

webhooks = ROUTES.using(lambda services: services.webhooks)
webhooks.with_query("listWebhooks", list_webhooks, WebhookQuery)
webhooks.with_id("getWebhook", get_webhook)
hooks = ROUTES.using(lambda services: services.webhook_endpoints)
hooks.with_query("listWebhookEndpoints", list_endpoints, EndpointQuery)
hooks.with_id("getWebhookEndpoint", get_endpoint)

idempotency_keys = ROUTES.using(lambda services: services.idempotency)
idempotency_keys.with_query("listIdempotencyKeys", list_keys, IdempotencyKeyQuery)

audit = ROUTES.using(lambda services: services.audit)
audit.with_query("listAudit", list_audit, AuditQuery)


@ROUTES.handles("getSettlementReport")
def get_settlement_report(request: Request, services: QueryServices) -> Answer:
    """GET /v1/settlements/{id}/report. Rare: other requests start without its code (0077)."""
    from runtime.reconciliation.reports.report import make_report  # noqa: PLC0415

    return make_report(request.path_id, request.authenticated, services.reports)


@ROUTES.handles("getPaymentTimeline")
def get_payment_timeline(request: Request, services: QueryServices) -> Answer:
    """GET /v1/payments/{id}/timeline. Rare: other requests start without its code (0077)."""
    from runtime.timeline.timeline import get_timeline  # noqa: PLC0415

    return get_timeline(request.path_id, request.authenticated, services.timeline)


@ROUTES.handles("listProcessorEvents")
def get_processor_events(request: Request, services: QueryServices) -> Answer:
    """GET /v1/processor-events. Its code applies events, too, and so needs that of payments."""
    from runtime.payments.disputes.kept_event_routes import list_kept_events  # noqa: PLC0415

    query = request.query(KeptEventQuery)
    return list_kept_events(query, request.authenticated, services.processor_events)


@ROUTES.handles("showSandboxAction")
def get_sandbox_action(request: Request, services: QueryServices) -> HttpResponse:
    """GET /v1/sandbox/actions/{action}. Rare: other requests start without its code (0077)."""
    from runtime.payments.processors.sandbox.repository import (  # noqa: PLC0415
        SandboxChargeRepository,
    )
    from runtime.payments.processors.sandbox.shown_actions import show_action  # noqa: PLC0415

    return show_action(request.path["action"], SandboxChargeRepository(services.store))


@ROUTES.handles("verifyAudit")
def verify_audit(request: Request, services: QueryServices) -> VerifyAnswer:
    """GET /v1/audit/{entity_id}/verify."""
    trail, query = services.audit, request.query(VerifyQuery)
    return verify_chain(request.path["entity_id"], query, request.authenticated, trail)


@ROUTES.handles("getProof")
def read_proof(_: Request, services: QueryServices) -> ProofAnswer:
    """GET /v1/proof."""
    return get_report(services.verifications)


@ROUTES.handles("getOperations")
def read_operations(_: Request, services: QueryServices) -> Answer:
    """GET /v1/operations. Rare: other requests start without its code (0077)."""
    from runtime.operations.overview import get_operations  # noqa: PLC0415

    return get_operations(services.operations)


@ROUTES.handles("health")
def health(_: Request, services: QueryServices) -> Health:
    """GET /v1/health."""
    return Health(stage=services.stage)


@ROUTES.handles("openapi")
def openapi(request: Request, services: QueryServices) -> HttpResponse:
    """GET /v1/openapi.json."""
    from runtime.api.openapi import OPENAPI_JSON  # noqa: PLC0415 - decision 0077

    return OPENAPI_JSON.answer(request.headers)


@ROUTES.handles("docs")
def docs(request: Request, services: QueryServices) -> HttpResponse:
    """GET /v1/docs."""
    from runtime.api.docs_page import DOCS_PAGE  # noqa: PLC0415 - decision 0077

    return DOCS_PAGE.answer(request.headers)


@ROUTES.handles("errors")
def errors(request: Request, services: QueryServices) -> HttpResponse:
    """GET /v1/docs/errors."""
    from runtime.api.errors_page import ERRORS_PAGE  # noqa: PLC0415 - decision 0077

    return ERRORS_PAGE.answer(request.headers)


def handler_for(
    services: Callable[[], QueryServices],
    now: Callable[[], datetime] | None = None,
    error_types: Callable[[], str] | None = None,
) -> HttpFunction[QueryServices]:
    """Create the handler on the services of one execution environment."""
    return HttpFunction(ROUTES, services, now, error_types)


handler = handler_for(query_services, real_outside().now, error_types_of_environment)
