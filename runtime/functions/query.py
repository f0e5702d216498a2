"""The function behind GET and unknown paths."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from aws_lambda_powertools.event_handler import Response

from runtime.access import api_keys
from runtime.access.api import ApiKeyList, ApiKeyQuery
from runtime.alerts import queries as alert_queries
from runtime.alerts.api import AlertList, AlertQuery
from runtime.api.docs_page import DOCS_PAGE
from runtime.api.openapi import openapi_text
from runtime.api.public_text import PublicText
from runtime.audit import queries as audit_queries
from runtime.audit.api import AuditList, AuditQuery, VerifyAnswer, VerifyQuery
from runtime.customers.api import CustomerAnswer, CustomerList, CustomerQuery
from runtime.customers.customers import find_customers, get_customer
from runtime.functions.composition.query_services import QueryServices, query_services
from runtime.functions.composition.real_outside import real_outside
from runtime.functions.http.function import JSON, HttpFunction, Routes
from runtime.functions.http.request import Request
from runtime.http.problem import Health
from runtime.idempotency import queries as idempotency_queries
from runtime.idempotency.api import IdempotencyKeyList, IdempotencyKeyQuery
from runtime.ledger.accounts import balance_at
from runtime.ledger.accounts import queries as account_queries
from runtime.ledger.accounts.api import (
    AccountAnswer,
    AccountList,
    AccountQuery,
    BalanceAnswer,
    BalanceQuery,
    EntryList,
    EntryQuery,
)
from runtime.ledger.transfers import queries as transfer_queries
from runtime.ledger.transfers.api import TransferAnswer, TransferList, TransferQuery
from runtime.merchants.api import MerchantAnswer, MerchantList, MerchantQuery, ProcessorAccountList
from runtime.merchants.merchants import get_merchant, list_accounts_at_processors, list_merchants
from runtime.payments import queries as payment_queries
from runtime.payments.api import (
    PaymentDetail,
    PaymentList,
    PaymentQuery,
    PaymentSummary,
    SummaryQuery,
)
from runtime.payments.disputes.api import KeptEventList, KeptEventQuery
from runtime.payments.disputes.kept_event_routes import list_kept_events
from runtime.reconciliation.exceptions import queries as exceptions
from runtime.reconciliation.exceptions.api import ExceptionList, ExceptionQuery
from runtime.reconciliation.files import routes
from runtime.reconciliation.files.api import (
    SettlementFileAnswer,
    SettlementFileList,
    SettlementFileQuery,
)
from runtime.reconciliation.reports.report import make_report
from runtime.reconciliation.settlements import queries as settlement_queries
from runtime.reconciliation.settlements.api import (
    LineQuery,
    SettlementAnswer,
    SettlementLineList,
    SettlementList,
    SettlementQuery,
    SettlementReportAnswer,
)
from runtime.reconciliation.transactions import queries as transaction_queries
from runtime.reconciliation.transactions.api import (
    TransactionDetail,
    TransactionList,
    TransactionQuery,
)
from runtime.reporting import summary
from runtime.reporting.exports import queries as export_queries
from runtime.reporting.exports.api import ExportAnswer, ExportList, ExportQuery
from runtime.verification.api import ProofAnswer
from runtime.verification.queries import get_report
from runtime.webhooks import deliveries
from runtime.webhooks.api import WebhookAnswer, WebhookList, WebhookQuery

ROUTES: Final[Routes[QueryServices]] = Routes("query")

_OPENAPI = PublicText(content_type=JSON, content=openapi_text, plain=openapi_text, headers={})


@ROUTES.handles("getMerchant")
def read_merchant(request: Request, services: QueryServices) -> MerchantAnswer:
    """GET /v1/merchants/{id}."""
    return get_merchant(request.path_id, request.authenticated, services.merchants)


@ROUTES.handles("listMerchants")
def find_merchants(request: Request, services: QueryServices) -> MerchantList:
    """GET /v1/merchants."""
    reads = services.merchant_reads
    return list_merchants(request.query(MerchantQuery), request.authenticated, reads)


@ROUTES.handles("listProcessorAccounts")
def list_processor_accounts(request: Request, services: QueryServices) -> ProcessorAccountList:
    """GET /v1/merchants/{id}/processor-accounts."""
    merchants = services.merchants
    return list_accounts_at_processors(request.path_id, request.authenticated, merchants)


@ROUTES.handles("listApiKeys")
def list_api_keys(request: Request, services: QueryServices) -> ApiKeyList:
    """GET /v1/api-keys."""
    reads = services.api_keys
    return api_keys.list_api_keys(request.query(ApiKeyQuery), request.authenticated, reads)


@ROUTES.handles("getCustomer")
def read_customer(request: Request, services: QueryServices) -> CustomerAnswer:
    """GET /v1/customers/{id}."""
    return get_customer(request.path_id, request.authenticated, services.customers)


@ROUTES.handles("findCustomers")
def list_customers(request: Request, services: QueryServices) -> CustomerList:
    """GET /v1/customers."""
    reads = services.customer_reads
    return find_customers(request.query(CustomerQuery), request.authenticated, reads)


@ROUTES.handles("getAccount")
def read_account(request: Request, services: QueryServices) -> AccountAnswer:
    """GET /v1/accounts/{id}."""
    reads = services.accounts
    return account_queries.get_account(request.path_id, request.authenticated, reads)


@ROUTES.handles("listAccounts")
def list_accounts(request: Request, services: QueryServices) -> AccountList:
    """GET /v1/accounts."""
    reads = services.accounts
    query = request.query(AccountQuery)
    return account_queries.list_accounts(query, request.authenticated, reads)


@ROUTES.handles("listEntries")
def list_entries(request: Request, services: QueryServices) -> EntryList:
    """GET /v1/accounts/{id}/entries."""
    reads = services.accounts
    query = request.query(EntryQuery)
    return account_queries.list_entries(request.path_id, query, request.authenticated, reads)


@ROUTES.handles("getBalance")
def read_balance(request: Request, services: QueryServices) -> BalanceAnswer:
    """GET /v1/accounts/{id}/balance."""
    reads = services.balances
    query = request.query(BalanceQuery)
    return balance_at.get_balance(request.path_id, query, request.authenticated, reads)


@ROUTES.handles("getTransfer")
def read_transfer(request: Request, services: QueryServices) -> TransferAnswer:
    """GET /v1/transfers/{id}."""
    reads = services.transfers
    return transfer_queries.get_transfer(request.path_id, request.authenticated, reads)


@ROUTES.handles("listTransfers")
def list_transfers(request: Request, services: QueryServices) -> TransferList:
    """GET /v1/transfers."""
    reads = services.transfers
    query = request.query(TransferQuery)
    return transfer_queries.list_transfers(query, request.authenticated, reads)


@ROUTES.handles("getPayment")
def read_payment(request: Request, services: QueryServices) -> PaymentDetail:
    """GET /v1/payments/{id}."""
    reads = services.payments
    return payment_queries.get_payment(request.path_id, request.authenticated, reads)


@ROUTES.handles("listPayments")
def list_payments(request: Request, services: QueryServices) -> PaymentList:
    """GET /v1/payments."""
    reads = services.payments
    query = request.query(PaymentQuery)
    return payment_queries.list_payments(query, request.authenticated, reads)


@ROUTES.handles("summarizePayments")
def summarize_payments(request: Request, services: QueryServices) -> PaymentSummary:
    """GET /v1/payments/summary."""
    query = request.query(SummaryQuery)
    return summary.summarize_payments(query, request.authenticated, services.summary)


@ROUTES.handles("getTransaction")
def read_transaction(request: Request, services: QueryServices) -> TransactionDetail:
    """GET /v1/transactions/{id}."""
    reads = services.transactions
    return transaction_queries.get_transaction(request.path_id, request.authenticated, reads)


@ROUTES.handles("listTransactions")
def list_transactions(request: Request, services: QueryServices) -> TransactionList:
    """GET /v1/transactions."""
    reads = services.transactions
    query = request.query(TransactionQuery)
    return transaction_queries.list_transactions(query, request.authenticated, reads)


@ROUTES.handles("listIdempotencyKeys")
def list_idempotency_keys(request: Request, services: QueryServices) -> IdempotencyKeyList:
    """GET /v1/idempotency-keys."""
    reads = services.idempotency
    query = request.query(IdempotencyKeyQuery)
    return idempotency_queries.list_keys(query, request.authenticated, reads)


@ROUTES.handles("listSettlements")
def list_settlements(request: Request, services: QueryServices) -> SettlementList:
    """GET /v1/settlements."""
    reads = services.settlements
    query = request.query(SettlementQuery)
    return settlement_queries.list_settlements(query, request.authenticated, reads)


@ROUTES.handles("getSettlement")
def read_settlement(request: Request, services: QueryServices) -> SettlementAnswer:
    """GET /v1/settlements/{id}."""
    reads = services.settlements
    return settlement_queries.get_settlement(request.path_id, request.authenticated, reads)


@ROUTES.handles("listExceptions")
def list_exceptions(request: Request, services: QueryServices) -> ExceptionList:
    """GET /v1/settlement-lines."""
    query, reads = request.query(ExceptionQuery), services.exceptions
    return exceptions.list_exceptions(query, request.authenticated, reads)


@ROUTES.handles("listSettlementLines")
def list_settlement_lines(request: Request, services: QueryServices) -> SettlementLineList:
    """GET /v1/settlements/{id}/lines."""
    reads = services.settlements
    query = request.query(LineQuery)
    return settlement_queries.list_lines(request.path_id, query, request.authenticated, reads)


@ROUTES.handles("getSettlementReport")
def read_settlement_report(request: Request, services: QueryServices) -> SettlementReportAnswer:
    """GET /v1/settlements/{id}/report."""
    dependencies = services.reports
    return make_report(request.path_id, request.authenticated, dependencies)


@ROUTES.handles("listSettlementFiles")
def list_files(request: Request, services: QueryServices) -> SettlementFileList:
    """GET /v1/settlement-files."""
    query, reads = request.query(SettlementFileQuery), services.settlement_files
    return routes.list_settlement_files(query, request.authenticated, reads)


@ROUTES.handles("getSettlementFile")
def read_file(request: Request, services: QueryServices) -> SettlementFileAnswer:
    """GET /v1/settlement-files/{id}."""
    reads = services.settlement_files
    return routes.get_settlement_file(request.path_id, request.authenticated, reads)


@ROUTES.handles("listAlerts")
def list_alerts(request: Request, services: QueryServices) -> AlertList:
    """GET /v1/alerts."""
    reads = services.alerts
    return alert_queries.list_alerts(request.query(AlertQuery), request.authenticated, reads)


@ROUTES.handles("listExports")
def list_exports(request: Request, services: QueryServices) -> ExportList:
    """GET /v1/exports."""
    exports = services.exports
    query = request.query(ExportQuery)
    return export_queries.list_exports(query, request.authenticated, exports)


@ROUTES.handles("getExport")
def read_export(request: Request, services: QueryServices) -> ExportAnswer:
    """GET /v1/exports/{id}."""
    exports = services.exports
    return export_queries.get_export(request.path_id, request.authenticated, exports)


@ROUTES.handles("listWebhooks")
def list_webhooks(request: Request, services: QueryServices) -> WebhookList:
    """GET /v1/webhooks."""
    reads = services.webhooks
    return deliveries.list_webhooks(request.query(WebhookQuery), request.authenticated, reads)


@ROUTES.handles("getWebhook")
def read_webhook(request: Request, services: QueryServices) -> WebhookAnswer:
    """GET /v1/webhooks/{id}."""
    reads = services.webhooks
    return deliveries.get_webhook(request.path_id, request.authenticated, reads)


@ROUTES.handles("listAudit")
def list_audit(request: Request, services: QueryServices) -> AuditList:
    """GET /v1/audit."""
    trail = services.audit
    return audit_queries.list_audit(request.query(AuditQuery), request.authenticated, trail)


@ROUTES.handles("verifyAudit")
def verify_audit(request: Request, services: QueryServices) -> VerifyAnswer:
    """GET /v1/audit/{entity_id}/verify."""
    trail, query = services.audit, request.query(VerifyQuery)
    entity_id = request.path["entity_id"]
    return audit_queries.verify_chain(entity_id, query, request.authenticated, trail)


@ROUTES.handles("getProof")
def read_proof(_: Request, services: QueryServices) -> ProofAnswer:
    """GET /v1/proof."""
    return get_report(services.verifications)


@ROUTES.handles("health")
def health(_: Request, services: QueryServices) -> Health:
    """GET /v1/health."""
    return Health(stage=services.stage)


@ROUTES.handles("openapi")
def openapi(request: Request, services: QueryServices) -> Response[str]:
    """GET /v1/openapi.json."""
    return _OPENAPI.answer(request.headers)


@ROUTES.handles("docs")
def docs(request: Request, services: QueryServices) -> Response[str]:
    """GET /v1/docs."""
    return DOCS_PAGE.answer(request.headers)


@ROUTES.handles("listProcessorEvents")
def list_processor_events(request: Request, services: QueryServices) -> KeptEventList:
    """GET /v1/processor-events."""
    reads = services.processor_events
    return list_kept_events(request.query(KeptEventQuery), request.authenticated, reads)


def handler_for(
    services: Callable[[], QueryServices], now: Callable[[], datetime] | None = None
) -> HttpFunction[QueryServices]:
    """Create the handler on the services of one execution environment."""
    return HttpFunction(ROUTES, services, now)


handler = handler_for(query_services, real_outside().now)
