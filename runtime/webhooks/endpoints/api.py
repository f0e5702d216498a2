"""Shapes of the webhook endpoint routes."""

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    Strict,
    StringConstraints,
    WithJsonSchema,
    field_validator,
)
from pydantic.json_schema import SkipJsonSchema

from runtime.core.echo import echoed
from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import (
    Answer,
    Body,
    Description,
    Moment,
    Page,
    PageQuery,
    Patch,
    left_out,
    refuse_null,
)
from runtime.merchants.webhook_endpoints import EndpointStatus
from runtime.webhooks.api import WebhookAnswer
from runtime.webhooks.models import SUBSCRIBABLE, EventType

MAX_ENDPOINT_URL: Final = 1_024
"""Characters in an endpoint's URL: all endpoints of a merchant are read together."""


def _known(value: Any) -> Any:
    if value not in SUBSCRIBABLE:
        given = f", not {echoed(value)}" if isinstance(value, str) else ""
        raise ValueError(f"must be one of {', '.join(SUBSCRIBABLE)}{given}")
    return value


def _distinct(events: tuple[EventType, ...]) -> tuple[EventType, ...]:
    return tuple(dict.fromkeys(events))


Events = Annotated[
    tuple[
        Annotated[
            EventType,
            Strict(False),
            BeforeValidator(_known),
            WithJsonSchema({"type": "string", "enum": [each.value for each in SUBSCRIBABLE]}),
        ],
        ...,
    ],
    Strict(False),
    Field(min_length=1, max_length=100),
    AfterValidator(_distinct),
]
EndpointUrl = Annotated[str, StringConstraints(max_length=MAX_ENDPOINT_URL)]


class EndpointRequest(Body, frozen=True):
    """A new endpoint. Operators name the merchant in `merchant_id`."""

    url: Annotated[
        EndpointUrl,
        Field(repr=False, description="https, port 443 or 8443, to a public host; no credentials."),
    ]
    events: Annotated[
        Events | None,
        Field(description="The events to send. Default: all, also those that are added later."),
    ] = None
    description: Description | None = None


class EndpointPatch(Patch, frozen=True):
    """Changes to an endpoint; omitted fields keep their values."""

    url: EndpointUrl | SkipJsonSchema[None] = left_out(repr=False)
    events: Annotated[Events | None, Field(description="null: all events.")] = None
    description: Description | None = None
    status: Annotated[EndpointStatus, Strict(False)] | SkipJsonSchema[None] = left_out()

    _not_null = field_validator("url", "status")(refuse_null)


class EndpointSecretRotation(Body, frozen=True):
    """Rotate an endpoint's secret. `revoke_old`: earlier secrets stop signing immediately."""

    revoke_old: bool = False


class EndpointTest(Body, frozen=True):
    """A test of an endpoint; it has no fields."""


class EndpointRecovery(Body, frozen=True):
    """Send what an endpoint has not accepted. `since`: events from this time on."""

    since: Moment


class EndpointCondition(StrEnum):
    """The condition of an endpoint: `paused` after failures, `gone` after it answered 410."""

    HEALTHY = "healthy"
    FAILING = "failing"
    PAUSED = "paused"
    GONE = "gone"


class EndpointHealthAnswer(Answer, frozen=True):
    """How an endpoint has answered lately."""

    condition: EndpointCondition
    consecutive_failures: int
    paused_until: Timestamp | None


class EndpointAnswer(Answer, frozen=True):
    """A webhook endpoint, without its secrets."""

    id: str
    merchant_id: str
    url: Annotated[str, Field(repr=False)]
    events: Annotated[
        tuple[str, ...],
        Field(description="The events that are sent; all of them, unless they were chosen."),
    ]
    description: str | None
    status: Annotated[
        EndpointStatus,
        Field(
            description="`disabled`: nothing is sent. An endpoint that answers 410 is disabled too."
        ),
    ]
    health: EndpointHealthAnswer
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class NewEndpoint(EndpointAnswer, frozen=True):
    """An endpoint with its new secret, which no other response contains."""

    secret: Annotated[str, Field(repr=False)]


class EndpointQuery(PageQuery, frozen=True):
    """Paging only; endpoints have no filters."""


class EndpointList(Page[EndpointAnswer], frozen=True):
    """A page of endpoints, newest first; the first endpoint comes last."""


class RecoveryAnswer(Answer, frozen=True):
    """What a recovery has sent."""

    recovered: Annotated[int, Field(description="Webhooks that are sent at once.")]
    has_more: Annotated[
        bool, Field(description="Whether more are waiting: send the same request again.")
    ]


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="createWebhookEndpoint",
        method="POST",
        path="/v1/webhook-endpoints",
        function="process",
        summary="Create a webhook endpoint; its secret is shown once",
        tag="webhooks",
        permission=Permission.MERCHANT,
        body=EndpointRequest,
        idempotent="honoured",
        answers={HTTPStatus.CREATED: NewEndpoint},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="listWebhookEndpoints",
        method="GET",
        path="/v1/webhook-endpoints",
        function="query",
        summary="List a merchant's webhook endpoints, newest first",
        tag="webhooks",
        permission=Permission.MERCHANT,
        query=EndpointQuery,
        answers={HTTPStatus.OK: EndpointList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="getWebhookEndpoint",
        method="GET",
        path="/v1/webhook-endpoints/{id}",
        function="query",
        summary="Read a webhook endpoint and its health",
        tag="webhooks",
        permission=Permission.MERCHANT,
        answers={HTTPStatus.OK: EndpointAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="changeWebhookEndpoint",
        method="PATCH",
        path="/v1/webhook-endpoints/{id}",
        function="process",
        summary="Change, disable or enable a webhook endpoint",
        tag="webhooks",
        permission=Permission.MERCHANT,
        body=EndpointPatch,
        answers={HTTPStatus.OK: EndpointAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="deleteWebhookEndpoint",
        method="DELETE",
        path="/v1/webhook-endpoints/{id}",
        function="process",
        summary="Delete a webhook endpoint; webhooks that wait for it are not sent",
        tag="webhooks",
        permission=Permission.MERCHANT,
        answers={HTTPStatus.NO_CONTENT: None},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="testWebhookEndpoint",
        method="POST",
        path="/v1/webhook-endpoints/{id}/test",
        function="process",
        summary="Send `endpoint.test` to a webhook endpoint, whatever events it receives",
        tag="webhooks",
        permission=Permission.MERCHANT,
        body=EndpointTest,
        body_optional=True,
        idempotent="honoured",
        answers={HTTPStatus.ACCEPTED: WebhookAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="recoverWebhookEndpoint",
        method="POST",
        path="/v1/webhook-endpoints/{id}/recover",
        function="process",
        summary="Send at once what a webhook endpoint has not accepted since a time",
        tag="webhooks",
        permission=Permission.MERCHANT,
        body=EndpointRecovery,
        idempotent="honoured",
        answers={HTTPStatus.ACCEPTED: RecoveryAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="rotateWebhookEndpointSecret",
        method="POST",
        path="/v1/webhook-endpoints/{id}/rotate-secret",
        function="process",
        summary="Rotate an endpoint's secret, shown once; the old one keeps signing for 24 hours",
        tag="webhooks",
        permission=Permission.MERCHANT,
        body=EndpointSecretRotation,
        body_optional=True,
        idempotent="honoured",
        answers={HTTPStatus.OK: NewEndpoint},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
