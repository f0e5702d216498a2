"""Shapes of the routes about the API itself."""

from http import HTTPStatus
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from runtime.http.endpoint import Endpoint
from runtime.http.field_errors import MAX_FIELD_ERRORS
from runtime.http.shapes import Answer


class Health(Answer, frozen=True):
    """The API is available."""

    status: Literal["ok"] = "ok"
    stage: str


class InvalidField(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """The error of one field."""

    param: Annotated[str, Field(description="Path of the field in the body or query.")]
    detail: Annotated[str, Field(description="One sentence with the values that matter.")]


class Problem(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """An error: RFC 9457 application/problem+json."""

    type: str = Field(
        description="Link to the code in the list of all errors, with what to do about it; it "
        "ends with the code. Decide by `code`: links differ from stage to stage."
    )
    title: str
    status: int
    detail: str = Field(description="One sentence with the values that matter.")
    instance: str
    code: str = Field(description="Stable, snake_case; new ones may be added.")
    param: str | None = Field(default=None, description="The field at fault.")
    errors: tuple[InvalidField, ...] | None = Field(
        default=None,
        description=f"All invalid fields of the request, at most {MAX_FIELD_ERRORS}; "
        "the first is `param`.",
    )
    request_id: str
    decline_code: str | None = None
    payment_id: str | None = None
    retriable: bool | None = Field(
        default=None, description="Of a decline: whether a new request may succeed later."
    )
    transfer_id: str | None = Field(
        default=None, description="The failed transfer in which the refusal is recorded."
    )


class GatewayRefusal(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """A refusal by API Gateway itself, before or instead of the API's own answer.

    It answers so to a request without an Authorization header (401), above the stage's rate (429),
    with a body above 10 MB (413), and where a function fails or takes longer than 30 seconds (500,
    503). Its body is not a problem document: tell the two apart by their content type.
    """

    message: str = Field(description="What was refused, such as `Unauthorized`.")


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="health",
        method="GET",
        path="/v1/health",
        function="query",
        summary="Whether the API answers",
        tag="system",
        public=True,
        answers={HTTPStatus.OK: Health},
    ),
    Endpoint(
        operation="openapi",
        method="GET",
        path="/v1/openapi.json",
        function="query",
        summary="This document",
        tag="system",
        public=True,
        answers={HTTPStatus.OK: None, HTTPStatus.NOT_MODIFIED: None},
    ),
    Endpoint(
        operation="docs",
        method="GET",
        path="/v1/docs",
        function="query",
        summary="The documentation as a page that needs no outside host",
        tag="system",
        public=True,
        answers={HTTPStatus.OK: None, HTTPStatus.NOT_MODIFIED: None},
    ),
    Endpoint(
        operation="errors",
        method="GET",
        path="/v1/docs/errors",
        function="query",
        summary="All error codes, with what to do about each",
        tag="system",
        public=True,
        answers={HTTPStatus.OK: None, HTTPStatus.NOT_MODIFIED: None},
    ),
)
