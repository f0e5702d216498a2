"""Dependencies of the payment use-cases, with every processor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from runtime.alerts.repository import AlertRepository
from runtime.customers.repository import CustomerRepository
from runtime.functions.composition.services import FunctionServices
from runtime.idempotency.repository import ClaimRepository
from runtime.merchants.profiles import MerchantProfiles
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
    """Replacements for the processors; None: the real ones.

    `stripe_http` creates the HTTP client for Stripe in place of the library's own.
    """

    stripe_http: StripeHttp | None = None
    sandbox: Factory | None = None


THEMSELVES: Final = PaymentPartners()


def payment_dependencies_of(
    services: FunctionServices, timing: PaymentTiming, partners: PaymentPartners | None = None
) -> PaymentDependencies:
    """Dependencies of the payment use-cases, on this function's tables."""
    store = services.store
    profiles = services.profiles_for(timing.merchant_cache_seconds)
    seconds = timing.processor_timeout_seconds
    return PaymentDependencies(
        payments=PaymentRepository(store),
        customers=CustomerRepository(store),
        claims=ClaimRepository(store),
        limits=RateLimiter(LimitRepository(store), services.outside),
        merchants=profiles,
        connectors=connectors_of(services, timing, profiles, seconds, partners),
        timing=timing,
        outside=services.outside,
    )


def processor_event_dependencies_of(
    services: FunctionServices, payments: PaymentDependencies
) -> ProcessorEventDependencies:
    """Dependencies for applying processor events, on this function's tables."""
    store = services.store
    kept = KeptEvents(KeptEventRepository(store), AlertRepository(store))
    return ProcessorEventDependencies(payments, kept)


def connectors_of(
    services: FunctionServices,
    timing: PaymentTiming,
    profiles: MerchantProfiles,
    timeout_seconds: float,
    partners: PaymentPartners | None = None,
) -> Connectors:
    """Connectors of all processors; each merchant uses one. The timeout applies to one call."""
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
        profiles,
        services.outside,
    )
