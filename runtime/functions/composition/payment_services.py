"""What takes payments: the desk of the use-cases, with every processor there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from runtime.alerts.repository import AlertRepository
from runtime.customers.repository import CustomerRepository
from runtime.functions.composition.services import FunctionServices
from runtime.idempotency.repository import ClaimRepository
from runtime.merchants.repository import MerchantRepository
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.disputes.kept_event_routes import ProcessorEventDependencies
from runtime.payments.disputes.kept_events import KeptEvents
from runtime.payments.disputes.repository import KeptEventRepository
from runtime.payments.processors.connectors import Connectors, Factory, StripeHttp, StripeOptions
from runtime.payments.processors.port import Processor, ProcessorConfig
from runtime.payments.processors.sandbox.connector import SandboxProcessor
from runtime.payments.processors.sandbox.repository import SandboxChargeRepository
from runtime.payments.rate_limits.rate_limiter import RateLimiter
from runtime.payments.rate_limits.repository import LimitRepository
from runtime.payments.repository import PaymentRepository
from runtime.settings import PaymentTiming


@dataclass(frozen=True)
class PaymentPartners:
    """What stands for the processors instead of themselves; None: they do.

    `stripe_http` makes what sends requests to Stripe, in place of its own library's client.
    """

    stripe_http: StripeHttp | None = None
    sandbox: Factory | None = None


THEMSELVES: Final = PaymentPartners()


def payment_dependencies_of(
    services: FunctionServices, timing: PaymentTiming, partners: PaymentPartners | None = None
) -> PaymentDependencies:
    """The payment use-cases' tools, on the tables of this function."""
    store = services.store
    return PaymentDependencies(
        payments=PaymentRepository(store),
        customers=CustomerRepository(store),
        claims=ClaimRepository(store),
        limits=RateLimiter(LimitRepository(store), services.outside),
        merchants=services.profiles_for(timing.merchant_cache_seconds),
        connectors=connectors_of(services, timing, timing.processor_timeout_seconds, partners),
        timing=timing,
        outside=services.outside,
    )


def processor_event_dependencies_of(
    services: FunctionServices, payments: PaymentDependencies
) -> ProcessorEventDependencies:
    """What processors' events are applied with, on the tables of this function."""
    store = services.store
    kept = KeptEvents(KeptEventRepository(store), AlertRepository(store))
    return ProcessorEventDependencies(payments, kept)


def connectors_of(
    services: FunctionServices,
    timing: PaymentTiming,
    timeout_seconds: float,
    partners: PaymentPartners | None = None,
) -> Connectors:
    """Every processor there is; a merchant names its own. The timeout is that of one call."""
    partners = partners or THEMSELVES

    def sandbox(merchant_id: str, config: Callable[[], ProcessorConfig]) -> Processor:
        return SandboxProcessor(
            SandboxChargeRepository(services.store),
            fee_basis_points=timing.sandbox_fee_basis_points,
            fee_fixed_minor=timing.sandbox_fee_fixed_minor,
            outside=services.outside,
            config=config,
            account=merchant_id,
        )

    stripe = StripeOptions(timing.stripe_api_base, timeout_seconds, partners.stripe_http)
    return Connectors(
        MerchantRepository(services.store),
        {"sandbox": partners.sandbox or sandbox, "stripe": stripe.connector},
        timing.merchant_cache_seconds,
        services.outside,
    )
