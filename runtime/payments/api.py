"""Shapes of the payment routes."""

from http import HTTPStatus
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticKnownError

from runtime.core.currency import CurrencyCode
from runtime.core.fields import MAX_AMOUNT_MINOR, Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.forms import formed
from runtime.http.shapes import (
    Answer,
    Body,
    Description,
    IdempotencyKey,
    Identifier,
    Metadata,
    Moment,
    Page,
    PageQuery,
    Query,
    WholeNumber,
    is_absent,
    left_out,
    refuse_null,
)
from runtime.payments.models import DisputeStatus, PaymentStatus
from runtime.payments.transaction_models import AuditStep, TransactionStatus, TransactionType

MAX_RETURN_URL: Final = 2_048
RETURN_URL: Final = (
    r"^(https://[A-Za-z0-9][A-Za-z0-9.-]*|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?"
    r"([/?#][!#-;=?-Z_a-z~%\[\]]*)?$"
)
"""Printable ASCII (RFC 3986) without `@` before the path, quotes, spaces or `<`, `>`, `\\`."""
Amount = Annotated[int, Field(ge=1, le=MAX_AMOUNT_MINOR, description="In minor units.")]
MAX_REFERENCE: Final = 64
"""Characters of a payment's reference: at most 256 bytes of an index key."""
Reference = Annotated[
    str,
    formed(
        r"^[^\x00-\x1f\x7f]+$",
        f"must be 1 to {MAX_REFERENCE} characters without line breaks and other control characters",
        min_length=1,
        max_length=MAX_REFERENCE,
    ),
]


class PaymentRequest(Body, frozen=True):
    """A charge. `amount` is in minor units: 1000 USD is ten dollars, 1000 JPY a thousand yen."""

    amount: Amount
    currency: CurrencyCode
    customer_id: Identifier | None = None
    payment_method: Annotated[
        Annotated[str, StringConstraints(min_length=3, max_length=255)] | None,
        Field(repr=False, validate_default=True),
    ] = None
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata = Field(default_factory=dict)
    capture_method: Literal["automatic", "manual"] = "automatic"
    statement_descriptor: Annotated[str | None, StringConstraints(max_length=22)] = None
    return_url: Annotated[
        str | None,
        formed(
            RETURN_URL,
            "must be an https:// URL without credentials (on localhost http:// as well)",
            max_length=MAX_RETURN_URL,
        ),
        Field(description="Where the customer comes back to after authenticating."),
    ] = None

    @field_validator("payment_method")
    @classmethod
    def _given_or_a_default(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("customer_id", "") is None:
            raise PydanticKnownError("missing")
        return value


class CaptureRequest(Body, frozen=True):
    """Capture an authorization, by default in full.

    A `final` capture releases the remaining amount; after `final: false` more captures can follow.
    """

    amount: Amount | SkipJsonSchema[None] = left_out()
    final: bool = True

    _not_null = field_validator("amount")(refuse_null)


class CancelPaymentRequest(Body, frozen=True):
    """Release the authorized amount that was not captured, or stop waiting for the customer."""


class RefundRequest(Body, frozen=True):
    """Refund a payment, by default the full remaining amount."""

    amount: Amount | SkipJsonSchema[None] = left_out()
    reason: Description | None = None

    _not_null = field_validator("amount")(refuse_null)


class PaymentAnswer(Answer, frozen=True):
    """A payment; amounts in minor units."""

    id: str
    merchant_id: str
    amount: int
    currency: str
    status: PaymentStatus
    capture_method: Literal["automatic", "manual"]
    amount_capturable: int = Field(validation_alias="capturable_minor")
    amount_captured: int
    amount_refunded: int
    payment_method: str
    customer_id: str | None
    reference: str | None
    description: str | None
    statement_descriptor: str | None
    metadata: dict[str, str]
    failure_code: str | None
    failure_reason: str | None
    dispute_status: DisputeStatus | None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class ActionSecret(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """What the customer has to do, as kept with the request: its holder can act for the customer.

    `url`: one that begins with a slash is a path of this API.
    """

    type: str
    url: str | None = Field(repr=False)
    client_secret: str | None = Field(repr=False)


class NextAction(Answer, frozen=True):
    """What the customer has to do before the payment is approved."""

    type: Annotated[
        str,
        Field(
            description="`redirect_to_url`: send the customer to `url`. Any other type is for the "
            "processor's own library, with `client_secret`."
        ),
    ]
    url: Annotated[
        str | None, Field(description="Where to send the customer; null if `type` needs no URL.")
    ]
    expires_at: Annotated[
        Timestamp | None, Field(description="When the payment is canceled if nothing was done.")
    ]


class CreatedPaymentAnswer(PaymentAnswer, frozen=True):
    """The payment that a request created.

    `next_action` and `client_secret` are there only while it is `requires_action`, in the answer of
    the request that created it and in its repetitions.
    """

    next_action: Annotated[
        NextAction | None,
        Field(
            description="What the customer has to do, while the payment is `requires_action`.",
            exclude_if=is_absent,
        ),
    ] = None
    client_secret: Annotated[
        str | None,
        Field(
            description="For the processor's library in the customer's browser. Never log it.",
            exclude_if=is_absent,
        ),
    ] = None


class TransactionAnswer(Answer, frozen=True):
    """An action of the processor for a payment; amounts in minor units."""

    id: str
    payment_id: str
    type: TransactionType
    amount: int
    currency: str
    status: TransactionStatus
    fee: int
    processor_id: str | None
    response_code: str | None
    response_text: str | None
    processed_at: Timestamp | None
    reason: str | None
    settlement_id: str | None
    audit_trail: tuple[AuditStep, ...]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class PaymentDetail(PaymentAnswer, frozen=True):
    """A payment with its transactions."""

    transactions: tuple[TransactionAnswer, ...]


class PaymentQuery(PageQuery, frozen=True):
    """Filters of the payment list.

    `reference`: payments with exactly this reference. `idempotency_key`: payments created with this
    key, which can be reused after a day.
    """

    status: PaymentStatus | None = None
    customer_id: Identifier | None = None
    currency: CurrencyCode | None = None
    reference: Reference | None = None
    idempotency_key: IdempotencyKey | None = None
    start_date: Moment | None = None
    end_date: Moment | None = None
    min_amount: Annotated[int | None, Field(ge=0), WholeNumber] = None
    max_amount: Annotated[int | None, Field(ge=0), WholeNumber] = None


class PaymentList(Page[PaymentAnswer], frozen=True):
    """A page of payments."""


class SummaryQuery(Query, frozen=True):
    """The period to summarize; the last 30 days by default."""

    start_date: Moment | None = None
    end_date: Moment | None = None
    interval: Annotated[
        Literal["day"] | None,
        Field(description="`day`: also the counts and sums of each UTC day, in `by_day`."),
    ] = None


class CurrencySummary(Answer, frozen=True):
    """Totals of one currency, in its minor units.

    `average`: the captured amount per payment with a capture, rounded down.
    """

    count: int
    captured: int
    refunded: int
    fees: int
    net: int
    average: int


class DaySummary(Answer, frozen=True):
    """The payments of one UTC day."""

    day: Annotated[str, Field(description="The day, YYYY-MM-DD.")]
    by_status: Annotated[
        dict[PaymentStatus, int], Field(description="Number of payments by status.")
    ]
    by_currency: Annotated[dict[str, CurrencySummary], Field(description="Sums by currency.")]


class PaymentSummary(Answer, frozen=True):
    """Counts by status and totals by currency. Amounts of different currencies are never added."""

    start_date: Timestamp
    end_date: Timestamp
    total_count: int
    by_status: dict[PaymentStatus, int]
    by_currency: dict[str, CurrencySummary]
    by_day: Annotated[
        tuple[DaySummary, ...] | None,
        Field(
            description="With `interval=day`: the days with payments, oldest first. Days without "
            "payments are left out.",
            exclude_if=is_absent,
        ),
    ] = None


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="createPayment",
        method="POST",
        path="/v1/payments",
        function="process",
        summary="Charge a payment method, or authorize a charge for later capture",
        tag="payments",
        permission=Permission.PAYMENTS,
        body=PaymentRequest,
        idempotent="required",
        answers={
            HTTPStatus.CREATED: CreatedPaymentAnswer,
            HTTPStatus.ACCEPTED: CreatedPaymentAnswer,
        },
        refusals=(
            HTTPStatus.PAYMENT_REQUIRED,
            HTTPStatus.NOT_FOUND,
            HTTPStatus.CONFLICT,
            HTTPStatus.LOCKED,
            HTTPStatus.TOO_MANY_REQUESTS,
        ),
    ),
    Endpoint(
        operation="capturePayment",
        method="POST",
        path="/v1/payments/{id}/capture",
        function="process",
        summary="Capture an authorization in full or in part",
        tag="payments",
        permission=Permission.PAYMENTS,
        body=CaptureRequest,
        body_optional=True,
        idempotent="required",
        answers={HTTPStatus.OK: PaymentDetail, HTTPStatus.ACCEPTED: PaymentDetail},
        refusals=(HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="cancelPayment",
        method="POST",
        path="/v1/payments/{id}/cancel",
        function="process",
        summary="Cancel an authorization, or a payment that waits for its customer",
        tag="payments",
        permission=Permission.PAYMENTS,
        body=CancelPaymentRequest,
        body_optional=True,
        idempotent="required",
        answers={HTTPStatus.OK: PaymentDetail, HTTPStatus.ACCEPTED: PaymentDetail},
        refusals=(HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="refundPayment",
        method="POST",
        path="/v1/payments/{id}/refund",
        function="process",
        summary="Refund a payment in full or in part",
        tag="payments",
        permission=Permission.REFUNDS,
        body=RefundRequest,
        body_optional=True,
        idempotent="required",
        answers={HTTPStatus.OK: PaymentDetail, HTTPStatus.ACCEPTED: PaymentDetail},
        refusals=(HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="getPayment",
        method="GET",
        path="/v1/payments/{id}",
        function="query",
        summary="Read a payment with its transactions (strongly consistent)",
        tag="payments",
        permission=Permission.PAYMENTS,
        answers={HTTPStatus.OK: PaymentDetail},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listPayments",
        method="GET",
        path="/v1/payments",
        function="query",
        summary="List payments, newest first",
        tag="payments",
        permission=Permission.PAYMENTS,
        query=PaymentQuery,
        answers={HTTPStatus.OK: PaymentList},
    ),
    Endpoint(
        operation="summarizePayments",
        method="GET",
        path="/v1/payments/summary",
        function="query",
        summary="Summarize payments by status and currency",
        tag="payments",
        permission=Permission.REPORTS,
        query=SummaryQuery,
        answers={HTTPStatus.OK: PaymentSummary},
    ),
)
