"""Shapes of the export routes."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Final

from pydantic import Field

from runtime.audit.api import AuditQuery, AuditRowAnswer, EntityId, Word
from runtime.core.currency import CurrencyCode
from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import (
    Answer,
    Body,
    Identifier,
    Moment,
    Page,
    PageQuery,
    Query,
    ShortText,
    WholeNumber,
)
from runtime.ledger.accounts.api import EntryAnswer
from runtime.ledger.transfers.api import TransferAnswer, TransferQuery
from runtime.payments.api import PaymentAnswer, PaymentQuery, Reference, TransactionAnswer
from runtime.payments.transaction_models import TransactionStatus
from runtime.reconciliation.exceptions.api import MAX_AGE_DAYS
from runtime.reconciliation.settlements.api import LineQuery, SettlementLineAnswer
from runtime.reporting.exports.models import ExportFormat, ExportKind, ExportStatus


class TransactionFilters(Query, frozen=True):
    """Filters of exported transactions."""

    payment_id: Identifier | None = None
    processor_id: ShortText | None = None
    status: TransactionStatus | None = None


class EntryFilters(Query, frozen=True):
    """One account's entries, or those of all accounts."""

    account_id: Identifier | None = None


class LineFilters(LineQuery, frozen=True):
    """One settlement's lines, or those of all settlements of some days.

    With `min_age_days`: exceptions without a resolution, of settlements at least so old.
    """

    settlement_id: Identifier | None = None
    min_age_days: Annotated[int | None, Field(ge=0, le=MAX_AGE_DAYS), WholeNumber] = None
    start_date: Moment | None = None
    end_date: Moment | None = None


class ExportedEntry(EntryAnswer, frozen=True):
    """A line of a statement, with its account."""

    account_id: str
    currency: str


FILTERS: Final[Mapping[ExportKind, type[Query]]] = {
    ExportKind.PAYMENTS: PaymentQuery,
    ExportKind.TRANSACTIONS: TransactionFilters,
    ExportKind.TRANSFERS: TransferQuery,
    ExportKind.ENTRIES: EntryFilters,
    ExportKind.AUDIT: AuditQuery,
    ExportKind.SETTLEMENT_LINES: LineFilters,
}
"""Filters by kind: those of the kind's list, by the same model."""
ROWS: Final[Mapping[ExportKind, type[Answer]]] = {
    ExportKind.PAYMENTS: PaymentAnswer,
    ExportKind.TRANSACTIONS: TransactionAnswer,
    ExportKind.TRANSFERS: TransferAnswer,
    ExportKind.ENTRIES: ExportedEntry,
    ExportKind.AUDIT: AuditRowAnswer,
    ExportKind.SETTLEMENT_LINES: SettlementLineAnswer,
}
"""The public shape of an exported row; its fields, in order, are the columns of CSV."""


def filter_names(kind: ExportKind) -> tuple[str, ...]:
    """The filters of a kind of export.

    Not an idempotency key or the id of a request: few rows have one in common, and an export's own
    request has both. Nor how a page is shown.
    """
    others = {*PageQuery.model_fields, "idempotency_key", "request_id", "order", "include"}
    return tuple(name for name in FILTERS[kind].model_fields if name not in others)


class ExportRequest(Body, frozen=True):
    """What to export: the rows of a list of the API, narrowed by the filters of that list."""

    kind: Annotated[ExportKind, Field(description="The list to export.")]
    format: Annotated[ExportFormat, Field(description="`beancount` is for entries alone.")] = (
        ExportFormat.CSV
    )
    account_id: Annotated[
        Identifier | None, Field(description="Filters transfers and entries.")
    ] = None
    action: Annotated[Word | None, Field(description="Filters audit rows.")] = None
    currency: Annotated[CurrencyCode | None, Field(description="Filters payments.")] = None
    customer_id: Annotated[
        Identifier | None, Field(description="Filters payments and transfers.")
    ] = None
    end_date: Annotated[
        Moment | None,
        Field(
            description="Filters payments, audit rows and settlement lines: the last day or time."
        ),
    ] = None
    entity_id: Annotated[EntityId | None, Field(description="Filters audit rows.")] = None
    max_amount: Annotated[int | None, Field(ge=0, description="Filters payments; minor units.")] = (
        None
    )
    min_age_days: Annotated[
        int | None,
        Field(
            ge=0,
            le=MAX_AGE_DAYS,
            description="Filters settlement lines: open exceptions at least so many days old.",
        ),
    ] = None
    min_amount: Annotated[int | None, Field(ge=0, description="Filters payments; minor units.")] = (
        None
    )
    payment_id: Annotated[Identifier | None, Field(description="Filters transactions.")] = None
    processor_id: Annotated[ShortText | None, Field(description="Filters transactions.")] = None
    reference: Annotated[
        Reference | None, Field(description="Filters payments: exactly this reference.")
    ] = None
    settlement_id: Annotated[Identifier | None, Field(description="Filters settlement lines.")] = (
        None
    )
    start_date: Annotated[
        Moment | None,
        Field(
            description="Filters payments, audit rows and settlement lines: the first day or time."
        ),
    ] = None
    status: Annotated[
        Word | None,
        Field(description="A status of the kind's list; not for entries and audit rows."),
    ] = None
    type: Annotated[Word | None, Field(description="Filters settlement lines.")] = None
    user_id: Annotated[ShortText | None, Field(description="Filters audit rows.")] = None

    def filters(self) -> dict[str, str]:
        """The filters that are given, by name."""
        given = self.model_dump(
            mode="json",
            exclude={"kind", "format", "merchant_id", "idempotency_key"},
            exclude_none=True,
        )
        return {name: str(value) for name, value in given.items()}


class ExportAnswer(Answer, frozen=True):
    """An export. `progress` counts the rows that are written, `rows` all of them when completed.

    `result_url` is signed for 15 minutes; every answer has a new one while the file is kept.
    `sha256` and `size` (bytes) are of the file. What was made after `until` is not in it.
    """

    id: Annotated[str, Field(description="Begins with exp_.")]
    merchant_id: str
    kind: ExportKind
    format: ExportFormat
    filters: Annotated[dict[str, str], Field(description="The filters of the request.")]
    until: Annotated[
        Timestamp,
        Field(description="Moment of the request: what was made later is not in the file."),
    ]
    requested_by: Annotated[str | None, Field(description="Who asked for it.")]
    status: ExportStatus
    failure_reason: Annotated[str | None, Field(description="Why it failed; null otherwise.")]
    progress: int = Field(validation_alias="rows_done", description="Rows written so far.")
    rows: Annotated[
        int | None, Field(description="All rows of the file; null until it is completed.")
    ]
    size: Annotated[int | None, Field(description="Bytes of the file; null until it is completed.")]
    sha256: Annotated[
        str | None, Field(description="Of the file's bytes, in hex; null until it is completed.")
    ]
    result_url: Annotated[
        str | None,
        Field(description="Signed link to the file for 15 minutes; each answer has a new one."),
    ] = None
    completed_at: Timestamp | None
    expires_at: Annotated[
        Timestamp, Field(description="When the file and this export are deleted.")
    ]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class ExportQuery(PageQuery, frozen=True):
    """Exports of one status, or all."""

    status: Annotated[ExportStatus | None, Field(description="Only exports of this status.")] = None


class ExportList(Page[ExportAnswer], frozen=True):
    """A page of exports, newest first."""


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="createExport",
        method="POST",
        path="/v1/exports",
        function="process",
        summary="Have the rows of a list written into a file",
        tag="exports",
        permission=Permission.REPORTS,
        body=ExportRequest,
        idempotent="honoured",
        answers={HTTPStatus.ACCEPTED: ExportAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS),
    ),
    Endpoint(
        operation="listExports",
        method="GET",
        path="/v1/exports",
        function="query",
        summary="List exports, newest first",
        tag="exports",
        permission=Permission.REPORTS,
        query=ExportQuery,
        answers={HTTPStatus.OK: ExportList},
    ),
    Endpoint(
        operation="getExport",
        method="GET",
        path="/v1/exports/{id}",
        function="query",
        summary="Read an export: how far it is, and its file once it is completed",
        tag="exports",
        permission=Permission.REPORTS,
        answers={HTTPStatus.OK: ExportAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
