"""Shapes of the settlement routes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final

from pydantic import Field

from runtime.contract.base import Answer, Moment, Page, PageQuery
from runtime.contract.endpoint import Endpoint, Permission
from runtime.models.fields import Instant
from runtime.models.settlement import (
    CurrencyTotal,
    ExpectedAmounts,
    LineStatus,
    LineType,
    ResolutionAction,
    SettlementFormat,
    SettlementStatus,
    TypeTotal,
)


class SettlementQuery(PageQuery, frozen=True):
    """Settlements of one status, or of days from `start_date` to `end_date`."""

    status: SettlementStatus | None = None
    start_date: Moment | None = None
    end_date: Moment | None = None


class SettlementAnswer(Answer, frozen=True):
    """What a payout, or a canonical file, came to. Amounts in minor units, by currency."""

    id: str
    merchant_id: str
    date: str
    format: Annotated[
        SettlementFormat,
        Field(description="`unsettled`: what a day's files should have held, and did not."),
    ]
    payout_reference: Annotated[str | None, Field(description="The processor's id of the payout.")]
    status: SettlementStatus
    source: str
    sha256: str
    rejection_reason: str | None
    file_ids: tuple[str, ...]
    counts: dict[LineStatus, int]
    open_exceptions: Annotated[
        int, Field(description="Lines that need a decision and have no resolution yet.")
    ]
    totals: Annotated[dict[str, CurrencyTotal], Field(description="Of matched captures.")]
    by_type: Annotated[
        dict[str, dict[str, TypeTotal]], Field(description="Of all lines, by type and currency.")
    ]
    payout: Annotated[dict[str, int], Field(description="What was paid out.")]
    remainder: Annotated[
        dict[str, int], Field(description="Payout less the net of all other lines; 0: explained.")
    ]
    completed_at: Instant | None
    version: int
    created_at: Instant
    updated_at: Instant


class SettlementList(Page[SettlementAnswer], frozen=True):
    """A page of settlements."""


class LineQuery(PageQuery, frozen=True):
    """Lines of one status or type, or all."""

    status: LineStatus | None = None
    type: LineType | None = None


class ResolutionAnswer(Answer, frozen=True):
    """How a person closed an exception."""

    action: ResolutionAction
    note: str
    by: str
    at: Instant


class LineFacts(Answer, frozen=True):
    """What a line says (signed minor units), its status, and why."""

    file_id: str | None
    file_line: Annotated[int | None, Field(description="Physical line of its file, from 1.")]
    type: LineType | None
    category: Annotated[str | None, Field(description="What the processor calls it.")]
    status: LineStatus
    reason: str | None
    payment_id: str | None
    transaction_id: str | None
    dispute_id: str | None
    processor_ids: tuple[str, ...]
    amount: int | None
    fee: int | None
    net: int | None
    currency: str | None
    presented_amount: Annotated[int | None, Field(description="What the customer was charged.")]
    presented_currency: str | None
    processed_date: str | None
    settlement_date: str | None
    expected: Annotated[
        ExpectedAmounts | None, Field(description="What we have booked of what it is about.")
    ]
    resolution: ResolutionAnswer | None
    version: int
    created_at: Instant
    updated_at: Instant


class SettlementLineAnswer(LineFacts, frozen=True):
    """One line of a settlement."""

    settlement_id: str
    line: int


class SettlementLineList(Page[SettlementLineAnswer], frozen=True):
    """A page of lines, in the order of the file."""


class SettlementReportAnswer(Answer, frozen=True):
    """Links to the report of a settlement as it stands now. They need no token: keep them safe."""

    url: Annotated[
        str, Field(repr=False, description="A page to read or print, which loads nothing else.")
    ]
    csv_url: Annotated[
        str | None,
        Field(
            repr=False,
            description="All lines as CSV; null above 10,000 lines: export settlement_lines.",
        ),
    ]
    expires_at: Instant


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
        summary="Read a settlement: its counts, its sums, and its payout explained",
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
        summary="List the lines of a settlement with what became of each",
        tag="settlements",
        permission=Permission.REPORTS,
        query=LineQuery,
        answers={HTTPStatus.OK: SettlementLineList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="getSettlementReport",
        method="GET",
        path="/v1/settlements/{id}/report",
        function="query",
        summary="Get links to a printable report of a settlement, and to its lines as CSV",
        tag="settlements",
        permission=Permission.REPORTS,
        answers={HTTPStatus.OK: SettlementReportAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
