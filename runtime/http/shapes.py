"""Common parts of request and answer shapes."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, field_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticKnownError

from runtime.http.cursors import MAX_CURSOR_CHARACTERS
from runtime.http.forms import formed

MAX_PAGE = 100
"""Items of one page."""
DEFAULT_PAGE = 20
MAX_METADATA_KEYS = 50
MAX_DESCRIPTION = 500
MAX_IDEMPOTENCY_KEY = 255
"""Characters of an Idempotency-Key, as at Stripe."""

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Description = Annotated[str, StringConstraints(max_length=MAX_DESCRIPTION)]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=40)]
MetadataValue = Annotated[str, StringConstraints(max_length=500)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=MAX_METADATA_KEYS)]
IdempotencyKey = Annotated[
    str,
    formed(
        r"^[\x21-\x7e]+$",
        f"must be 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters",
        min_length=1,
        max_length=MAX_IDEMPOTENCY_KEY,
    ),
]
IDENTIFIER = r"^[A-Za-z0-9_]{1,64}$"
Identifier = Annotated[
    str, formed(IDENTIFIER, "must be an id: at most 64 letters, digits and underscores")
]
"""An id of ours as given by a caller; it need not exist."""
ActingFor = Annotated[
    Identifier | None,
    Field(description="For operators: the merchant to act for. A merchant who sends it gets 403."),
]

Moment = Annotated[
    str,
    formed(
        r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|\+00:00)?)?$",
        "must look like 2026-11-29 or 2026-11-29T10:00:00Z (UTC)",
        echoes=True,
    ),
    Field(
        description="YYYY-MM-DD or an ISO 8601 time, in UTC. An end date includes its whole day."
    ),
]


class Body(
    BaseModel, frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True
):
    """A JSON request body: unknown members and implicit conversions are refused.

    Its validator is built when it is first used, as are those of queries, answers and rows: a cold
    start needs a few of some 200 models, and building all of them takes it 160 ms of CPU.
    """

    merchant_id: ActingFor = None
    idempotency_key: Annotated[
        IdempotencyKey | None, Field(description="Instead of the Idempotency-Key header.")
    ] = None

    @classmethod
    def reserved_for_operators(cls, document: Mapping[str, Any]) -> str | None:
        """The member of an unvalidated body that only an operator may send as it is, or None."""
        return "merchant_id" if document.get("merchant_id") is not None else None

    @classmethod
    def granted_permissions(cls, document: Mapping[str, Any]) -> frozenset[str]:
        """Permissions that an unvalidated body grants: its sender must have all of them."""
        return frozenset()

    @classmethod
    def also_needs(cls, document: Mapping[str, Any]) -> Mapping[str, str]:
        """Permissions that an unvalidated body needs beside the route's, each with its reason."""
        return {}


Version = Annotated[int, Field(ge=1, description="The version that the change is meant for.")]


def left_out(*, repr: bool = True) -> Any:
    """Default of a member that a change may omit: None, and no default in the schema."""
    return Field(default_factory=lambda: None, repr=repr)


def refuse_null(value: Any) -> Any:
    """For members that may be omitted, but not null."""
    if value is None:
        raise ValueError("must not be null; leave it out instead")
    return value


class Patch(Body, frozen=True):
    """A change of a resource. With `version`, it fails (409) if the resource has another one.

    Without it the change applies to the resource as it is, whoever changed it meanwhile.
    """

    version: Version | SkipJsonSchema[None] = left_out()

    _version_not_null = field_validator("version")(refuse_null)


def _digits_only(value: Any) -> Any:
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise PydanticKnownError("int_parsing")
    return value


WholeNumber = BeforeValidator(_digits_only)
"""For integers of a query string: pydantic alone would also accept 5.0, 1_0 and +5."""


class Query(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True):
    """A query string: unknown parameters are refused."""

    merchant_id: ActingFor = None


class PageQuery(Query, frozen=True):
    """A query of a list."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE), WholeNumber] = DEFAULT_PAGE
    cursor: Annotated[
        str | None,
        Field(
            description="`next_cursor` of the page before, with the same filters.",
            # Only documented here: a longer text is a bad cursor (400) like any other.
            json_schema_extra={"maxLength": MAX_CURSOR_CHARACTERS},
        ),
    ] = None


def is_absent(value: object) -> bool:
    """Whether an optional member is left out of an answer (`exclude_if`)."""
    return value is None


class Answer(
    BaseModel, frozen=True, populate_by_name=True, hide_input_in_errors=True, defer_build=True
):
    """A JSON answer; made from a stored row by the names of its attributes."""

    @classmethod
    def of(cls, row: BaseModel) -> Self:
        """The public shape of a stored row: attributes that this model lacks are not shown."""
        return cls.model_validate(row, from_attributes=True)

    @classmethod
    def with_members(cls, row: BaseModel, **members: Any) -> Self:
        """Like `of`, with members that are not attributes of the row."""
        return cls.model_validate({**row.__dict__, **members})


Item = TypeVar("Item", bound=Answer)


class Page(Answer, Generic[Item], frozen=True):
    """One page of a list, newest first; `next_cursor` is null on the last one."""

    data: tuple[Item, ...]
    has_more: Annotated[bool, Field(description="Whether there is another page.")]
    next_cursor: Annotated[
        str | None,
        Field(description="Send it as `cursor` to get the next page; null on the last one."),
    ]

    @classmethod
    def from_items(cls, items: Iterable[Item], next_cursor: str | None) -> Self:
        """The page of these items; `next_cursor` None: it is the last one."""
        return cls(data=tuple(items), has_more=next_cursor is not None, next_cursor=next_cursor)
