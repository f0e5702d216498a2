"""Shapes of the customer routes."""

from http import HTTPStatus
from typing import Annotated, Final, Self

from pydantic import BaseModel, Field, Strict, StringConstraints, field_validator
from pydantic.json_schema import SkipJsonSchema

from runtime.core.fields import Timestamp
from runtime.customers.models import CustomerProfile, MethodType, PaymentMethod
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.forms import formed
from runtime.http.shapes import (
    Answer,
    Body,
    Identifier,
    Metadata,
    Page,
    PageQuery,
    Patch,
    ShortText,
    left_out,
    refuse_null,
)
from runtime.merchants.api import Email

Phone = Annotated[
    str,
    formed(r"^\+?[0-9 ()./-]{3,30}$", "must be a phone number in digits, such as +49 171 1234567"),
]


class CustomerRequest(Body, frozen=True):
    """A new customer."""

    name: Annotated[ShortText, Field(repr=False)]
    email: Annotated[Email, Field(repr=False)]
    phone: Annotated[Phone | None, Field(repr=False)] = None
    metadata: Metadata = Field(default_factory=dict)


class CustomerPatch(Patch, frozen=True):
    """Changes to a customer; omitted fields keep their values.

    `metadata` replaces all existing metadata. null removes the phone number or the default method.
    """

    name: ShortText | SkipJsonSchema[None] = left_out(repr=False)
    email: Email | SkipJsonSchema[None] = left_out(repr=False)
    phone: Annotated[Phone | None, Field(repr=False)] = None
    metadata: Metadata | SkipJsonSchema[None] = left_out()
    default_method: Identifier | None = None

    _not_null = field_validator("name", "email", "metadata")(refuse_null)


class CustomerChange(Body, frozen=True):
    """Unlock a customer. The body has no fields."""


class CustomerQuery(PageQuery, frozen=True):
    """Filters of the customer list. `email` matches regardless of case."""

    email: Annotated[
        str | None, StringConstraints(min_length=3, max_length=254), Field(repr=False)
    ] = None


class MethodRequest(Body, frozen=True):
    """A payment method to store. `token` is stored encrypted and never returned."""

    type: Annotated[MethodType, Strict(False)]
    token: Annotated[
        str,
        formed(r"^[\x21-\x7e]{3,255}$", "must be 3 to 255 visible ASCII characters"),
        Field(repr=False, description="The processor's token for the card or account."),
    ]
    last4: Annotated[str, formed(r"^[0-9]{4}$", "must be the last four digits of the number")]
    brand: ShortText | None = None
    expiry_month: Annotated[int, Field(ge=1, le=12)] | None = None
    expiry_year: Annotated[int, Field(ge=2000, le=2100)] | None = None
    bank_name: ShortText | None = None
    account_type: ShortText | None = None
    is_default: bool = False


class StoredMethod(Answer, frozen=True):
    """A stored payment method, without its token."""

    id: str
    type: str
    last4: str
    brand: str | None
    expiry_month: int | None
    expiry_year: int | None
    bank_name: str | None
    account_type: str | None
    is_default: bool

    @classmethod
    def shown(cls, method: PaymentMethod, default_method: str | None) -> "StoredMethod":
        """The public shape of a payment method."""
        return cls.with_members(method, is_default=method.id == default_method)


class CustomerAnswer(Answer, frozen=True):
    """A customer."""

    id: str
    merchant_id: str
    name: str = Field(repr=False)
    email: str = Field(repr=False)
    phone: str | None = Field(repr=False)
    payment_methods: tuple[StoredMethod, ...]
    default_method: str | None
    metadata: dict[str, str]
    locked_until: Timestamp | None
    version: int
    created_at: Timestamp
    updated_at: Timestamp

    @classmethod
    def of(cls, row: BaseModel) -> Self:
        """The public shape of a customer."""
        assert isinstance(row, CustomerProfile), f"expected a customer, got {type(row).__name__}"
        shown = {name: getattr(row, name) for name in cls.model_fields if name != "payment_methods"}
        methods = (StoredMethod.shown(each, row.default_method) for each in row.payment_methods)
        return cls(**shown, payment_methods=tuple(methods))


class CustomerList(Page[CustomerAnswer], frozen=True):
    """A page of customers."""


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="createCustomer",
        method="POST",
        path="/v1/customers",
        function="process",
        summary="Create a customer; personal fields are stored encrypted",
        tag="customers",
        permission=Permission.CUSTOMERS,
        body=CustomerRequest,
        idempotent="honoured",
        answers={HTTPStatus.CREATED: CustomerAnswer},
    ),
    Endpoint(
        operation="getCustomer",
        method="GET",
        path="/v1/customers/{id}",
        function="query",
        summary="Read a customer",
        tag="customers",
        permission=Permission.CUSTOMERS,
        answers={HTTPStatus.OK: CustomerAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="findCustomers",
        method="GET",
        path="/v1/customers",
        function="query",
        summary="List customers, or find them by email address, newest first",
        tag="customers",
        permission=Permission.CUSTOMERS,
        query=CustomerQuery,
        answers={HTTPStatus.OK: CustomerList},
    ),
    Endpoint(
        operation="changeCustomer",
        method="PATCH",
        path="/v1/customers/{id}",
        function="process",
        summary="Change a customer",
        tag="customers",
        permission=Permission.CUSTOMERS,
        body=CustomerPatch,
        answers={HTTPStatus.OK: CustomerAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="eraseCustomer",
        method="DELETE",
        path="/v1/customers/{id}",
        function="process",
        summary="Erase a customer's personal data by deleting its data keys; payments remain",
        tag="customers",
        permission=Permission.CUSTOMERS,
        answers={HTTPStatus.NO_CONTENT: None},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="unlockCustomer",
        method="POST",
        path="/v1/customers/{id}/unlock",
        function="process",
        summary="Unlock a customer before its lock expires",
        tag="customers",
        permission=Permission.MERCHANT,
        body=CustomerChange,
        body_optional=True,
        idempotent="honoured",
        answers={HTTPStatus.OK: CustomerAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="addPaymentMethod",
        method="POST",
        path="/v1/customers/{id}/payment-methods",
        function="process",
        summary="Store a payment method; its token is stored encrypted and never returned",
        tag="customers",
        permission=Permission.CUSTOMERS,
        body=MethodRequest,
        idempotent="honoured",
        answers={HTTPStatus.CREATED: StoredMethod},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="removePaymentMethod",
        method="DELETE",
        path="/v1/customers/{id}/payment-methods/{pm_id}",
        function="process",
        summary="Delete a payment method and its token",
        tag="customers",
        permission=Permission.CUSTOMERS,
        answers={HTTPStatus.NO_CONTENT: None},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
