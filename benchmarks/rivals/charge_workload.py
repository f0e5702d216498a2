"""A workload of charges: the dependencies of a warm function, and payments of realistic size.

The sandbox processor has its own connection, so that its rows, which a real processor does
not keep in our tables, are counted separately.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks.bill.prices import Price, derived_units, price_of, stored
from runtime.customers.api import MethodRequest
from runtime.customers.models import MethodType
from runtime.customers.payment_methods import add_method
from runtime.dynamodb.store import Store
from runtime.http.caller import Caller
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.rules import fingerprint
from runtime.ledger.transfers.models import Transfer
from runtime.merchants.models import RateLimits
from runtime.merchants.profiles import MerchantProfiles
from runtime.merchants.repository import MerchantRepository
from runtime.payments.api import CaptureRequest, PaymentRequest, RefundRequest
from runtime.payments.charge.charge import create_payment
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.operations.operations import cancel_payment, capture_payment, refund_payment
from runtime.payments.processors.port import Processor
from tests.support.platform import Platform

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SALE: Final[Mapping[str, Any]] = {
    "amount": 4999,
    "currency": "USD",
    "payment_method": "tok_approved",
    "description": "Order 2026-004217: two tickets, row 12",
    "metadata": {"order_id": "2026-004217", "channel": "web"},
}
USER_AGENT: Final = "shop-backend/4.2.1 (python-requests/2.32.3; Linux x86_64)"
CACHE_SECONDS: Final = 300
"""Merchants' settings are cached, as in a warm function."""


class ChargeWorkload:
    """One merchant with a customer who has a stored payment method. `changes`: of the merchant."""

    def __init__(self, platform: Platform, **changes: Any) -> None:
        self.platform = platform
        self.client = platform.engine.dynamodb()
        self.processor_client = platform.engine.dynamodb()
        self.store = platform.store_on(self.client)
        self.processor: Processor = platform.sandbox(platform.store_on(self.processor_client))
        self.merchant = platform.merchant(**changes)
        self.caller = Caller(
            subject="shop-backend@7d1f0c2a",
            merchant_id=self.merchant.id,
            permissions=frozenset({"payments", "refunds", "customers"}),
            request_id="JKJaXmPLvHcESHA=",
            ip_address="203.0.113.42",
            user_agent=USER_AGENT,
        )
        self.deps = self.deps_on(self.store)
        self.customer_id = platform.customer(self.merchant, "ada.lovelace@example.com")
        self.method_id = self._stored_method()
        # A warm function has the merchant cached; the first booking opens the chart's accounts.
        price_of_sale(self.sell, self)

    def deps_on(self, store: Store, processor: Processor | None = None) -> PaymentDependencies:
        """The payment dependencies on `store`, with merchants' settings cached."""
        merchants = MerchantProfiles(MerchantRepository(store), CACHE_SECONDS, store.outside)
        deps = self.platform.deps(store, processor or self.processor)
        return replace(deps, merchants=merchants)

    def call(self, path: str, body: Mapping[str, Any], key: str | None = None) -> Call:
        """A request of the merchant's backend, under a key of its own unless `key` is given."""
        print_ = fingerprint("POST", path, dict(body))
        key = key or str(uuid.uuid4())
        now, entropy = self.platform.clock(), self.platform.outside.entropy
        return Call(self.caller, "POST", path, now, print_, None, key, entropy=entropy)

    def sell(
        self, key: str | None = None, deps: PaymentDependencies | None = None, **changes: Any
    ) -> StoredAnswer:
        """POST /v1/payments."""
        body = {**SALE, **changes}
        call = self.call("/v1/payments", body, key)
        return create_payment(PaymentRequest(**body), call, deps or self.deps)

    def sold(self, **changes: Any) -> str:
        """Id of a new payment."""
        payment_id: str = json.loads(self.sell(**changes).body)["id"]
        return payment_id

    def capture(self, payment_id: str) -> StoredAnswer:
        """POST /v1/payments/{id}/capture, in full."""
        call = self.call(f"/v1/payments/{payment_id}/capture", {})
        return capture_payment(payment_id, CaptureRequest(), call, self.deps)

    def cancel(self, payment_id: str) -> StoredAnswer:
        """POST /v1/payments/{id}/cancel."""
        call = self.call(f"/v1/payments/{payment_id}/cancel", {})
        return cancel_payment(payment_id, call, self.deps)

    def refund(self, payment_id: str) -> StoredAnswer:
        """POST /v1/payments/{id}/refund, in full."""
        reason = "Returned within 14 days"
        call = self.call(f"/v1/payments/{payment_id}/refund", {"reason": reason})
        return refund_payment(payment_id, RefundRequest(reason=reason), call, self.deps)

    def _stored_method(self) -> str:
        body: dict[str, Any] = {
            "type": MethodType.CARD,
            "token": "tok_approved",
            "last4": "4242",
            "brand": "visa",
            "expiry_month": 12,
            "expiry_year": 2031,
        }
        call = self.call(f"/v1/customers/{self.customer_id}/payment-methods", {})
        deps = self.platform.customer_dependencies()
        answer = add_method(self.customer_id, MethodRequest(**body), call, deps)
        method_id: str = json.loads(answer.body)["id"]
        return method_id


@dataclass(frozen=True)
class SalePrice:
    """The cost of a request in our own tables, and separately in the sandbox's."""

    ours: Price
    sandbox: Price


def price_of_sale(
    request: Callable[[], object], workload: ChargeWorkload, client: DynamoDBClient | None = None
) -> SalePrice:
    """The cost of `request` on `client`, including the projection of its bookings."""
    platform = workload.platform
    before = {row.id for row in platform.rows(Transfer)}
    found: list[Price] = []

    def asked() -> None:
        found.append(price_of(request, client or workload.client, platform.client))

    sandbox = price_of(asked, workload.processor_client, platform.client)
    booked = [row for row in platform.rows(Transfer) if row.id not in before]
    derived = derived_units(
        [stored(row, workload.store) for row in booked], platform, workload.store
    )
    return SalePrice(replace(found[0], derived=derived), sandbox)


@dataclass(frozen=True)
class Variant:
    """A kind of request. `begin` does the necessary preparation, and returns the request.

    `most_trips`, `most_units`: the limits on the request's path; None: no limit.
    """

    name: str
    workload: ChargeWorkload
    begin: Callable[[], Callable[[], StoredAnswer]]
    status: int = 201
    most_trips: int | None = None
    most_units: int | None = None


def variants(workload: ChargeWorkload) -> tuple[Variant, ...]:
    """Every kind of sale, and what may follow it."""
    customer: dict[str, Any] = {"customer_id": workload.customer_id}
    by_method = {**customer, "payment_method": workload.method_id}
    refused: dict[str, Any] = {"payment_method": "tok_declined"}
    limits = RateLimits(payments_per_minute=60, payments_per_day=10_000)
    limited = ChargeWorkload(workload.platform, rate_limits=limits)

    def sale(**changes: Any) -> Callable[[], Callable[[], StoredAnswer]]:
        return lambda: partial(workload.sell, **changes)

    def after_a_decline() -> Callable[[], StoredAnswer]:
        workload.sell(**customer, **refused)
        return partial(workload.sell, **customer)

    def of_one(
        operation: Callable[[str], StoredAnswer], **changes: Any
    ) -> Callable[[], Callable[[], StoredAnswer]]:
        return lambda: partial(operation, workload.sold(**changes))

    return (
        Variant("sale", workload, sale(), most_trips=2, most_units=26),
        Variant("sale to a customer", workload, sale(**customer), most_trips=2, most_units=30),
        Variant(
            "sale by a stored method", workload, sale(**by_method), most_trips=3, most_units=30
        ),
        Variant("declined", workload, sale(**refused), 402, most_trips=2, most_units=26),
        Variant(
            "declined, a customer",
            workload,
            sale(**customer, **refused),
            402,
            most_trips=2,
            most_units=30,
        ),
        Variant("sale to one just declined", workload, after_a_decline),
        Variant("sale under two limits", limited, lambda: limited.sell),
        Variant(
            "authorization", workload, sale(capture_method="manual"), most_trips=2, most_units=26
        ),
        Variant("capture of one", workload, of_one(workload.capture, capture_method="manual"), 200),
        Variant(
            "cancellation of one", workload, of_one(workload.cancel, capture_method="manual"), 200
        ),
        Variant("refund of a sale", workload, of_one(workload.refund), 200),
    )


def price_of_variant(variant: Variant) -> SalePrice:
    """The cost of a request of this kind. Raises RuntimeError for an unexpected answer."""
    request = variant.begin()

    def asked() -> None:
        answer = request()
        if answer.status != variant.status:
            raise RuntimeError(f"{variant.name} was answered {answer.status}: {answer.body}")

    return price_of_sale(asked, variant.workload)
