"""Shapes of the merchant routes."""

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
    Patch,
    ShortText,
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
MIN_SECRET_BYTES = 24
MAX_SECRET_BYTES = 64
"""Lengths that Standard Webhooks 1.0 allows for a secret."""

Email = Annotated[
    str,
    formed(
        r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+\.[^@\s\x00-\x1f]+$",
        "must be an email address such as shop@example.com",
        max_length=254,
    ),
]
"""A minimal check of the form, at most 254 characters (RFC 5321). Delivery is not verified."""


def _decodes(secret: str) -> str:
    try:
        key = base64.b64decode(secret.removeprefix(WHSEC), validate=True)
    except binascii.Error:
        raise ValueError(f"must be {WHSEC} followed by base64") from None
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValueError(
            f"must decode to {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes, not {len(key)}"
        )
    return secret


WebhookSecret = Annotated[
    str,
    formed(
        rf"^{WHSEC}[A-Za-z0-9+/=]{{32,88}}$",
        f"must be {WHSEC} followed by {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64",
    ),
    AfterValidator(_decodes),
]
"""`whsec_` followed by 24 to 64 bytes in base64, with padding."""


Features = Annotated[frozenset[ShortText], Field(max_length=50)]
IndexBuckets = Annotated[int, Field(ge=1, le=MAX_INDEX_BUCKETS)]
OPERATOR_FIELDS = (
    "rate_limits",
    "reconciliation",
    "status",
    "processor",
    "processor_config",
    "index_buckets",
)
"""Fields that only operators may set. A merchant that set its own processor's secrets could forge
the processor's notifications."""


class RequestedLimits(RateLimits, frozen=True, extra="forbid", strict=True):
    """Limits in a request. Unknown fields are errors, so that a typo cannot remove a limit."""


class RequestedTerms(ReconciliationTerms, frozen=True, extra="forbid", strict=True):
    """Reconciliation terms in a request; omitted fields have their defaults."""


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
            description="whsec_ followed by 24 to 64 bytes in base64. Generated if omitted.",
        ),
    ] = None
    features: Features = frozenset()
    rate_limits: RequestedLimits = RequestedLimits()
    reconciliation: RequestedTerms = RequestedTerms()
    index_buckets: IndexBuckets = 1


class MerchantPatch(Patch, frozen=True):
    """Changes to a merchant; omitted fields keep their values.

    Only operators may change limits, reconciliation terms, status, index buckets, the processor and
    its configuration.
    """

    name: ShortText | SkipJsonSchema[None] = left_out()
    email: Email | SkipJsonSchema[None] = left_out()
    status: Annotated[MerchantStatus, Strict(False)] | SkipJsonSchema[None] = left_out()
    processor: ProcessorName | SkipJsonSchema[None] = left_out()
    processor_config: dict[str, Any] | SkipJsonSchema[None] = left_out(repr=False)
    webhook_url: Annotated[
        str | None,
        StringConstraints(max_length=MAX_WEBHOOK_URL),
        Field(description="null turns webhooks off."),
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
        """Whether the request contains one of OPERATOR_FIELDS."""
        reserved = (name for name in OPERATOR_FIELDS if name in document)
        return next(reserved, super().reserved_for_operators(document))


class SecretRotation(Body, frozen=True):
    """Rotate the webhook secret. `revoke_old`: earlier secrets stop signing immediately."""

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
        Field(description="The processor's id of the account that receives new payments."),
    ]
    features: Annotated[tuple[str, ...], BeforeValidator(sorted)]
    rate_limits: RateLimits
    reconciliation: ReconciliationTerms
    index_buckets: int
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class MerchantQuery(PageQuery, frozen=True):
    """Filters of the merchant list. `email` matches exactly."""

    email: Email | None = None


class MerchantList(Page[MerchantAnswer], frozen=True):
    """A page of merchants, newest first."""


class ProcessorAccountAnswer(Answer, frozen=True):
    """A processor account whose keys are stored. `left_at`: null for the current account."""

    processor: str
    account: str
    left_at: Timestamp | None


class ProcessorAccountList(Page[ProcessorAccountAnswer], frozen=True):
    """All accounts: the current account first, then the others, most recently left first."""


class NewMerchant(MerchantAnswer, frozen=True):
    """A merchant with its new webhook secret, which no other response contains."""

    webhook_secret: str = Field(repr=False)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="createMerchant",
        method="POST",
        path="/v1/merchants",
        function="process",
        summary="Create a merchant",
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
        summary="Read a merchant: operators any merchant, merchants only themselves",
        tag="merchants",
        answers={HTTPStatus.OK: MerchantAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listMerchants",
        method="GET",
        path="/v1/merchants",
        function="query",
        summary="List merchants, or find them by email address, newest first",
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
        summary="Change a merchant: operators any merchant, merchants only themselves",
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
        summary="Rotate the webhook secret, shown once; the old one keeps signing for 24 hours",
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
        summary="List the processor accounts whose keys are stored for a merchant",
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
        summary="Delete the keys of a processor account that a merchant no longer uses",
        tag="merchants",
        permission=Permission.ADMIN,
        answers={HTTPStatus.NO_CONTENT: None},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
