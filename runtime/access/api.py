"""Shapes of the API key routes."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Field

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer, Body, Page, PageQuery, ShortText

KeyPermission = Literal[
    "payments", "refunds", "customers", "accounts", "transfers", "reports", "merchant"
]
"""Every permission except `admin`. A key cannot have a permission that its creator lacks."""


class ApiKeyRequest(Body, frozen=True):
    """A new key of the caller's merchant. Operators name the merchant in `merchant_id`."""

    name: ShortText
    permissions: Annotated[frozenset[KeyPermission], Field(min_length=1)]

    @classmethod
    def granted_permissions(cls, document: Mapping[str, Any]) -> frozenset[str]:
        """The caller needs every permission of the new key, or it could escalate its own."""
        given = document.get("permissions")
        names = given if isinstance(given, list) else []
        return frozenset(get_args(KeyPermission)) & {
            each for each in names if isinstance(each, str)
        }


class ApiKeyChange(Body, frozen=True):
    """Revoke a key. The body has no fields."""


class ApiKeyQuery(PageQuery, frozen=True):
    """Paging only; keys have no filters."""


class ApiKeyAnswer(Answer, frozen=True):
    """A key without its secret. `last_used_at` is accurate to the hour."""

    id: str = Field(validation_alias="prefix")
    merchant_id: str
    name: str
    permissions: Annotated[tuple[str, ...], BeforeValidator(sorted)]
    created_by: str | None
    revoked_at: Timestamp | None
    last_used_at: Timestamp | None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class NewApiKey(ApiKeyAnswer, frozen=True):
    """A new key with its secret, which no other response contains."""

    secret: Annotated[
        str, Field(repr=False, description="Send it as `Authorization: Bearer sk_…`.")
    ]


class ApiKeyList(Page[ApiKeyAnswer], frozen=True):
    """A page of keys."""


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="createApiKey",
        method="POST",
        path="/v1/api-keys",
        function="process",
        summary="Create an API key for a merchant's machine client; its secret is shown once",
        tag="api keys",
        permission=Permission.MERCHANT,
        body=ApiKeyRequest,
        idempotent="honoured",
        answers={HTTPStatus.CREATED: NewApiKey},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listApiKeys",
        method="GET",
        path="/v1/api-keys",
        function="query",
        summary="List a merchant's API keys, including revoked keys, newest first",
        tag="api keys",
        permission=Permission.MERCHANT,
        query=ApiKeyQuery,
        answers={HTTPStatus.OK: ApiKeyList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="revokeApiKey",
        method="POST",
        path="/v1/api-keys/{id}/revoke",
        function="process",
        summary="Revoke an API key permanently",
        tag="api keys",
        permission=Permission.MERCHANT,
        body=ApiKeyChange,
        body_optional=True,
        idempotent="honoured",
        answers={HTTPStatus.OK: ApiKeyAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
