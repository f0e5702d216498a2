"""Shapes of the settlement routes."""

from http import HTTPStatus
from typing import Annotated, Final

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer, Moment, Page, PageQuery
from runtime.reconciliation.settlements.models import (
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
    """Settlements of one status, of days from `start_date` to `end_date`, or both."""

    status: Annotated[
        SettlementStatus | None, Field(description="Only settlements of this status.")
    ] = None
    start_date: Moment | None = None
    end_date: Moment | None = None


class SettlementAnswer(Answer, frozen=True):
    """What a payout, or a canonical file, came to. Amounts in minor units, by currency."""

    id: Annotated[str, Field(description="Begins with set_.")]
    merchant_id: str
    date: Annotated[str, Field(description="Day of the payout, as YYYY-MM-DD.")]
    format: Annotated[
        SettlementFormat,
        Field(description="`unsettled`: what a day's files should have held, and did not."),
    ]
    payout_reference: Annotated[str | None, Field(description="The processor's id of the payout.")]
    status: SettlementStatus
    source: Annotated[str, Field(description="Key of the first file in the settlement bucket.")]
    sha256: Annotated[str, Field(description="Of the first file's bytes, in hex.")]
    rejection_reason: Annotated[
        str | None, Field(description="Why a rejected file could not be read.")
    ]
    file_ids: Annotated[tuple[str, ...], Field(description="Files that its lines came from.")]
    counts: Annotated[dict[LineStatus, int], Field(description="Lines by status.")]
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
    completed_at: Timestamp | None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class SettlementList(Page[SettlementAnswer], frozen=True):
    """A page of settlements."""


class LineQuery(PageQuery, frozen=True):
    """Lines of one status or type, or all."""

    status: Annotated[LineStatus | None, Field(description="Only lines of this status.")] = None
    type: Annotated[LineType | None, Field(description="Only lines of this type.")] = None


class ResolutionAnswer(Answer, frozen=True):
    """How a person closed an exception."""

    action: ResolutionAction
    note: Annotated[str, Field(description="Why, in the words of who decided.")]
    by: Annotated[str, Field(description="User or API key that decided.")]
    at: Timestamp


class LineFacts(Answer, frozen=True):
    """What a line says (signed minor units), its status, and why."""

    file_id: Annotated[
        str | None,
        Field(description="File that the line came from; null for lines of `unsettled`."),
    ]
    file_line: Annotated[int | None, Field(description="Physical line of its file, from 1.")]
    type: LineType | None
    category: Annotated[str | None, Field(description="What the processor calls it.")]
    status: LineStatus
    reason: Annotated[
        str | None, Field(description="Why it has its status, with the values that were compared.")
    ]
    payment_id: Annotated[str | None, Field(description="Payment that it is about.")]
    transaction_id: Annotated[str | None, Field(description="Transaction that it is about.")]
    dispute_id: Annotated[
        str | None, Field(description="The processor's id of the dispute that it is about.")
    ]
    processor_ids: Annotated[
        tuple[str, ...], Field(description="Ids by which the processor's file names it.")
    ]
    amount: Annotated[
        int | None, Field(description="Gross amount, minor units; negative where money was taken.")
    ]
    fee: Annotated[
        int | None, Field(description="The processor's fee, minor units; a cost is positive.")
    ]
    net: Annotated[int | None, Field(description="Amount less fee, minor units.")]
    currency: Annotated[str | None, Field(description="Currency of amount, fee and net.")]
    presented_amount: Annotated[int | None, Field(description="What the customer was charged.")]
    presented_currency: Annotated[str | None, Field(description="Currency of `presented_amount`.")]
    processed_date: Annotated[
        str | None, Field(description="Day on which the processor carried it out, as YYYY-MM-DD.")
    ]
    settlement_date: Annotated[
        str | None, Field(description="Day on which it was paid out, as YYYY-MM-DD.")
    ]
    expected: Annotated[
        ExpectedAmounts | None, Field(description="What we have booked of what it is about.")
    ]
    resolution: Annotated[
        ResolutionAnswer | None,
        Field(description="The decision about it; null while there is none."),
    ]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class SettlementLineAnswer(LineFacts, frozen=True):
    """One line of a settlement."""

    settlement_id: str
    line: Annotated[int, Field(description="Number of the line within the settlement.")]


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
    expires_at: Annotated[Timestamp, Field(description="When both links end.")]


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
