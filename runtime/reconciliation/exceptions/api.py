"""Shapes of the routes for exceptions: lines of settlements that a person has to act on."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from runtime.http.endpoint import Endpoint, Permission
from runtime.http.problem import Problem
from runtime.http.shapes import Answer, Body, Identifier, Page, PageQuery, WholeNumber
from runtime.reconciliation.settlements.api import LineFacts, SettlementLineAnswer
from runtime.reconciliation.settlements.models import (
    MAX_NOTE,
    NO_EXCEPTION,
    DecidedAction,
    LineStatus,
    LineType,
    ResolutionAction,
)

MAX_AGE_DAYS: Final = 3_650
"""Ten years: all data is younger."""
MAX_BULK: Final = 100
"""Lines in one request."""
MAX_LINE: Final = 10**12 - 1

MOVES_MONEY: Final = ("accept", "write_off", "link", "undo")
"""What also needs the permission `transfers`."""


def _is_listed(status: LineStatus) -> LineStatus:
    if status in NO_EXCEPTION and status is not LineStatus.EXPECTED:
        raise ValueError(
            f"must be an open status: {status} lines need no decision; list them with "
            "/v1/settlements/{id}/lines"
        )
    return status


class ExceptionQuery(PageQuery, frozen=True):
    """Open exceptions of all settlements of a merchant, or of one.

    `status=expected` lists what is in no file yet and still within the merchant's deadline.
    """

    status: Annotated[LineStatus, AfterValidator(_is_listed)] | None = None
    type: Annotated[LineType | None, Field(description="Only lines of this type.")] = None
    min_age_days: Annotated[
        int,
        Field(ge=0, le=MAX_AGE_DAYS, description="Days since the settlement's date, at least."),
        WholeNumber,
    ] = 0
    settlement_id: Annotated[
        Identifier | None, Field(description="Only lines of this settlement.")
    ] = None


class Suggestion(Answer, frozen=True):
    """A transaction that an unexpected line may be about. It is never linked by itself."""

    transaction_id: str
    payment_id: str
    why: Annotated[str, Field(description="What speaks for it.")]


class ExceptionAnswer(LineFacts, frozen=True):
    """A line that needs a decision, or one that is expected (of no settlement yet)."""

    settlement_id: Annotated[str | None, Field(description="Null while it is expected.")]
    line: Annotated[
        int | None,
        Field(description="Number of the line within the settlement; null while it is expected."),
    ]
    age_days: Annotated[int, Field(description="Whole days since the settlement's date.")]
    actions: Annotated[
        tuple[ResolutionAction, ...],
        Field(description="What can be done about it; only operators see write_off."),
    ]
    suggestion: Annotated[
        Suggestion | None,
        Field(description="For unexpected lines: what has the same amount and day."),
    ] = None


class ExceptionList(Page[ExceptionAnswer], frozen=True):
    """A page of exceptions, newest day first."""


class Decision(
    BaseModel, frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True
):
    """What to do about a line."""

    action: DecidedAction
    note: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NOTE),
        Field(description="Why; kept with the line and in the audit log."),
    ]
    transaction_id: Annotated[
        Identifier | None,
        Field(
            description="For link: the transaction that the line is about.", validate_default=True
        ),
    ] = None

    @field_validator("transaction_id")
    @classmethod
    def _is_for_link_alone(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "action" in info.data and (info.data["action"] == "link") != (value is not None):
            raise ValueError("is required for the action link, and allowed for no other action")
        return value


class ResolveRequest(Decision, Body, frozen=True):
    """What to do about one line."""

    @classmethod
    def reserved_for_operators(cls, document: Mapping[str, Any]) -> str | None:
        """Also a write-off: the platform pays for it."""
        return super().reserved_for_operators(document) or _reserved([document])

    @classmethod
    def also_needs(cls, document: Mapping[str, Any]) -> Mapping[str, str]:
        """All but ignore move money."""
        return _needs([document])


class LineDecision(Decision, frozen=True):
    """What to do about one of several lines."""

    settlement_id: Annotated[Identifier, Field(description="Settlement of the line.")]
    line: Annotated[int, Field(ge=0, le=MAX_LINE)]


class BulkResolveRequest(Body, frozen=True):
    """Decisions about several lines; each is judged and booked alone."""

    lines: Annotated[
        tuple[LineDecision, ...],
        # In JSON it is a list; strict mode would require a tuple.
        Field(min_length=1, max_length=MAX_BULK, strict=False),
    ]

    @classmethod
    def reserved_for_operators(cls, document: Mapping[str, Any]) -> str | None:
        """Also a write-off: the platform pays for it."""
        return super().reserved_for_operators(document) or _reserved(_lines(document))

    @classmethod
    def also_needs(cls, document: Mapping[str, Any]) -> Mapping[str, str]:
        """All but ignore move money."""
        return _needs(_lines(document))


def _lines(document: Mapping[str, Any]) -> list[Any]:
    lines = document.get("lines")
    return lines if isinstance(lines, list) else []


def _reserved(decisions: Iterable[Any]) -> str | None:
    actions = (each.get("action") for each in decisions if isinstance(each, dict))
    return "action" if ResolutionAction.WRITE_OFF in actions else None


def _needs(decisions: Iterable[Any]) -> Mapping[str, str]:
    actions = (each.get("action") for each in decisions if isinstance(each, dict))
    moving = next((each for each in actions if each in MOVES_MONEY), None)
    return {} if moving is None else {Permission.TRANSFERS.value: moving}


class ResolvedItem(Answer, frozen=True):
    """What became of one decision: the line as it is now, or the problem."""

    settlement_id: str
    line: int
    status_code: Annotated[
        int, Field(description="HTTP status that this decision alone would have had.")
    ]
    result: Annotated[
        SettlementLineAnswer | None,
        Field(description="The line after the decision; null if it failed."),
    ]
    problem: Annotated[
        Problem | None, Field(description="Why the decision failed; null if it did not.")
    ]


class BulkResolveAnswer(Answer, frozen=True):
    """An answer for each decision, in their order. Some may have failed."""

    data: tuple[ResolvedItem, ...]
    resolved: Annotated[int, Field(description="Decisions that were carried out.")]
    failed: Annotated[
        int,
        Field(description="Decisions that were refused; the reason is in each item's `problem`."),
    ]


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
    Endpoint(
        operation="resolveException",
        method="POST",
        path="/v1/settlement-lines/{settlement_id}/{line}/resolve",
        function="process",
        summary=(
            "Decide about a settlement line, or undo a decision; all but ignore need transfers, "
            "and write_off is for operators"
        ),
        tag="settlements",
        permission=Permission.REPORTS,
        body=ResolveRequest,
        idempotent="required",
        answers={HTTPStatus.OK: SettlementLineAnswer},
        refusals=_REFUSALS,
    ),
    Endpoint(
        operation="resolveExceptions",
        method="POST",
        path="/v1/settlement-lines/resolve",
        function="process",
        summary=(
            "Decide about up to 100 settlement lines, each judged and booked alone; write_off is "
            "for operators"
        ),
        tag="settlements",
        permission=Permission.REPORTS,
        body=BulkResolveRequest,
        idempotent="required",
        answers={HTTPStatus.OK: BulkResolveAnswer},
    ),
)
