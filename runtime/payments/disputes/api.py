"""Shapes of the processor notification route, and of the routes for kept events."""

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Final

from pydantic import BaseModel, Field

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer, Body, Identifier, Page, PageQuery
from runtime.payments.disputes.models import ProcessorEventStatus


class EventResult(StrEnum):
    """The result of a notification. `kept`: it could not be applied and awaits an operator."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    KEPT = "kept"


class EventQuery(
    BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True
):
    """The merchant whose processor calls, from the URL configured at the processor."""

    merchant_id: Annotated[
        Identifier | None, Field(description="The merchant whose secret signed the notification.")
    ] = None


class EventAnswer(Answer, frozen=True):
    """The notification was processed and need not be sent again."""

    id: str
    result: EventResult


class KeptEventQuery(PageQuery, frozen=True):
    """Filters of the list."""

    status: ProcessorEventStatus | None = None


class KeptEventApply(Body, frozen=True):
    """Apply a kept event again. The body has no fields."""


class KeptEventAnswer(Answer, frozen=True):
    """A dispute or returned refund that could not be booked."""

    id: str
    merchant_id: str
    status: ProcessorEventStatus
    reason: Annotated[
        str,
        Field(
            description="unknown_payment, unknown_refund, charge_mismatch, currency_mismatch, "
            "amount_mismatch, too_many_disputes or accepted_as_missing."
        ),
    ]
    detail: Annotated[str, Field(description="The reason with its values.")]
    processor: str
    kind: str
    event_id: Annotated[str, Field(description="The processor's id of the latest notification.")]
    event_at: Timestamp
    charge_id: str | None
    reference: Annotated[str | None, Field(description="Our id that was sent to the processor.")]
    object_id: Annotated[str | None, Field(description="The processor's id of it.")]
    payment_id: str | None
    attempts: int
    applied_at: Timestamp | None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class KeptEventList(Page[KeptEventAnswer], frozen=True):
    """A page of kept events, newest first."""


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="receiveProcessorEvent",
        method="POST",
        path="/v1/processor-events/{processor}",
        function="process",
        summary="Receive a processor's signed notification",
        tag="processor events",
        public=True,
        signed=True,
        query=EventQuery,
        answers={HTTPStatus.OK: EventAnswer},
        refusals=(
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.NOT_FOUND,
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    ),
    Endpoint(
        operation="listProcessorEvents",
        method="GET",
        path="/v1/processor-events",
        function="query",
        summary="List processor events that could not be applied, newest first",
        tag="processor events",
        permission=Permission.ADMIN,
        query=KeptEventQuery,
        answers={HTTPStatus.OK: KeptEventList},
    ),
    Endpoint(
        operation="applyProcessorEvent",
        method="POST",
        path="/v1/processor-events/{id}/apply",
        function="process",
        summary="Query the processor again and book its current state",
        tag="processor events",
        permission=Permission.ADMIN,
        body=KeptEventApply,
        body_optional=True,
        idempotent="honoured",
        answers={HTTPStatus.OK: KeptEventAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
)
