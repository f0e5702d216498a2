"""API shapes of the audit log."""

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from runtime.audit.models import EntityType
from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.forms import formed
from runtime.http.shapes import Answer, Moment, Page, PageQuery, Query, ShortText, is_absent

EntityId = Annotated[
    str,
    formed(
        r"^[A-Za-z0-9_]{1,64}(#[0-9]{2})?$",
        "must be an id, or an account's id with its shard such as acc_x#07",
    ),
    Field(description="A resource id; for a balance shard, with the shard: `acc_x#07`."),
]

RequestId = Annotated[
    str,
    formed(
        r"^req_[A-Za-z0-9_=-]{1,64}$",
        "must be the x-request-id of a response, such as req_JKJaXmPLvHcESHA=",
    ),
    Field(description="The `x-request-id` of a response. Runs of schedules are in no such list."),
]

Word = Annotated[
    str,
    formed(r"^[a-z_]{1,64}$", "must contain only lower-case letters and underscores", echoes=True),
]
"""A status, a type or an action, as named in the API."""


class Order(StrEnum):
    """The order of a list by time."""

    NEWEST_FIRST = "desc"
    OLDEST_FIRST = "asc"


class AuditQuery(PageQuery, frozen=True):
    """Exactly one of `entity_id`, `action`, `user_id` and `request_id`; optionally a time range."""

    entity_id: EntityId | None = None
    action: Word | None = None
    user_id: ShortText | None = None
    request_id: RequestId | None = None
    start_date: Moment | None = None
    end_date: Moment | None = None
    order: Annotated[
        Order,
        Field(
            description="`asc`: oldest first, as a chain is verified; only with `entity_id` or "
            "`request_id`."
        ),
    ] = Order.NEWEST_FIRST
    include: Annotated[
        Literal["record"] | None,
        Field(description="`record`: each row also has the text that its `hash` is made of."),
    ] = None


class AuditRowAnswer(Answer, frozen=True):
    """One change: old and new values, who and from where. Secret values are shown as `changed`."""

    entity_id: str
    entity_type: EntityType
    sequence: str
    timestamp: Timestamp
    version: int
    action: str
    user_id: str
    merchant_id: str
    old_values: dict[str, Any]
    new_values: dict[str, Any]
    changes: tuple[str, ...]
    ip_address: str
    user_agent: str
    request_id: str
    cause: str
    image_hash: str
    prev_hash: str
    hash: str


class ListedAuditRow(AuditRowAnswer, frozen=True):
    """One change: old and new values, who and from where. Secret values are shown as `changed`."""

    record: Annotated[
        str | None,
        Field(
            description="With `include=record`: the canonical JSON of the stored row without its "
            "`hash`, which is the SHA-256 of this text in UTF-8.",
            exclude_if=is_absent,
        ),
    ] = None


class AuditList(Page[ListedAuditRow], frozen=True):
    """A page of audit rows, newest first unless another order is asked for."""


class VerifyQuery(Query, frozen=True):
    """`shard` selects a balance shard: the chain of `acc_x#07` is that of shard 07."""

    shard: Annotated[
        str | None, formed(r"^[0-9]{2}$", "must be two digits such as 07", echoes=True)
    ] = None


class BrokenAnswer(Answer, frozen=True):
    """The first broken link of a chain; `position` counts the rows from 1."""

    sequence: str
    position: int
    reason: str


class VerifyAnswer(Answer, frozen=True):
    """Result of verifying a chain. `head_hash` is the hash of the last valid row.

    A chain whose end was rewritten is consistent in itself; the archive and its signed roots detect
    that (docs/audit.md).
    """

    entity_id: str
    valid: bool
    length: int
    head_hash: str
    first_bad: BrokenAnswer | None


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="listAudit",
        method="GET",
        path="/v1/audit",
        function="query",
        summary="List audit rows of an entity, an action, a user or a request",
        tag="audit",
        permission=Permission.REPORTS,
        query=AuditQuery,
        answers={HTTPStatus.OK: AuditList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="verifyAudit",
        method="GET",
        path="/v1/audit/{entity_id}/verify",
        function="query",
        summary="Verify the chain of an entity's audit rows",
        tag="audit",
        permission=Permission.REPORTS,
        query=VerifyQuery,
        answers={HTTPStatus.OK: VerifyAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
