"""The routes of the sandbox's page, on which a customer approves a payment or fails."""

from http import HTTPStatus
from typing import Annotated, Final

from pydantic import BaseModel, Field

from runtime.http.endpoint import Endpoint
from runtime.payments.processors.sandbox.actions import ACTIONS_PATH, Decision


class DecisionForm(
    BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True
):
    """The form of the page: its two buttons."""

    decision: Annotated[
        Decision, Field(description="`approve`, or `fail` to authenticate; once per payment.")
    ]


_PATH: Final = f"{ACTIONS_PATH}/{{action}}"

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="showSandboxAction",
        method="GET",
        path=_PATH,
        function="query",
        summary="The sandbox's page, on which a customer authenticates (test mode only)",
        tag="sandbox",
        public=True,
        answers={HTTPStatus.OK: None},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="decideSandboxAction",
        method="POST",
        path=_PATH,
        function="process",
        summary="Approve the payment, or fail to authenticate (test mode only)",
        tag="sandbox",
        public=True,
        form=DecisionForm,
        answers={HTTPStatus.OK: None, HTTPStatus.SEE_OTHER: None},
        refusals=(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.NOT_FOUND,
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
        ),
    ),
)
