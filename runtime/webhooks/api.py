"""Shapes of the webhook routes, and of what webhooks carry that no route shows."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final

from pydantic import BaseModel, Field, SerializeAsAny

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer, Body, Page, PageQuery
from runtime.reporting.exports.models import ExportStatus
from runtime.webhooks.models import EventType, WebhookStatus


class WebhookQuery(PageQuery, frozen=True):
    """Filters of the list."""

    event_type: EventType | None = None
    status: WebhookStatus | None = None


class WebhookChange(Body, frozen=True):
    """Deliver it once more: the path says it all."""


class WebhookAnswer(Answer, frozen=True):
    """A delivery: of which event, to where, and how far it is."""

    id: Annotated[str, Field(description="Also the `webhook-id` that the receiver sees.")]
    merchant_id: str
    event_type: EventType
    sequence: Annotated[
        int, Field(description="Rises with every change of the resource that the event is about.")
    ]
    payment_id: str | None
    url: Annotated[str, Field(repr=False)]
    status: WebhookStatus
    attempts: int
    last_attempt: Timestamp | None
    next_retry: Timestamp | None
    response_code: Annotated[int | None, Field(description="What the last attempt was answered.")]
    failure_reason: str | None
    expires_at: Annotated[
        Timestamp,
        Field(description="Until when a pending one is tried, and a final one is kept."),
    ]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class WebhookList(Page[WebhookAnswer], frozen=True):
    """A page of deliveries, newest first."""


class WebhookBody(BaseModel, frozen=True, hide_input_in_errors=True):
    """What a merchant's endpoint receives. `data` is the resource as it stood, as the API shows it.

    `id` is the same at every attempt; of two events about one resource, the one with the higher
    `sequence` is newer, in whatever order they arrive.
    """

    id: str
    type: EventType
    created: Timestamp
    sequence: int
    data: SerializeAsAny[Answer]


class ExportData(Answer, frozen=True):
    """A completed export; its signed link is given by GET /v1/exports/{id}."""

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
    """A customer that is locked, without what is personal."""

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
        summary="List webhooks with what became of each, newest first",
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
        summary="Read a webhook: its attempts, and when it is tried again",
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
        summary="Deliver a webhook once more, now, under the id that it has",
        tag="webhooks",
        permission=Permission.REPORTS,
        body=WebhookChange,
        body_optional=True,
        idempotent="honoured",
        answers={HTTPStatus.ACCEPTED: WebhookAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
