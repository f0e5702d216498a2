"""The calls to Stripe's API, with typed results (shapes.py).

They raise Stripe's own errors, and ProcessorUnknown for a response that cannot be parsed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import requests
import stripe
from pydantic import BaseModel, Field, ValidationError
from requests.adapters import HTTPAdapter

from runtime.core.errors import InvalidValue, ProcessorUnknown
from runtime.core.fields import ProcessorMode
from runtime.payments.processors.port import ChargeRequest, OperationRequest
from runtime.payments.processors.stripe.amounts import to_stripe
from runtime.payments.processors.stripe.shapes import (
    Account,
    Balance,
    Dispute,
    PaymentIntent,
    Refund,
)
from runtime.settings import MAX_RESOLVER_WORKERS

if TYPE_CHECKING:
    from stripe.params import PaymentIntentCancelParams, PaymentIntentCreateParams

CONNECT_TIMEOUT_SECONDS: Final = 3.0
MAX_REFUNDS: Final = 100
"""The most transactions that a payment can have, and the most that Stripe lists at once."""
MAX_EVENTS: Final = 100
"""Events per page: the most that Stripe lists at once."""
REFERENCE: Final = "reference"
SHOP_REFERENCE: Final = "shop_reference"
FORBIDDEN_REFERENCE: Final = "forbidden_reference"
METHOD: Final = re.compile(
    r"(?:(?P<customer>cus_[A-Za-z0-9]{1,64})/)?(?P<method>(?:pm|card|src)_[A-Za-z0-9_]{1,128})"
)
"""A payment method, preceded by the Stripe customer that it is attached to, if any."""
_WITH_FEE: Final = "latest_charge.balance_transaction"
_EXPECTED: Final[Mapping[str, str]] = {
    "api_key": "api_key must be a Stripe secret or restricted key (sk_… or rk_…)",
    "webhook_secret": "webhook_secret must be a Stripe signing secret (whsec_…)",
}

ShapeT = TypeVar("ShapeT", bound=BaseModel)

# The library only has global switches for these. Its telemetry writes a file and describes the
# machine; its debug log contains payment method tokens.
stripe.enable_telemetry = False
logging.getLogger("stripe").setLevel(logging.WARNING)


class StripeConfig(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """The fields of a merchant's `processor_config` that this connector uses."""

    api_key: Annotated[str, Field(pattern=r"^(sk|rk)_(test|live)_[A-Za-z0-9_]+$", repr=False)]
    webhook_secret: Annotated[str | None, Field(pattern=r"^whsec_\S+$", repr=False)] = None

    @property
    def mode(self) -> ProcessorMode:
        """The mode in the key's prefix (Stripe's documentation, "API keys")."""
        return "live" if self.api_key.split("_")[1] == "live" else "test"


def stripe_config(config: Mapping[str, Any]) -> StripeConfig:
    """The parsed configuration. Raises InvalidValue, without the invalid values."""
    try:
        return StripeConfig.model_validate(config)
    except ValidationError as error:
        wrong = {str(problem["loc"][0]) for problem in error.errors(include_input=False)}
    raise InvalidValue(
        "; ".join(_EXPECTED[name] for name in sorted(wrong)), param="processor_config"
    )


def http_client(timeout_seconds: float) -> stripe.HTTPClient:
    """A client with one connection per call, which ignores the machine's proxy and .netrc.

    A kept-alive connection may die while a Lambda is frozen. The next charge on it would have an
    unknown outcome.
    """
    session = requests.Session()
    session.trust_env = False
    session.headers["Connection"] = "close"
    # As many threads may call at once; the pool logs a warning for each one above its size.
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=MAX_RESOLVER_WORKERS)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    connect_seconds = min(CONNECT_TIMEOUT_SECONDS, timeout_seconds)
    return stripe.RequestsClient(timeout=(connect_seconds, timeout_seconds), session=session)


def _metadata_of(request: ChargeRequest) -> dict[str, str]:
    """Our reference, by which settlement files and searches find the charge; and the shop's own."""
    if request.shop_reference is None:
        return {REFERENCE: request.reference}
    return {REFERENCE: request.reference, SHOP_REFERENCE: request.shop_reference}


@dataclass(frozen=True)
class StripeApi:
    """Stripe's API with one merchant's key."""

    client: stripe.StripeClient = field(repr=False)

    def account_id(self) -> str:
        """The account that the key belongs to."""
        return _shape(Account, self.client.v1.accounts.retrieve_current()).id

    def mode(self) -> ProcessorMode:
        """The mode of the balance that the key works on."""
        return "live" if _shape(Balance, self.client.v1.balance.retrieve()).livemode else "test"

    def charge(self, request: ChargeRequest) -> PaymentIntent:
        """Create and confirm a PaymentIntent, which may then require an action of the customer.

        Raises NotInStripesUnits.
        """
        method = METHOD.fullmatch(request.payment_method)
        assert method is not None, "the payment method was not checked before the charge"
        params: PaymentIntentCreateParams = {
            "amount": to_stripe(request.amount_minor, request.currency),
            "currency": request.currency.lower(),
            "payment_method": method["method"],
            "allowed_payment_method_types": ["card"],
            "capture_method": "automatic" if request.capture else "manual",
            "confirm": True,
            "metadata": _metadata_of(request),
            "expand": [_WITH_FEE],
        }
        if method["customer"] is not None:
            params["customer"] = method["customer"]
        if request.return_url is not None:
            params["return_url"] = request.return_url
        if request.statement_descriptor is not None:
            params["statement_descriptor_suffix"] = request.statement_descriptor
        return self._create(params, request.reference)

    def consume_key(self, request: ChargeRequest) -> PaymentIntent:
        """Create an unconfirmed PaymentIntent under the charge's idempotency key.

        Raises NotInStripesUnits; IdempotencyError if the key was used for the charge.
        """
        params: PaymentIntentCreateParams = {
            "amount": to_stripe(request.amount_minor, request.currency),
            "currency": request.currency.lower(),
            "allowed_payment_method_types": ["card"],
            "confirm": False,
            "metadata": {FORBIDDEN_REFERENCE: request.reference},
        }
        return self._create(params, request.reference)

    def search(self, reference: str) -> str | None:
        """Id of the PaymentIntent with our reference, if Stripe's search already shows it."""
        assert "'" not in reference, "references never contain quotes"
        query = f"metadata['{REFERENCE}']:'{reference}'"
        found = self.client.v1.payment_intents.search({"query": query, "limit": 1})
        return found.data[0].id if found.data else None

    def read(self, intent_id: str) -> PaymentIntent:
        """The latest state of a PaymentIntent."""
        found = self.client.v1.payment_intents.retrieve(intent_id, {"expand": [_WITH_FEE]})
        return _shape(PaymentIntent, found)

    def cancel(self, intent_id: str, key: str, *, abandoned: bool = False) -> PaymentIntent:
        """Cancel a PaymentIntent, which releases its authorization.

        `abandoned`: because its customer did not act, which Stripe shows as the reason.
        """
        params: PaymentIntentCancelParams = (
            {"cancellation_reason": "abandoned"} if abandoned else {}
        )
        canceled = self.client.v1.payment_intents.cancel(
            intent_id, params, {"idempotency_key": key}
        )
        return _shape(PaymentIntent, canceled)

    def capture(self, request: OperationRequest) -> PaymentIntent:
        """Capture an authorization in full or in part; Stripe releases the rest."""
        captured = self.client.v1.payment_intents.capture(
            request.charge_id,
            {
                "amount_to_capture": to_stripe(request.amount_minor, request.currency),
                "expand": [_WITH_FEE],
            },
            {"idempotency_key": request.reference},
        )
        return _shape(PaymentIntent, captured)

    def refund(self, request: OperationRequest) -> Refund:
        """Refund a charge in full or in part."""
        refunded = self.client.v1.refunds.create(
            {
                "payment_intent": request.charge_id,
                "amount": to_stripe(request.amount_minor, request.currency),
                "metadata": {REFERENCE: request.reference},
            },
            {"idempotency_key": request.reference},
        )
        return _shape(Refund, refunded)

    def refunds(self, intent_id: str) -> list[Refund]:
        """All refunds of a charge, including those made outside this platform."""
        found = self.client.v1.refunds.list({"payment_intent": intent_id, "limit": MAX_REFUNDS})
        return [_shape(Refund, refund) for refund in found.data]

    def refund_by_id(self, refund_id: str) -> Refund:
        """The latest state of one refund."""
        return _shape(Refund, self.client.v1.refunds.retrieve(refund_id))

    def dispute(self, dispute_id: str) -> Dispute:
        """The latest state of one dispute, with its charge."""
        found = self.client.v1.disputes.retrieve(dispute_id, {"expand": ["payment_intent"]})
        return _shape(Dispute, found)

    def events(self, types: Sequence[str], since_seconds: int) -> Iterator[dict[str, Any]]:
        """Events of the given types since then, newest first; Stripe keeps them for 30 days."""
        found = self.client.v1.events.list(
            {"types": list(types), "created": {"gte": since_seconds}, "limit": MAX_EVENTS}
        )
        return (event.to_dict() for event in found.auto_paging_iter())

    def _create(self, params: PaymentIntentCreateParams, key: str) -> PaymentIntent:
        created = self.client.v1.payment_intents.create(params, {"idempotency_key": key})
        return _shape(PaymentIntent, created)


def _shape(shape: type[ShapeT], answered: stripe.StripeObject) -> ShapeT:
    try:
        return shape.model_validate(answered.to_dict())
    except ValidationError:
        raise ProcessorUnknown(f"Stripe: the {shape.__name__} cannot be parsed") from None
