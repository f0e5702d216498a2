"""Response shapes of the list of recent idempotency keys."""

from http import HTTPStatus
from typing import Annotated, Final

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer, Page, PageQuery


class IdempotencyKeyQuery(PageQuery, frozen=True):
    """Pagination of the list."""


class IdempotencyKeyAnswer(Answer, frozen=True):
    """A request that was sent with an Idempotency-Key. Its answer is repeated until it expires.

    The response body is not included; repeat the request to get it. `status_code` and `expires_at`
    are null while the request is running.
    """

    key: Annotated[str, Field(description="The Idempotency-Key as it was sent.")]
    method: Annotated[str, Field(description="HTTP method of the request.")]
    path: Annotated[str, Field(description="Path of the request.")]
    status_code: Annotated[
        int | None,
        Field(description="Status of the stored response; null while the request is running."),
    ]
    resource_id: Annotated[
        str | None,
        Field(description="Id of the created or changed resource; null if there is none."),
    ]
    created_at: Timestamp
    expires_at: Annotated[
        Timestamp | None,
        Field(description="When the key can be reused; null while the request is running."),
    ]


class IdempotencyKeyList(Page[IdempotencyKeyAnswer], frozen=True):
    """A page of requests, newest first."""


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="listIdempotencyKeys",
        method="GET",
        path="/v1/idempotency-keys",
        function="query",
        summary="List recent requests that were sent with an Idempotency-Key, newest first",
        tag="idempotency keys",
        permission=Permission.REPORTS,
        query=IdempotencyKeyQuery,
        answers={HTTPStatus.OK: IdempotencyKeyList},
    ),
)
