"""API shapes of a payment's timeline."""

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Final

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer


class TimelineKind(StrEnum):
    """What an event is about. Events of one time are in this order."""

    CREATED = "created"
    TRANSACTION = "transaction"
    DISPUTE = "dispute"
    POSTING = "posting"
    AUDIT = "audit"
    WEBHOOK = "webhook"
    SETTLEMENT_LINE = "settlement_line"


class TimelineEvent(Answer, frozen=True):
    """One event of a payment's story."""

    at: Annotated[Timestamp, Field(description="When it happened, in UTC.")]
    kind: Annotated[TimelineKind, Field(description="What the event is about.")]
    id: Annotated[
        str,
        Field(
            description="The payment, transaction, dispute, transfer or webhook; of an audit row "
            "the resource that changed; of a settlement line the settlement."
        ),
    ]
    title: Annotated[str, Field(description="What happened, in a few words.")]
    status: Annotated[
        str | None,
        Field(description="Of a transaction: its status from then on. Otherwise the present one."),
    ] = None
    amount: Annotated[int | None, Field(description="In minor units; may be negative.")] = None
    currency: Annotated[str | None, Field(description="The currency of the amount.")] = None
    detail: Annotated[str | None, Field(description="More about it, in words.")] = None
    request_id: Annotated[
        str | None,
        Field(description="The request or run that changed the resource; only of audit rows."),
    ] = None
    sequence: Annotated[
        str | None, Field(description="Of an audit row: its place in the resource's chain.")
    ] = None
    line: Annotated[int | None, Field(description="Of a settlement line: its number.")] = None


class TimelineAnswer(Answer, frozen=True):
    """What is recorded about a payment, oldest first."""

    payment_id: Annotated[str, Field(description="The payment.")]
    events: Annotated[tuple[TimelineEvent, ...], Field(description="Oldest first.")]
    complete: Annotated[
        bool,
        Field(
            description="False if the payment has so many transactions or changes that audit rows, "
            "settlement lines or webhooks of the oldest ones are left out."
        ),
    ]


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="getPaymentTimeline",
        method="GET",
        path="/v1/payments/{id}/timeline",
        function="query",
        summary="Read everything that is recorded about a payment, oldest first",
        tag="payments",
        permission=Permission.REPORTS,
        answers={HTTPStatus.OK: TimelineAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
