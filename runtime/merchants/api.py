"""Shapes of the merchant routes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    Strict,
    StringConstraints,
    field_validator,
)
from pydantic.json_schema import SkipJsonSchema

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.forms import formed
from runtime.http.shapes import (
    Answer,
    Body,
    Page,
    PageQuery,
    ShortText,
    Version,
    left_out,
    refuse_null,
)
from runtime.merchants.models import (
    MAX_INDEX_BUCKETS,
    MAX_WEBHOOK_URL,
    MerchantStatus,
    ProcessorName,
    RateLimits,
    ReconciliationTerms,
)

WHSEC = "whsec_"
FEWEST_SECRET_BYTES = 24
MOST_SECRET_BYTES = 64
"""What Standard Webhooks 1.0 asks of a secret."""

Email = Annotated[
    str,
    formed(
        r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+\.[^@\s\x00-\x1f]+$",
        "must be an e-mail address such as shop@example.com",
        max_length=254,
    ),
]
"""Something@something.something, at most 254 characters (RFC 5321).

Deliverability is not ours to judge.
"""


def _decodes(secret: str) -> str:
    try:
        key = base64.b64decode(secret.removeprefix(WHSEC), validate=True)
    except binascii.Error:
        raise ValueError(f"must be {WHSEC} followed by base64") from None
    if not FEWEST_SECRET_BYTES <= len(key) <= MOST_SECRET_BYTES:
        raise ValueError(
            f"must decode to {FEWEST_SECRET_BYTES} to {MOST_SECRET_BYTES} bytes, not {len(key)}"
        )
    return secret


WebhookSecret = Annotated[
    str,
    formed(
        rf"^{WHSEC}[A-Za-z0-9+/=]{{32,88}}$",
        f"must be {WHSEC} followed by {FEWEST_SECRET_BYTES} to {MOST_SECRET_BYTES} bytes in base64",
    ),
    AfterValidator(_decodes),
]
"""`whsec_` and 24 to 64 bytes in base64, with its padding."""


Features = Annotated[frozenset[ShortText], Field(max_length=50)]
IndexBuckets = Annotated[int, Field(ge=1, le=MAX_INDEX_BUCKETS)]
OPERATORS_MEMBERS = (
    "rate_limits",
    "reconciliation",
    "status",
    "processor",
    "processor_config",
    "index_buckets",
)
"""A merchant that set its processor's secrets could sign for its processor, and be believed."""


class RequestedLimits(RateLimits, frozen=True, extra="forbid", strict=True):
    """Limits as a request gives them: a misspelt one must not be no limit."""


class RequestedTerms(ReconciliationTerms, frozen=True, extra="forbid", strict=True):
    """Terms of reconciliation as a request gives them; what is left out has its default."""


class MerchantRequest(Body, frozen=True):
    """A new merchant."""

    name: ShortText
    email: Email
    processor: Annotated[
        ProcessorName | None,
        Field(description="Default: sandbox. Required on a stage for live payments."),
    ] = None
    processor_config: dict[str, Any] = Field(default_factory=dict, repr=False)
    webhook_url: Annotated[
        str | None,
        StringConstraints(max_length=MAX_WEBHOOK_URL),
        Field(description="https, port 443 or 8443, to a public host; no credentials."),
    ] = None
    webhook_secret: Annotated[
        WebhookSecret | None,
        Field(
            repr=False,
            description="whsec_ and 24 to 64 bytes in base64. Generated when absent.",
        ),
    ] = None
    features: Features = frozenset()
    rate_limits: RequestedLimits = RequestedLimits()
    reconciliation: RequestedTerms = RequestedTerms()
    index_buckets: IndexBuckets = 1


class MerchantPatch(Body, frozen=True):
    """What to change of a merchant; what is left out stays.

    `version` is the one that was read: a merchant that was changed since is left alone (409).
    Limits, terms of reconciliation, status, index buckets, the processor and its configuration
    are for operators.
    """

    version: Version
    name: ShortText | SkipJsonSchema[None] = left_out()
    email: Email | SkipJsonSchema[None] = left_out()
    status: Annotated[MerchantStatus, Strict(False)] | SkipJsonSchema[None] = left_out()
    processor: ProcessorName | SkipJsonSchema[None] = left_out()
    processor_config: dict[str, Any] | SkipJsonSchema[None] = left_out(repr=False)
    webhook_url: Annotated[
        str | None,
        StringConstraints(max_length=MAX_WEBHOOK_URL),
        Field(description="null: no webhooks. Else as at the registration."),
    ] = None
    features: Features | SkipJsonSchema[None] = left_out()
    rate_limits: RequestedLimits | SkipJsonSchema[None] = left_out()
    reconciliation: RequestedTerms | SkipJsonSchema[None] = left_out()
    index_buckets: IndexBuckets | SkipJsonSchema[None] = left_out()

    _not_null = field_validator(
        "name",
        "email",
        "status",
        "processor",
        "processor_config",
        "features",
        "rate_limits",
        "reconciliation",
        "index_buckets",
    )(refuse_null)

    @classmethod
    def reserved_for_operators(cls, document: Mapping[str, Any]) -> str | None:
        """A merchant sets neither its own limits and terms nor its processor."""
        reserved = (name for name in OPERATORS_MEMBERS if name in document)
        return next(reserved, super().reserved_for_operators(document))


class SecretRotation(Body, frozen=True):
    """A new webhook secret. `revoke_old`: no earlier one signs any more, from now on."""

    revoke_old: bool = False


class MerchantAnswer(Answer, frozen=True):
    """A merchant, without its secrets."""

    id: str
    name: str
    email: str
    status: MerchantStatus
    webhook_url: str | None
    processor: str
    processor_account: Annotated[
        str | None,
        Field(description="The account to which new payments go, as the processor calls it."),
    ]
    features: Annotated[tuple[str, ...], BeforeValidator(sorted)]
    rate_limits: RateLimits
    reconciliation: ReconciliationTerms
    index_buckets: int
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class MerchantQuery(PageQuery, frozen=True):
    """All merchants, or those with an e-mail address, exactly as it was registered."""

    email: Email | None = None


class MerchantList(Page[MerchantAnswer], frozen=True):
    """A page of merchants, newest first."""


class ProcessorAccountAnswer(Answer, frozen=True):
    """An account at a processor whose keys are kept. `left_at`: null for the one in use."""

    processor: str
    account: str
    left_at: Timestamp | None


class ProcessorAccountList(Page[ProcessorAccountAnswer], frozen=True):
    """All of them: the one in use first, then the one left last."""


class NewMerchant(MerchantAnswer, frozen=True):
    """A merchant with its new webhook secret: no other answer shows it."""

    webhook_secret: str = Field(repr=False)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="createMerchant",
        method="POST",
        path="/v1/merchants",
        function="process",
        summary="Register a merchant",
        tag="merchants",
        permission=Permission.ADMIN,
        body=MerchantRequest,
        idempotent="honoured",
        answers={HTTPStatus.CREATED: NewMerchant},
    ),
    Endpoint(
        operation="getMerchant",
        method="GET",
        path="/v1/merchants/{id}",
        function="query",
        summary="Read a merchant: an operator any, a merchant itself",
        tag="merchants",
        answers={HTTPStatus.OK: MerchantAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listMerchants",
        method="GET",
        path="/v1/merchants",
        function="query",
        summary="List merchants, or find them by e-mail address, newest first",
        tag="merchants",
        permission=Permission.ADMIN,
        query=MerchantQuery,
        answers={HTTPStatus.OK: MerchantList},
    ),
    Endpoint(
        operation="changeMerchant",
        method="PATCH",
        path="/v1/merchants/{id}",
        function="process",
        summary="Change a merchant: an operator any, a merchant itself",
        tag="merchants",
        permission=Permission.MERCHANT,
        body=MerchantPatch,
        answers={HTTPStatus.OK: MerchantAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="rotateWebhookSecret",
        method="POST",
        path="/v1/merchants/{id}/rotate-webhook-secret",
        function="process",
        summary="A new webhook secret, shown once; old ones also sign for 24 hours, or not at all",
        tag="merchants",
        permission=Permission.MERCHANT,
        body=SecretRotation,
        body_optional=True,
        idempotent="honoured",
        answers={HTTPStatus.OK: NewMerchant},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="listProcessorAccounts",
        method="GET",
        path="/v1/merchants/{id}/processor-accounts",
        function="query",
        summary="List the processor accounts whose keys are kept for a merchant",
        tag="merchants",
        permission=Permission.ADMIN,
        answers={HTTPStatus.OK: ProcessorAccountList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="removeProcessorAccount",
        method="DELETE",
        path="/v1/merchants/{id}/processor-accounts/{account}",
        function="process",
        summary="Forget the keys of a processor account that a merchant has left",
        tag="merchants",
        permission=Permission.ADMIN,
        answers={HTTPStatus.NO_CONTENT: None},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
