"""Every route of the API: who serves it, who may call it, what goes in and what comes out.

The gateway's routes, the dispatch of both HTTP functions, permissions, validation and the OpenAPI
document are all read from `ENDPOINTS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Literal

from pydantic import BaseModel

from runtime.contract import (
    accounts,
    api_keys,
    customers,
    merchants,
    payments,
    proof,
    settlements,
    system,
    transfers,
)

Method = Literal["GET", "POST", "PATCH", "DELETE"]
Function = Literal["process", "query"]


class Permission(StrEnum):
    """What a token may allow; `admin` implies all others."""

    PAYMENTS = "payments"
    REFUNDS = "refunds"
    CUSTOMERS = "customers"
    ACCOUNTS = "accounts"
    TRANSFERS = "transfers"
    REPORTS = "reports"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method on one path.

    No `permission`, and not `public`: any valid token will do; the service judges (admin or own).
    `body_optional`: no body at all stands for `{}`.
    `answers` maps each success status to its model (None: no JSON body of ours).
    """

    operation: str
    method: Method
    path: str
    function: Function
    summary: str
    tag: str
    answers: dict[HTTPStatus, type[BaseModel] | None]
    permission: Permission | None = None
    public: bool = False
    body: type[BaseModel] | None = None
    body_optional: bool = False
    query: type[BaseModel] | None = None
    idempotent: Literal["required", "honoured", "no"] = "no"
    refusals: tuple[HTTPStatus, ...] = field(default=())


_OK, _CREATED, _ACCEPTED = HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="createMerchant",
        method="POST",
        path="/v1/merchants",
        function="process",
        summary="Register a merchant",
        tag="merchants",
        permission=Permission.ADMIN,
        body=merchants.MerchantRequest,
        idempotent="honoured",
        answers={_CREATED: merchants.NewMerchant},
    ),
    Endpoint(
        operation="getMerchant",
        method="GET",
        path="/v1/merchants/{id}",
        function="query",
        summary="Read a merchant: an operator any, a merchant itself",
        tag="merchants",
        answers={_OK: merchants.MerchantAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="createApiKey",
        method="POST",
        path="/v1/api-keys",
        function="process",
        summary="Make an API key for a merchant's machine client; its secret is shown once",
        tag="api keys",
        permission=Permission.ADMIN,
        body=api_keys.ApiKeyRequest,
        idempotent="honoured",
        answers={_CREATED: api_keys.NewApiKey},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listApiKeys",
        method="GET",
        path="/v1/api-keys",
        function="query",
        summary="List a merchant's API keys, newest first, revoked ones included",
        tag="api keys",
        permission=Permission.ADMIN,
        query=api_keys.ApiKeyQuery,
        answers={_OK: api_keys.ApiKeyList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="revokeApiKey",
        method="POST",
        path="/v1/api-keys/{id}/revoke",
        function="process",
        summary="Revoke an API key for good",
        tag="api keys",
        permission=Permission.ADMIN,
        body=api_keys.ApiKeyChange,
        body_optional=True,
        idempotent="honoured",
        answers={_OK: api_keys.ApiKeyAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="createCustomer",
        method="POST",
        path="/v1/customers",
        function="process",
        summary="Register a customer; personal fields are stored enciphered",
        tag="customers",
        permission=Permission.CUSTOMERS,
        body=customers.CustomerRequest,
        idempotent="honoured",
        answers={_CREATED: customers.CustomerAnswer},
    ),
    Endpoint(
        operation="getCustomer",
        method="GET",
        path="/v1/customers/{id}",
        function="query",
        summary="Read a customer",
        tag="customers",
        permission=Permission.CUSTOMERS,
        answers={_OK: customers.CustomerAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="createAccount",
        method="POST",
        path="/v1/accounts",
        function="process",
        summary="Open an account; an opening balance is booked as a transfer",
        tag="accounts",
        permission=Permission.ACCOUNTS,
        body=accounts.AccountRequest,
        idempotent="honoured",
        answers={_CREATED: accounts.AccountAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="getAccount",
        method="GET",
        path="/v1/accounts/{id}",
        function="query",
        summary="Read an account",
        tag="accounts",
        permission=Permission.ACCOUNTS,
        answers={_OK: accounts.AccountAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listAccounts",
        method="GET",
        path="/v1/accounts",
        function="query",
        summary="List accounts of a customer, or of a status and type, newest first",
        tag="accounts",
        permission=Permission.ACCOUNTS,
        query=accounts.AccountQuery,
        answers={_OK: accounts.AccountList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listEntries",
        method="GET",
        path="/v1/accounts/{id}/entries",
        function="query",
        summary="An account's statement, newest first",
        tag="accounts",
        permission=Permission.ACCOUNTS,
        query=accounts.EntryQuery,
        answers={_OK: accounts.EntryList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="deactivateAccount",
        method="POST",
        path="/v1/accounts/{id}/deactivate",
        function="process",
        summary="Let no transfer begin from or to an account",
        tag="accounts",
        permission=Permission.ADMIN,
        body=accounts.AccountChange,
        body_optional=True,
        idempotent="honoured",
        answers={_OK: accounts.AccountAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="activateAccount",
        method="POST",
        path="/v1/accounts/{id}/activate",
        function="process",
        summary="Let an account take transfers again",
        tag="accounts",
        permission=Permission.ADMIN,
        body=accounts.AccountChange,
        body_optional=True,
        idempotent="honoured",
        answers={_OK: accounts.AccountAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="unlockAccount",
        method="POST",
        path="/v1/accounts/{id}/unlock",
        function="process",
        summary="End an account's lock before its time",
        tag="accounts",
        permission=Permission.ADMIN,
        body=accounts.AccountChange,
        body_optional=True,
        idempotent="honoured",
        answers={_OK: accounts.AccountAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="closeAccount",
        method="POST",
        path="/v1/accounts/{id}/close",
        function="process",
        summary="Close an account for good, only at zero",
        tag="accounts",
        permission=Permission.ADMIN,
        body=accounts.AccountChange,
        body_optional=True,
        idempotent="honoured",
        answers={_OK: accounts.AccountAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="createTransfer",
        method="POST",
        path="/v1/transfers",
        function="process",
        summary="Move money between accounts, or hold it",
        tag="transfers",
        permission=Permission.TRANSFERS,
        body=transfers.TransferRequest,
        idempotent="required",
        answers={_CREATED: transfers.TransferAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.LOCKED),
    ),
    Endpoint(
        operation="postTransfer",
        method="POST",
        path="/v1/transfers/{id}/post",
        function="process",
        summary="Move what was held, or a part of it",
        tag="transfers",
        permission=Permission.TRANSFERS,
        body=transfers.PostRequest,
        body_optional=True,
        idempotent="required",
        answers={_OK: transfers.TransferAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="cancelTransfer",
        method="POST",
        path="/v1/transfers/{id}/cancel",
        function="process",
        summary="Give back what was held",
        tag="transfers",
        permission=Permission.TRANSFERS,
        body=transfers.CancelRequest,
        body_optional=True,
        idempotent="required",
        answers={_OK: transfers.TransferAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="getTransfer",
        method="GET",
        path="/v1/transfers/{id}",
        function="query",
        summary="Read a transfer (strongly consistent)",
        tag="transfers",
        permission=Permission.TRANSFERS,
        answers={_OK: transfers.TransferAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listTransfers",
        method="GET",
        path="/v1/transfers",
        function="query",
        summary="List transfers, newest first; failed attempts included",
        tag="transfers",
        permission=Permission.TRANSFERS,
        query=transfers.TransferQuery,
        answers={_OK: transfers.TransferList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="createPayment",
        method="POST",
        path="/v1/payments",
        function="process",
        summary="Charge a payment method",
        tag="payments",
        permission=Permission.PAYMENTS,
        body=payments.PaymentRequest,
        idempotent="required",
        answers={_CREATED: payments.PaymentAnswer, _ACCEPTED: payments.PaymentAnswer},
        refusals=(HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="getPayment",
        method="GET",
        path="/v1/payments/{id}",
        function="query",
        summary="Read a payment with its transactions (strongly consistent)",
        tag="payments",
        permission=Permission.PAYMENTS,
        answers={_OK: payments.PaymentDetail},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listPayments",
        method="GET",
        path="/v1/payments",
        function="query",
        summary="List payments, newest first",
        tag="payments",
        permission=Permission.PAYMENTS,
        query=payments.PaymentQuery,
        answers={_OK: payments.PaymentList},
    ),
    Endpoint(
        operation="summarizePayments",
        method="GET",
        path="/v1/payments/summary",
        function="query",
        summary="Count and add up payments by status and currency",
        tag="payments",
        permission=Permission.REPORTS,
        query=payments.SummaryQuery,
        answers={_OK: payments.PaymentSummary},
    ),
    Endpoint(
        operation="listSettlements",
        method="GET",
        path="/v1/settlements",
        function="query",
        summary="List settlements, newest day first",
        tag="settlements",
        permission=Permission.REPORTS,
        query=settlements.SettlementQuery,
        answers={_OK: settlements.SettlementList},
    ),
    Endpoint(
        operation="getSettlement",
        method="GET",
        path="/v1/settlements/{id}",
        function="query",
        summary="Read a settlement: its counts and totals",
        tag="settlements",
        permission=Permission.REPORTS,
        answers={_OK: settlements.SettlementAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listSettlementLines",
        method="GET",
        path="/v1/settlements/{id}/lines",
        function="query",
        summary="List the lines of a settlement file with what became of each",
        tag="settlements",
        permission=Permission.REPORTS,
        query=settlements.LineQuery,
        answers={_OK: settlements.SettlementLineList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="getProof",
        method="GET",
        path="/v1/proof",
        function="query",
        summary="The last completed proof of the books",
        tag="proof",
        permission=Permission.ADMIN,
        answers={_OK: proof.ProofAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="health",
        method="GET",
        path="/v1/health",
        function="query",
        summary="Whether the API answers",
        tag="system",
        public=True,
        answers={_OK: system.Health},
    ),
    Endpoint(
        operation="openapi",
        method="GET",
        path="/v1/openapi.json",
        function="query",
        summary="This document",
        tag="system",
        public=True,
        answers={_OK: None},
    ),
    Endpoint(
        operation="docs",
        method="GET",
        path="/v1/docs",
        function="query",
        summary="The documentation as a page that needs no outside host",
        tag="system",
        public=True,
        answers={_OK: None},
    ),
)
