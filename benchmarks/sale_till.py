"""A merchant's till: our payment desk as a warm function has it, and sales of realistic size.

The sandbox processor has a connection of its own, so that its memory, which a real processor does
not keep in our tables, is counted apart.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks.prices import Price, derived_units, price_of, stored
from runtime.contract.answers import StoredAnswer
from runtime.contract.call import Call
from runtime.contract.caller import Caller
from runtime.contract.customers import MethodRequest
from runtime.contract.payments import CaptureRequest, PaymentRequest, RefundRequest
from runtime.domain.idempotency import fingerprint
from runtime.gateways.processors.port import Processor
from runtime.models.customer import MethodType
from runtime.models.merchant import RateLimits
from runtime.models.transfer import Transfer
from runtime.repositories.merchants import MerchantRepository
from runtime.repositories.store import Store
from runtime.services.merchant_profiles import MerchantProfiles
from runtime.services.payment_desk import PaymentDesk
from runtime.services.payment_methods import add_method
from runtime.services.payment_operations import cancel_payment, capture_payment, refund_payment
from runtime.services.payments import create_payment
from tests.support.world import World

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
"""Merchants' settings are remembered, as in a warm function."""


class Till:
    """One merchant with a customer who has a stored payment method. `changes`: of the merchant."""

    def __init__(self, world: World, **changes: Any) -> None:
        self.world = world
        self.client = world.engine.dynamodb()
        self.processor_client = world.engine.dynamodb()
        self.store = world.store_on(self.client)
        self.processor: Processor = world.sandbox(world.store_on(self.processor_client))
        self.merchant = world.merchant(**changes)
        self.caller = Caller(
            subject="shop-backend@7d1f0c2a",
            merchant_id=self.merchant.id,
            permissions=frozenset({"payments", "refunds", "customers"}),
            request_id="JKJaXmPLvHcESHA=",
            ip_address="203.0.113.42",
            user_agent=USER_AGENT,
        )
        self.desk = self.desk_on(self.store)
        self.customer_id = world.customer(self.merchant, "ada.lovelace@example.com")
        self.method_id = self._stored_method()
        # A warm function remembers the merchant; the first booking opens the accounts of the chart.
        price_of_sale(self.sell, self)

    def desk_on(self, store: Store, processor: Processor | None = None) -> PaymentDesk:
        """The payment desk on `store`, remembering merchants' settings."""
        merchants = MerchantProfiles(MerchantRepository(store), CACHE_SECONDS, store.outside)
        desk = self.world.desk(store, processor or self.processor)
        return replace(desk, merchants=merchants)

    def call(self, path: str, body: Mapping[str, Any], key: str | None = None) -> Call:
        """A request of the merchant's backend, under a key of its own unless `key` is given."""
        print_ = fingerprint("POST", path, dict(body))
        key = key or str(uuid.uuid4())
        now, entropy = self.world.clock(), self.world.outside.entropy
        return Call(self.caller, "POST", path, now, print_, None, key, entropy=entropy)

    def sell(
        self, key: str | None = None, desk: PaymentDesk | None = None, **changes: Any
    ) -> StoredAnswer:
        """POST /v1/payments."""
        body = {**SALE, **changes}
        call = self.call("/v1/payments", body, key)
        return create_payment(PaymentRequest(**body), call, desk or self.desk)

    def sold(self, **changes: Any) -> str:
        """Id of a payment made just now."""
        payment_id: str = json.loads(self.sell(**changes).body)["id"]
        return payment_id

    def capture(self, payment_id: str) -> StoredAnswer:
        """POST /v1/payments/{id}/capture, in full."""
        call = self.call(f"/v1/payments/{payment_id}/capture", {})
        return capture_payment(payment_id, CaptureRequest(), call, self.desk)

    def cancel(self, payment_id: str) -> StoredAnswer:
        """POST /v1/payments/{id}/cancel."""
        call = self.call(f"/v1/payments/{payment_id}/cancel", {})
        return cancel_payment(payment_id, call, self.desk)

    def refund(self, payment_id: str) -> StoredAnswer:
        """POST /v1/payments/{id}/refund, in full."""
        reason = "Returned within 14 days"
        call = self.call(f"/v1/payments/{payment_id}/refund", {"reason": reason})
        return refund_payment(payment_id, RefundRequest(reason=reason), call, self.desk)

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
        desk = self.world.customer_desk()
        answer = add_method(self.customer_id, MethodRequest(**body), call, desk)
        method_id: str = json.loads(answer.body)["id"]
        return method_id


@dataclass(frozen=True)
class SalePrice:
    """What a request costs in our own tables, and apart from it the sandbox's memory."""

    ours: Price
    sandbox: Price


def price_of_sale(
    request: Callable[[], object], till: Till, client: DynamoDBClient | None = None
) -> SalePrice:
    """What `request` costs on `client` (the till's), with the folding of what it books."""
    world = till.world
    before = {row.id for row in world.rows(Transfer)}
    found: list[Price] = []

    def asked() -> None:
        found.append(price_of(request, client or till.client, world.client))

    sandbox = price_of(asked, till.processor_client, world.client)
    booked = [row for row in world.rows(Transfer) if row.id not in before]
    derived = derived_units([stored(row, till.store) for row in booked], world, till.store)
    return SalePrice(replace(found[0], derived=derived), sandbox)


@dataclass(frozen=True)
class Variant:
    """A kind of request. `begin` does what must have been done before, and gives the request.

    `most_trips`, `most_units`: what it may cost on the request's path; None where nothing is said.
    """

    name: str
    till: Till
    begin: Callable[[], Callable[[], StoredAnswer]]
    status: int = 201
    most_trips: int | None = None
    most_units: int | None = None


def variants(till: Till) -> tuple[Variant, ...]:
    """Every kind of sale, and what may follow it."""
    customer: dict[str, Any] = {"customer_id": till.customer_id}
    by_method = {**customer, "payment_method": till.method_id}
    refused: dict[str, Any] = {"payment_method": "tok_declined"}
    limits = RateLimits(payments_per_minute=60, payments_per_day=10_000)
    limited = Till(till.world, rate_limits=limits)

    def sale(**changes: Any) -> Callable[[], Callable[[], StoredAnswer]]:
        return lambda: partial(till.sell, **changes)

    def after_a_decline() -> Callable[[], StoredAnswer]:
        till.sell(**customer, **refused)
        return partial(till.sell, **customer)

    def of_one(
        operation: Callable[[str], StoredAnswer], **changes: Any
    ) -> Callable[[], Callable[[], StoredAnswer]]:
        return lambda: partial(operation, till.sold(**changes))

    return (
        Variant("sale", till, sale(), most_trips=2, most_units=26),
        Variant("sale to a customer", till, sale(**customer), most_trips=2, most_units=30),
        Variant("sale by a stored method", till, sale(**by_method), most_trips=3, most_units=30),
        Variant("declined", till, sale(**refused), 402, most_trips=2, most_units=26),
        Variant(
            "declined, a customer",
            till,
            sale(**customer, **refused),
            402,
            most_trips=2,
            most_units=30,
        ),
        Variant("sale to one just declined", till, after_a_decline),
        Variant("sale under two limits", limited, lambda: limited.sell),
        Variant("authorization", till, sale(capture_method="manual"), most_trips=2, most_units=26),
        Variant("capture of one", till, of_one(till.capture, capture_method="manual"), 200),
        Variant("cancellation of one", till, of_one(till.cancel, capture_method="manual"), 200),
        Variant("refund of a sale", till, of_one(till.refund), 200),
    )


def price_of_variant(variant: Variant) -> SalePrice:
    """What a request of this kind costs. Raises RuntimeError when it is answered otherwise."""
    request = variant.begin()

    def asked() -> None:
        answer = request()
        if answer.status != variant.status:
            raise RuntimeError(f"{variant.name} was answered {answer.status}: {answer.body}")

    return price_of_sale(asked, variant.till)
