"""Shapes of the look-ups of transactions."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from runtime.contract.base import Answer, Identifier, Page, PageQuery, ShortText
from runtime.contract.endpoint import Endpoint, Permission
from runtime.contract.payments import TransactionAnswer
from runtime.models.settlement import LineStatus
from runtime.models.transaction import TransactionStatus


class TransactionQuery(PageQuery, frozen=True):
    """Exactly one of the three: of a payment, by the processor's id, or in a status.

    What a processor calls by one id may be several: a charge and its captures.
    """

    payment_id: Identifier | None = None
    processor_id: ShortText | None = None
    status: TransactionStatus | None = None


class TransactionList(Page[TransactionAnswer], frozen=True):
    """A page of transactions, newest first."""


class LineOfTransaction(Answer, frozen=True):
    """A settlement line that is about a transaction, and what became of it."""

    settlement_id: str
    line: int
    status: LineStatus


class TransactionDetail(TransactionAnswer, frozen=True):
    """A transaction with the lines of settlement files that are about it."""

    settlement_lines: tuple[LineOfTransaction, ...]


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
