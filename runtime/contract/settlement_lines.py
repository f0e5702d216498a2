"""Shapes of the routes for exceptions: lines of settlements that a person has to act on."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from runtime.contract.base import Answer, Body, Identifier, Page, PageQuery, WholeNumber
from runtime.contract.endpoint import Endpoint, Permission
from runtime.contract.settlements import LineFacts, SettlementLineAnswer
from runtime.contract.system import Problem
from runtime.models.settlement import (
    MAX_NOTE,
    NO_EXCEPTION,
    LineStatus,
    LineType,
    ResolutionAction,
)

MAX_AGE_DAYS: Final = 3_650
"""Ten years: nothing here is older."""
MAX_BULK: Final = 100
"""Lines that one request decides about."""
MAX_LINE: Final = 2**52 - 1

Action = Literal["accept", "write_off", "link", "ignore", "undo"]


def _is_listed(status: LineStatus) -> LineStatus:
    if status in NO_EXCEPTION and status is not LineStatus.EXPECTED:
        raise ValueError(
            f"{status} lines need no decision; read them at /v1/settlements/{{id}}/lines"
        )
    return status


class ExceptionQuery(PageQuery, frozen=True):
    """Open exceptions of all settlements of a merchant, or of one.

    `status=expected` lists what is in no file yet and still within the merchant's deadline.
    """

    status: Annotated[LineStatus, AfterValidator(_is_listed)] | None = None
    type: LineType | None = None
    min_age_days: Annotated[
        int,
        Field(ge=0, le=MAX_AGE_DAYS, description="Days since the settlement's date, at least."),
        WholeNumber,
    ] = 0
    settlement_id: Identifier | None = None


class Suggestion(Answer, frozen=True):
    """A transaction that an unexpected line may be about. It is never linked by itself."""

    transaction_id: str
    payment_id: str
    why: str


class ExceptionAnswer(LineFacts, frozen=True):
    """A line that needs a decision, or one that is expected (of no settlement yet)."""

    settlement_id: str | None
    line: int | None
    age_days: Annotated[int, Field(description="Whole days since the settlement's date.")]
    actions: Annotated[
        tuple[ResolutionAction, ...], Field(description="What can be done about it.")
    ]
    suggestion: Annotated[
        Suggestion | None,
        Field(description="For unexpected lines: what has the same amount and day."),
    ] = None


class ExceptionList(Page[ExceptionAnswer], frozen=True):
    """A page of exceptions, newest day first."""


class Decision(BaseModel, frozen=True, extra="forbid", strict=True, hide_input_in_errors=True):
    """What to do about a line."""

    action: Action
    note: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NOTE),
        Field(description="Why; kept with the line and in the audit log."),
    ]
    transaction_id: Annotated[
        Identifier | None, Field(description="For link: the transaction that the line is about.")
    ] = None

    @model_validator(mode="after")
    def _names_what_it_links(self) -> Decision:
        if (self.action == "link") != (self.transaction_id is not None):
            raise ValueError("link needs a transaction_id, and no other action takes one")
        return self


class ResolveRequest(Decision, Body, frozen=True):
    """What to do about one line."""


class LineDecision(Decision, frozen=True):
    """What to do about which line."""

    settlement_id: Identifier
    line: Annotated[int, Field(ge=0, le=MAX_LINE)]


class BulkResolveRequest(Body, frozen=True):
    """Decisions about several lines; each is judged and booked alone."""

    lines: Annotated[
        tuple[LineDecision, ...],
        # In JSON it is a list; strict mode would want a tuple.
        Field(min_length=1, max_length=MAX_BULK, strict=False),
    ]


class ResolvedItem(Answer, frozen=True):
    """What became of one decision: the line as it is now, or the problem."""

    settlement_id: str
    line: int
    status_code: int
    result: SettlementLineAnswer | None
    problem: Problem | None


class BulkResolveAnswer(Answer, frozen=True):
    """An answer for each decision, in their order. Some may have failed."""

    data: tuple[ResolvedItem, ...]
    resolved: int
    failed: int


_REFUSALS: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="listExceptions",
        method="GET",
        path="/v1/settlement-lines",
        function="query",
        summary="List settlement lines that need a decision, newest day first",
        tag="settlements",
        permission=Permission.REPORTS,
        query=ExceptionQuery,
        answers={HTTPStatus.OK: ExceptionList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
