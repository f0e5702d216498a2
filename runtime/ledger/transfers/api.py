"""Shapes of the transfer routes."""

from __future__ import annotations

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
"""Our own bound: money set aside for longer is a mistake more often than a wish."""

Amount = Annotated[int, Field(ge=1, le=MAX_AMOUNT_MINOR)]


class LegRequest(BaseModel, frozen=True, extra="forbid", strict=True, hide_input_in_errors=True):
    """`amount` minor units from one account to another."""

    from_account_id: Identifier
    to_account_id: Identifier
    amount: Amount


class TransferRequest(Body, frozen=True):
    """Money to be moved at once, or held: one leg by its three fields, or `legs`."""

    from_account_id: Identifier | None = None
    to_account_id: Identifier | None = None
    amount: Amount | None = None
    legs: Annotated[
        tuple[LegRequest, ...] | None,
        # In JSON it is a list; strict mode would want a tuple.
        Field(min_length=1, max_length=MAX_LEGS, strict=False),
    ] = None
    currency: CurrencyCode
    customer_id: Identifier | None = None
    description: Description | None = None
    metadata: Metadata = Field(default_factory=dict)
    hold: Annotated[bool, Field(description="Set the money aside; post or cancel it later.")] = (
        False
    )
    expires_in_seconds: Annotated[
        int | None, Field(ge=1, le=MAX_HOLD_SECONDS, description="Of a hold; default 7 days.")
    ] = None
    dry_run: Annotated[bool, Field(description="Judge only; nothing is written.")] = False
    expand: Annotated[
        tuple[Literal["balances_after"], ...],
        Field(
            max_length=1,
            strict=False,
            description="`balances_after`: exact balances of immediate accounts, at a read more.",
        ),
    ] = ()


class PostRequest(Body, frozen=True):
    """Move what was held, or a part of it; the rest is given back."""

    amount: Amount | None = None


class CancelRequest(Body, frozen=True):
    """Give back what was held."""


class TransferAnswer(Answer, frozen=True):
    """A transfer; amounts in minor units.

    `from_account_id` and `to_account_id` are null where legs have several. `balances_after` maps
    account ids to balances where that was asked for.
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
    """Filters of the list. `account_id` lists what has changed the account, holds included."""

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
        summary="Move money between accounts, or hold it",
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
        summary="Move what was held, or a part of it",
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
        summary="Give back what was held",
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
        summary="List transfers, newest first; failed attempts included",
        tag="transfers",
        permission=Permission.TRANSFERS,
        query=TransferQuery,
        answers={HTTPStatus.OK: TransferList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
