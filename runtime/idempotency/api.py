"""Shapes of the list of a merchant's recent requests."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer, Page, PageQuery


class IdempotencyKeyQuery(PageQuery, frozen=True):
    """Pages of requests."""


class IdempotencyKeyAnswer(Answer, frozen=True):
    """A request that was sent with an Idempotency-Key, and is repeated until it expires.

    The answer itself is not shown: repeat the request to get it. `status_code` and `expires_at` are
    null while the request is running.
    """

    key: Annotated[str, Field(description="The key as it was sent.")]
    method: Annotated[str, Field(description="HTTP method of the request.")]
    path: Annotated[str, Field(description="Path of the request.")]
    status_code: Annotated[
        int | None,
        Field(description="HTTP status of the stored answer; null while the request is running."),
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
