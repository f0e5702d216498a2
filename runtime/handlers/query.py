"""Everything that only reads: the function behind GET, and behind paths that do not exist."""

from __future__ import annotations

from aws_lambda_powertools.event_handler import Response

from runtime.bootstrap.query import query_services
from runtime.contract.accounts import (
    AccountAnswer,
    AccountList,
    AccountQuery,
    BalanceAnswer,
    BalanceQuery,
    EntryList,
    EntryQuery,
)
from runtime.contract.alerts import AlertList, AlertQuery
from runtime.contract.api_keys import ApiKeyList, ApiKeyQuery
from runtime.contract.audit import AuditList, AuditQuery, VerifyAnswer, VerifyQuery
from runtime.contract.customers import CustomerAnswer, CustomerList, CustomerQuery
from runtime.contract.exports import ExportAnswer, ExportList, ExportQuery
from runtime.contract.idempotency_keys import IdempotencyKeyList, IdempotencyKeyQuery
from runtime.contract.merchants import (
    MerchantAnswer,
    MerchantList,
    MerchantQuery,
    ProcessorAccountList,
)
from runtime.contract.openapi import openapi_text
from runtime.contract.payments import (
    PaymentDetail,
    PaymentList,
    PaymentQuery,
    PaymentSummary,
    SummaryQuery,
)
from runtime.contract.processor_events import KeptEventList, KeptEventQuery
from runtime.contract.proof import ProofAnswer
from runtime.contract.settlement_files import (
    SettlementFileAnswer,
    SettlementFileList,
    SettlementFileQuery,
)
from runtime.contract.settlement_lines import ExceptionList, ExceptionQuery
from runtime.contract.settlements import (
    LineQuery,
    SettlementAnswer,
    SettlementLineList,
    SettlementList,
    SettlementQuery,
    SettlementReportAnswer,
)
from runtime.contract.system import Health
from runtime.contract.transactions import TransactionDetail, TransactionList, TransactionQuery
from runtime.contract.transfers import TransferAnswer, TransferList, TransferQuery
from runtime.contract.webhooks import WebhookAnswer, WebhookList, WebhookQuery
from runtime.handlers.docs_page import DOCS_PAGE
from runtime.handlers.http import JSON, HttpFunction
from runtime.handlers.public_text import PublicText
from runtime.handlers.request import Request
from runtime.services import (
    account_queries,
    alert_queries,
    api_keys,
    audit_queries,
    balance_queries,
    idempotency_queries,
    payment_queries,
    payment_summary,
    settlement_queries,
    transaction_queries,
    transfer_queries,
    webhooks,
)
from runtime.services.customers import find_customers, get_customer
from runtime.services.exports import queries as export_queries
from runtime.services.kept_event_routes import list_kept_events
from runtime.services.merchants import (
    get_merchant,
    list_accounts_at_processors,
    list_merchants,
)
from runtime.services.proof_queries import get_proof
from runtime.services.reconciliation import exceptions, file_routes
from runtime.services.reconciliation.report import make_report

handler = HttpFunction(
    "query",
    begin=lambda context: query_services().begin(context),
    usage=lambda: query_services().store.usage,
    trouble=lambda: query_services().trouble,
)

_OPENAPI = PublicText(content_type=JSON, content=openapi_text, plain=openapi_text, headers={})


@handler.handles("getMerchant")
def read_merchant(request: Request) -> MerchantAnswer:
    """GET /v1/merchants/{id}."""
    return get_merchant(request.path_id, request.authenticated, query_services().merchants)


@handler.handles("listMerchants")
def find_merchants(request: Request) -> MerchantList:
    """GET /v1/merchants."""
    reads = query_services().merchant_reads
    return list_merchants(request.query(MerchantQuery), request.authenticated, reads)


@handler.handles("listProcessorAccounts")
def list_processor_accounts(request: Request) -> ProcessorAccountList:
    """GET /v1/merchants/{id}/processor-accounts."""
    merchants = query_services().merchants
    return list_accounts_at_processors(request.path_id, request.authenticated, merchants)


@handler.handles("listApiKeys")
def list_api_keys(request: Request) -> ApiKeyList:
    """GET /v1/api-keys."""
    archive = query_services().api_keys
    return api_keys.list_api_keys(request.query(ApiKeyQuery), request.authenticated, archive)


@handler.handles("getCustomer")
def read_customer(request: Request) -> CustomerAnswer:
    """GET /v1/customers/{id}."""
    return get_customer(request.path_id, request.authenticated, query_services().customers)


@handler.handles("findCustomers")
def list_customers(request: Request) -> CustomerList:
    """GET /v1/customers."""
    archive = query_services().customer_archive
    return find_customers(request.query(CustomerQuery), request.authenticated, archive)


@handler.handles("getAccount")
def read_account(request: Request) -> AccountAnswer:
    """GET /v1/accounts/{id}."""
    archive = query_services().accounts
    return account_queries.get_account(request.path_id, request.authenticated, archive)


@handler.handles("listAccounts")
def list_accounts(request: Request) -> AccountList:
    """GET /v1/accounts."""
    archive = query_services().accounts
    query = request.query(AccountQuery)
    return account_queries.list_accounts(query, request.authenticated, archive)


@handler.handles("listEntries")
def list_entries(request: Request) -> EntryList:
    """GET /v1/accounts/{id}/entries."""
    archive = query_services().accounts
    query = request.query(EntryQuery)
    return account_queries.list_entries(request.path_id, query, request.authenticated, archive)


@handler.handles("getBalance")
def read_balance(request: Request) -> BalanceAnswer:
    """GET /v1/accounts/{id}/balance."""
    reads = query_services().balances
    query = request.query(BalanceQuery)
    return balance_queries.get_balance(request.path_id, query, request.authenticated, reads)


@handler.handles("getTransfer")
def read_transfer(request: Request) -> TransferAnswer:
    """GET /v1/transfers/{id}."""
    archive = query_services().transfers
    return transfer_queries.get_transfer(request.path_id, request.authenticated, archive)


@handler.handles("listTransfers")
def list_transfers(request: Request) -> TransferList:
    """GET /v1/transfers."""
    archive = query_services().transfers
    query = request.query(TransferQuery)
    return transfer_queries.list_transfers(query, request.authenticated, archive)


@handler.handles("getPayment")
def read_payment(request: Request) -> PaymentDetail:
    """GET /v1/payments/{id}."""
    archive = query_services().payments
    return payment_queries.get_payment(request.path_id, request.authenticated, archive)


@handler.handles("listPayments")
def list_payments(request: Request) -> PaymentList:
    """GET /v1/payments."""
    archive = query_services().payments
    query = request.query(PaymentQuery)
    return payment_queries.list_payments(query, request.authenticated, archive)


@handler.handles("summarizePayments")
def summarize_payments(request: Request) -> PaymentSummary:
    """GET /v1/payments/summary."""
    archive = query_services().payments
    query = request.query(SummaryQuery)
    return payment_summary.summarize_payments(query, request.authenticated, archive)


@handler.handles("getTransaction")
def read_transaction(request: Request) -> TransactionDetail:
    """GET /v1/transactions/{id}."""
    reads = query_services().transactions
    return transaction_queries.get_transaction(request.path_id, request.authenticated, reads)


@handler.handles("listTransactions")
def list_transactions(request: Request) -> TransactionList:
    """GET /v1/transactions."""
    reads = query_services().transactions
    query = request.query(TransactionQuery)
    return transaction_queries.list_transactions(query, request.authenticated, reads)


@handler.handles("listIdempotencyKeys")
def list_idempotency_keys(request: Request) -> IdempotencyKeyList:
    """GET /v1/idempotency-keys."""
    reads = query_services().idempotency
    query = request.query(IdempotencyKeyQuery)
    return idempotency_queries.list_keys(query, request.authenticated, reads)


@handler.handles("listSettlements")
def list_settlements(request: Request) -> SettlementList:
    """GET /v1/settlements."""
    archive = query_services().settlements
    query = request.query(SettlementQuery)
    return settlement_queries.list_settlements(query, request.authenticated, archive)


@handler.handles("getSettlement")
def read_settlement(request: Request) -> SettlementAnswer:
    """GET /v1/settlements/{id}."""
    archive = query_services().settlements
    return settlement_queries.get_settlement(request.path_id, request.authenticated, archive)


@handler.handles("listExceptions")
def list_exceptions(request: Request) -> ExceptionList:
    """GET /v1/settlement-lines."""
    query, reads = request.query(ExceptionQuery), query_services().exceptions
    return exceptions.list_exceptions(query, request.authenticated, reads)


@handler.handles("listSettlementLines")
def list_settlement_lines(request: Request) -> SettlementLineList:
    """GET /v1/settlements/{id}/lines."""
    archive = query_services().settlements
    query = request.query(LineQuery)
    return settlement_queries.list_lines(request.path_id, query, request.authenticated, archive)


@handler.handles("getSettlementReport")
def read_settlement_report(request: Request) -> SettlementReportAnswer:
    """GET /v1/settlements/{id}/report."""
    dependencies = query_services().reports
    return make_report(request.path_id, request.authenticated, dependencies)


@handler.handles("listSettlementFiles")
def list_files(request: Request) -> SettlementFileList:
    """GET /v1/settlement-files."""
    query, reads = request.query(SettlementFileQuery), query_services().settlement_files
    return file_routes.list_settlement_files(query, request.authenticated, reads)


@handler.handles("getSettlementFile")
def read_file(request: Request) -> SettlementFileAnswer:
    """GET /v1/settlement-files/{id}."""
    reads = query_services().settlement_files
    return file_routes.get_settlement_file(request.path_id, request.authenticated, reads)


@handler.handles("listAlerts")
def list_alerts(request: Request) -> AlertList:
    """GET /v1/alerts."""
    archive = query_services().alerts
    return alert_queries.list_alerts(request.query(AlertQuery), request.authenticated, archive)


@handler.handles("listExports")
def list_exports(request: Request) -> ExportList:
    """GET /v1/exports."""
    exports = query_services().exports
    query = request.query(ExportQuery)
    return export_queries.list_exports(query, request.authenticated, exports)


@handler.handles("getExport")
def read_export(request: Request) -> ExportAnswer:
    """GET /v1/exports/{id}."""
    exports = query_services().exports
    return export_queries.get_export(request.path_id, request.authenticated, exports)


@handler.handles("listWebhooks")
def list_webhooks(request: Request) -> WebhookList:
    """GET /v1/webhooks."""
    archive = query_services().webhooks
    return webhooks.list_webhooks(request.query(WebhookQuery), request.authenticated, archive)


@handler.handles("getWebhook")
def read_webhook(request: Request) -> WebhookAnswer:
    """GET /v1/webhooks/{id}."""
    archive = query_services().webhooks
    return webhooks.get_webhook(request.path_id, request.authenticated, archive)


@handler.handles("listAudit")
def list_audit(request: Request) -> AuditList:
    """GET /v1/audit."""
    trail = query_services().audit
    return audit_queries.list_audit(request.query(AuditQuery), request.authenticated, trail)


@handler.handles("verifyAudit")
def verify_audit(request: Request) -> VerifyAnswer:
    """GET /v1/audit/{entity_id}/verify."""
    trail, query = query_services().audit, request.query(VerifyQuery)
    entity_id = request.path["entity_id"]
    return audit_queries.verify_chain(entity_id, query, request.authenticated, trail)


@handler.handles("getProof")
def read_proof(_: Request) -> ProofAnswer:
    """GET /v1/proof."""
    return get_proof(query_services().proofs)


@handler.handles("health")
def health(_: Request) -> Health:
    """GET /v1/health."""
    return Health(stage=query_services().stage)


@handler.handles("openapi")
def openapi(request: Request) -> Response[str]:
    """GET /v1/openapi.json."""
    return _OPENAPI.answer(request.headers)


@handler.handles("docs")
def docs(request: Request) -> Response[str]:
    """GET /v1/docs."""
    return DOCS_PAGE.answer(request.headers)


@handler.handles("listProcessorEvents")
def list_processor_events(request: Request) -> KeptEventList:
    """GET /v1/processor-events."""
    archive = query_services().processor_events
    return list_kept_events(request.query(KeptEventQuery), request.authenticated, archive)
