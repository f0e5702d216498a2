"""What the payment use-cases work with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from runtime.core.outside import Outside
from runtime.domain.buckets import OPEN_QUEUE, bucket_for
from runtime.domain.lock_out import Lockout
from runtime.gateways.processors.connectors import Connectors
from runtime.repositories.customers import CustomerRepository
from runtime.repositories.payments import PaymentRepository
from runtime.services.idempotency import ClaimReader
from runtime.services.limits import RateLimiter
from runtime.services.merchant_profiles import MerchantProfiles
from runtime.settings import PaymentTiming


@dataclass(frozen=True)
class PaymentDependencies:
    """Dependencies of the payment use-cases."""

    payments: PaymentRepository
    customers: CustomerRepository
    claims: ClaimReader
    limits: RateLimiter
    merchants: MerchantProfiles
    connectors: Connectors
    timing: PaymentTiming
    outside: Outside

    @property
    def lockout(self) -> Lockout:
        """After how many failures, and for how long, a customer is locked."""
        return Lockout(self.timing.lock_after_failures, self.timing.lock_seconds)

    def open_bucket(self, identifier: str) -> str:
        """Where a payment or operation waits until somebody comes back to it."""
        return bucket_for(OPEN_QUEUE, identifier, self.timing.open_buckets)

    @property
    def intent_lease(self) -> timedelta:
        """How long a request owns what it has begun."""
        return timedelta(seconds=self.timing.intent_lease_seconds)

    @property
    def resolver_lease(self) -> timedelta:
        """How long a run of the resolver owns what it asks about."""
        return timedelta(seconds=2 * self.timing.processor_timeout_seconds)

    @property
    def longest_request(self) -> timedelta:
        """How long after its intent a request may still be on its way to the processor."""
        timing = self.timing
        return self.intent_lease + timedelta(
            seconds=timing.processor_timeout_seconds + timing.resolver_margin_seconds
        )
