"""Shapes of the settlement routes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from runtime.contract.base import Answer, Page, PageQuery
from runtime.contract.endpoint import Endpoint, Permission
from runtime.models.fields import Instant
from runtime.models.settlement import CurrencyTotal, LineStatus, SettlementStatus


class SettlementQuery(PageQuery, frozen=True):
    """Settlements have no filters of their own."""


class SettlementAnswer(Answer, frozen=True):
    """One settlement file: what its lines turned out to be; totals are those of matched lines."""

    id: str
    merchant_id: str
    date: str
    status: SettlementStatus
    source: str
    sha256: str
    rejection_reason: str | None
    counts: dict[LineStatus, int]
    totals: dict[str, CurrencyTotal]
    completed_at: Instant | None
    version: int
    created_at: Instant
    updated_at: Instant


class SettlementList(Page[SettlementAnswer], frozen=True):
    """A page of settlements."""


class LineQuery(PageQuery, frozen=True):
    """Lines of one status, or all."""

    status: LineStatus | None = None


class SettlementLineAnswer(Answer, frozen=True):
    """One line as it was read (minor units), its status, and why."""

    settlement_id: str
    line: int
    status: LineStatus
    reason: str | None
    payment_id: str | None
    transaction_id: str | None
    amount: int | None
    fee: int | None
    net: int | None
    currency: str | None
    processed_date: str | None
    settlement_date: str | None
    created_at: Instant
    updated_at: Instant


class SettlementLineList(Page[SettlementLineAnswer], frozen=True):
    """A page of lines, in the order of the file."""


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="listSettlements",
        method="GET",
        path="/v1/settlements",
        function="query",
        summary="List settlements, newest day first",
        tag="settlements",
        permission=Permission.REPORTS,
        query=SettlementQuery,
        answers={HTTPStatus.OK: SettlementList},
    ),
    Endpoint(
        operation="getSettlement",
        method="GET",
        path="/v1/settlements/{id}",
        function="query",
        summary="Read a settlement: its counts and totals",
        tag="settlements",
        permission=Permission.REPORTS,
        answers={HTTPStatus.OK: SettlementAnswer},
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
        query=LineQuery,
        answers={HTTPStatus.OK: SettlementLineList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
