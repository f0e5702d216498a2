"""Shapes of the look-ups of transactions."""

from http import HTTPStatus
from typing import Annotated, Final

from pydantic import Field

from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer, Identifier, Page, PageQuery, ShortText
from runtime.payments.api import TransactionAnswer
from runtime.payments.transaction_models import TransactionStatus
from runtime.reconciliation.settlements.models import LineStatus

_ONE_FILTER: Final = " Exactly one of payment_id, processor_id and status is needed."


class TransactionQuery(PageQuery, frozen=True):
    """Exactly one of the three: of a payment, by the processor's id, or in a status.

    One id of a processor can stand for several transactions: a charge and its captures.
    """

    payment_id: Annotated[
        Identifier | None,
        Field(description="Transactions of this payment." + _ONE_FILTER),
    ] = None
    processor_id: Annotated[
        ShortText | None,
        Field(description="Transactions that the processor calls by this id." + _ONE_FILTER),
    ] = None
    status: Annotated[
        TransactionStatus | None,
        Field(description="Transactions in this status." + _ONE_FILTER),
    ] = None


class TransactionList(Page[TransactionAnswer], frozen=True):
    """A page of transactions, newest first."""


class LineOfTransaction(Answer, frozen=True):
    """A settlement line about a transaction, and its status."""

    settlement_id: str
    line: Annotated[int, Field(description="Number of the line within the settlement.")]
    status: Annotated[LineStatus, Field(description="How the line compares with the transaction.")]


class TransactionDetail(TransactionAnswer, frozen=True):
    """A transaction with the lines of settlement files that are about it."""

    settlement_lines: Annotated[
        tuple[LineOfTransaction, ...],
        Field(description="Lines of settlements that are about it, matched or not."),
    ]


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="getTransaction",
        method="GET",
        path="/v1/transactions/{id}",
        function="query",
        summary="Read a transaction with its settlement lines",
        tag="payments",
        permission=Permission.PAYMENTS,
        answers={HTTPStatus.OK: TransactionDetail},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listTransactions",
        method="GET",
        path="/v1/transactions",
        function="query",
        summary="List transactions of a payment, of a processor's id, or in a status, newest first",
        tag="payments",
        permission=Permission.PAYMENTS,
        query=TransactionQuery,
        answers={HTTPStatus.OK: TransactionList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
