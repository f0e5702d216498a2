"""API shapes of webhooks, and of the payloads that only webhooks have."""

from http import HTTPStatus
from typing import Annotated, Final, Self

from pydantic import BaseModel, Field, SerializeAsAny

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer, Body, Page, PageQuery
from runtime.payments.api import PaymentAnswer
from runtime.payments.models import DisputeStatus, Payment
from runtime.reporting.exports.models import ExportStatus
from runtime.webhooks.models import EventType, WebhookStatus


class WebhookQuery(PageQuery, frozen=True):
    """Filters of the list."""

    event_type: EventType | None = None
    status: WebhookStatus | None = None


class WebhookChange(Body, frozen=True):
    """A redelivery request; it has no fields."""


class WebhookAnswer(Answer, frozen=True):
    """A delivery: its event, its target, and its status."""

    id: Annotated[str, Field(description="Also the `webhook-id` header of the request.")]
    merchant_id: str
    endpoint_id: Annotated[str, Field(description="The webhook endpoint that it goes to.")]
    request_id: Annotated[
        str, Field(description="`x-request-id` of the request that caused the event, if any.")
    ]
    event_type: EventType
    sequence: Annotated[
        int, Field(description="Increases with every change of the event's resource.")
    ]
    payment_id: str | None
    url: Annotated[str, Field(repr=False)]
    status: WebhookStatus
    attempts: int
    last_attempt: Timestamp | None
    next_retry: Timestamp | None
    response_code: Annotated[
        int | None, Field(description="HTTP status of the last attempt's response.")
    ]
    failure_reason: str | None
    expires_at: Annotated[
        Timestamp,
        Field(description="While pending, the delivery deadline; then when the record expires."),
    ]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class WebhookList(Page[WebhookAnswer], frozen=True):
    """A page of deliveries, newest first."""


class WebhookBody(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """The request body. `data` is the resource at the time of the event, as in the API.

    `id` is the same in every attempt; of two events about one resource, the one with the higher
    `sequence` is newer, in whatever order they arrive. Events of disputes are about
    `data.dispute.id`: a payment may have several.
    """

    id: str
    type: EventType
    created: Timestamp
    sequence: int
    data: SerializeAsAny[Answer]


class DisputeData(Answer, frozen=True):
    """A dispute: the customer's bank takes money of a payment back. Amounts in minor units."""

    id: Annotated[str, Field(description="The processor's id of the dispute.")]
    status: Annotated[DisputeStatus, Field(description="`won` and `lost` are decided.")]
    amount: Annotated[int, Field(description="The disputed amount.")]
    amount_withdrawn: Annotated[
        int, Field(description="What the processor has taken from you so far, without its fee.")
    ]
    amount_returned: Annotated[int, Field(description="What it has returned of that.")]
    fee: Annotated[int, Field(description="The processor's fee for the dispute, so far.")]
    currency: Annotated[str, Field(description="The payment's currency; of all these amounts.")]
    opened_at: Annotated[
        Timestamp | None, Field(description="When it began at the processor, if that is known.")
    ]


class DisputedPayment(PaymentAnswer, frozen=True):
    """A payment with the one of its disputes that has changed."""

    dispute: Annotated[DisputeData, Field(description="The dispute after the change.")]

    @classmethod
    def with_dispute(cls, payment: Payment, dispute_id: str) -> Self:
        """The payment's public shape with one of its disputes.

        A fee that only a settlement file reported is a fee like any other.
        """
        dispute = (payment.disputes or {})[dispute_id]
        data = DisputeData(
            id=dispute_id,
            status=dispute.status,
            amount=dispute.amount,
            amount_withdrawn=dispute.withdrawn,
            amount_returned=dispute.returned,
            fee=dispute.fee + dispute.learned_fee,
            currency=payment.currency,
            opened_at=dispute.since,
        )
        return cls.with_members(payment, dispute=data)


class ExportData(Answer, frozen=True):
    """A completed export; GET /v1/exports/{id} returns its signed link."""

    id: str
    merchant_id: str
    kind: str
    format: str
    status: ExportStatus
    rows: int | None
    sha256: str | None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class LockedCustomer(Answer, frozen=True):
    """A locked customer, without personal data."""

    id: str
    merchant_id: str
    locked_until: Timestamp | None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="listWebhooks",
        method="GET",
        path="/v1/webhooks",
        function="query",
        summary="List webhooks with their delivery status, newest first",
        tag="webhooks",
        permission=Permission.REPORTS,
        query=WebhookQuery,
        answers={HTTPStatus.OK: WebhookList},
    ),
    Endpoint(
        operation="getWebhook",
        method="GET",
        path="/v1/webhooks/{id}",
        function="query",
        summary="Read a webhook: its attempts and the next retry",
        tag="webhooks",
        permission=Permission.REPORTS,
        answers={HTTPStatus.OK: WebhookAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="redeliverWebhook",
        method="POST",
        path="/v1/webhooks/{id}/redeliver",
        function="process",
        summary="Redeliver a webhook now, with the same id",
        tag="webhooks",
        permission=Permission.REPORTS,
        body=WebhookChange,
        body_optional=True,
        idempotent="honoured",
        answers={HTTPStatus.ACCEPTED: WebhookAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
