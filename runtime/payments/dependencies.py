"""Dependencies of the payment use-cases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from runtime.core.outside import Outside
from runtime.customers.lockout_rules import Lockout
from runtime.customers.repository import CustomerRepository
from runtime.idempotency.claims import ClaimReader
from runtime.merchants.profiles import MerchantProfiles
from runtime.payments.processors.connectors import Connectors
from runtime.payments.rate_limits.rate_limiter import RateLimiter
from runtime.payments.repository import PaymentRepository
from runtime.settings import PaymentTiming


@dataclass(frozen=True)
class PaymentDependencies:
    """The repositories, connectors and settings that payment use-cases need."""

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
        """The customer lockout limit."""
        return Lockout(self.timing.lock_after_failures, self.timing.lock_seconds)

    @property
    def intent_lease(self) -> timedelta:
        """How long a request owns the payment or operation that it began."""
        return timedelta(seconds=self.timing.intent_lease_seconds)

    @property
    def resolver_lease(self) -> timedelta:
        """How long a resolver run owns the payment or operation that it resolves."""
        return timedelta(seconds=2 * self.timing.processor_timeout_seconds)

    @property
    def longest_request(self) -> timedelta:
        """How long after its intent a request may still reach the processor."""
        timing = self.timing
        return self.intent_lease + timedelta(
            seconds=timing.processor_timeout_seconds + timing.resolver_margin_seconds
        )
