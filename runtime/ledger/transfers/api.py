"""Request and response shapes of the transfer routes."""

from http import HTTPStatus
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from runtime.core.currency import CurrencyCode
from runtime.core.fields import MAX_AMOUNT_MINOR, Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer, Body, Description, Identifier, Metadata, Page, PageQuery
from runtime.ledger.transfers.models import MAX_LEGS, Leg, TransferStatus

DEFAULT_HOLD_SECONDS = 7 * 24 * 3600
MAX_HOLD_SECONDS = 31 * 24 * 3600
"""Limit of this API: longer holds are usually mistakes."""

Amount = Annotated[int, Field(ge=1, le=MAX_AMOUNT_MINOR)]


class LegRequest(
    BaseModel, frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True
):
    """`amount` minor units from one account to another."""

    from_account_id: Identifier
    to_account_id: Identifier
    amount: Amount


class TransferRequest(Body, frozen=True):
    """A transfer or hold. Give either one leg by its three fields, or `legs`."""

    from_account_id: Identifier | None = None
    to_account_id: Identifier | None = None
    amount: Amount | None = None
    legs: Annotated[
        tuple[LegRequest, ...] | None,
        # JSON has lists; strict mode would require a tuple.
        Field(min_length=1, max_length=MAX_LEGS, strict=False),
    ] = None
    currency: CurrencyCode
    customer_id: Identifier | None = None
    description: Description | None = None
    metadata: Metadata = Field(default_factory=dict)
    hold: Annotated[bool, Field(description="Hold the funds; post or cancel the hold later.")] = (
        False
    )
    expires_in_seconds: Annotated[
        int | None, Field(ge=1, le=MAX_HOLD_SECONDS, description="For holds; default 7 days.")
    ] = None
    dry_run: Annotated[bool, Field(description="Check the transfer without writing it.")] = False
    expand: Annotated[
        tuple[Literal["balances_after"], ...],
        Field(
            max_length=1,
            strict=False,
            description="`balances_after`: exact balances of immediate accounts; slower.",
        ),
    ] = ()


class PostRequest(Body, frozen=True):
    """Post a hold in full or in part. The rest is released."""

    amount: Amount | None = None


class CancelRequest(Body, frozen=True):
    """Cancel a hold and release its funds."""


class TransferAnswer(Answer, frozen=True):
    """A transfer. Amounts are in minor units.

    `from_account_id` and `to_account_id` are null if the legs have several. `balances_after` maps
    account ids to balances if it was requested with `expand`.
    """

    id: str
    merchant_id: str
    customer_id: str | None
    legs: tuple[Leg, ...]
    from_account_id: str | None
    to_account_id: str | None
    amount: int
    currency: str
    status: TransferStatus
    failure_code: str | None
    failure_reason: str | None
    posted_amount: int | None
    expires_at: Timestamp | None
    processed_at: Timestamp | None
    description: str | None
    metadata: dict[str, str]
    balances_after: dict[str, int] | None = None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class TransferQuery(PageQuery, frozen=True):
    """Filters of the list. `account_id` lists transfers that changed the account, with holds."""

    customer_id: Identifier | None = None
    account_id: Identifier | None = None
    status: TransferStatus | None = None


class TransferList(Page[TransferAnswer], frozen=True):
    """A page of transfers, newest first."""


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="createTransfer",
        method="POST",
        path="/v1/transfers",
        function="process",
        summary="Transfer money between accounts, or place a hold",
        tag="transfers",
        permission=Permission.TRANSFERS,
        body=TransferRequest,
        idempotent="required",
        answers={HTTPStatus.CREATED: TransferAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.LOCKED),
    ),
    Endpoint(
        operation="postTransfer",
        method="POST",
        path="/v1/transfers/{id}/post",
        function="process",
        summary="Post a hold in full or in part",
        tag="transfers",
        permission=Permission.TRANSFERS,
        body=PostRequest,
        body_optional=True,
        idempotent="required",
        answers={HTTPStatus.OK: TransferAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="cancelTransfer",
        method="POST",
        path="/v1/transfers/{id}/cancel",
        function="process",
        summary="Cancel a hold and release its funds",
        tag="transfers",
        permission=Permission.TRANSFERS,
        body=CancelRequest,
        body_optional=True,
        idempotent="required",
        answers={HTTPStatus.OK: TransferAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="getTransfer",
        method="GET",
        path="/v1/transfers/{id}",
        function="query",
        summary="Read a transfer (strongly consistent)",
        tag="transfers",
        permission=Permission.TRANSFERS,
        answers={HTTPStatus.OK: TransferAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listTransfers",
        method="GET",
        path="/v1/transfers",
        function="query",
        summary="List transfers including failed attempts, newest first",
        tag="transfers",
        permission=Permission.TRANSFERS,
        query=TransferQuery,
        answers={HTTPStatus.OK: TransferList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
