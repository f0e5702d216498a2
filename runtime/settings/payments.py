"""Of payments: how long their pieces may take, and the functions that finish them."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from runtime.core.fields import ProcessorMode
from runtime.settings.base import Settings

MAX_FEE_BASIS_POINTS = 5_000
MAX_FEE_FIXED_MINOR = 1_000_000
"""With these bounds the fee of the largest amount is still an amount that can be booked."""

OPEN_BUCKETS: Final = 128
"""Buckets of the platform's queues of open payments and operations (`gsi-open`), where a stage does
not say otherwise.

A sale goes into its queue and out of it, so 128 buckets of 1,000 write units a second hold 64,000
sales a second. The number may grow at any time: readers read as many buckets as the setting says.
It never shrinks: nobody would look into those that are left out.
"""
RESOLVER_WORKERS: Final = 64
RESOLVER_WORKERS_PER_MERCHANT: Final = 16
"""A processor that answers in 100 ms is asked a hundred times a second, as often as Stripe allows
(Stripe documentation, "Rate limits")."""
MAX_RESOLVER_WORKERS: Final = 128
"""As many threads as one function has CPU for, while most of them wait."""

FEWEST_OPEN_BUCKETS: Final = 8
"""As many as there were before it was a setting."""
MOST_OPEN_BUCKETS: Final = 256

STRIPE_API_BASE: Final = "https://api.stripe.com"
_THIS_MACHINE: Final = frozenset({"127.0.0.1", "localhost"})


def _keeps_secrets(base: str) -> str:
    """What is sent there carries merchants' keys: only by TLS, or without leaving this machine."""
    url = urlsplit(base)
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _THIS_MACHINE):
        raise ValueError("should begin with https://, or with http:// on this machine")
    if not url.hostname or base != f"{url.scheme}://{url.netloc}" or "@" in url.netloc:
        raise ValueError("should be a scheme, a host and at most a port, and end there")
    return base


StripeApiBase = Annotated[str, AfterValidator(_keeps_secrets)]
"""Where Stripe's API is."""


OpenBuckets = Annotated[int, Field(ge=FEWEST_OPEN_BUCKETS, le=MOST_OPEN_BUCKETS)]
"""Over how many buckets open payments and operations are spread."""


class PaymentTiming(Settings, frozen=True):
    """How long the pieces of a payment may take, in seconds."""

    intent_lease_seconds: Annotated[int, Field(ge=5, le=900)] = 60
    processor_timeout_seconds: Annotated[int, Field(ge=1, le=30)] = 10
    resolver_margin_seconds: Annotated[int, Field(ge=1, le=600)] = 5
    merchant_cache_seconds: Annotated[int, Field(ge=0, le=300)] = 5
    authorization_seconds: Annotated[int, Field(ge=60, le=31 * 86_400)] = 7 * 86_400
    """How long an authorization may be captured; then it is voided."""
    unknown_too_old_seconds: Annotated[int, Field(ge=60, le=7 * 86_400)] = 3_600
    """From this age on, what the processor does not answer about rings an alarm."""
    lock_after_failures: Annotated[int, Field(ge=2, le=100)] = 3
    """So many failed payments or transfers of a customer in a row lock it."""
    lock_seconds: Annotated[int, Field(ge=1, le=31 * 86_400)] = 1_800
    processors: ProcessorMode = "test"
    """The only mode of processors' keys that are used here; the sandbox is one of `test`."""
    open_buckets: OpenBuckets = OPEN_BUCKETS
    max_disputes: Annotated[int, Field(ge=10, le=1_000)] = 100
    """Disputes of one payment; one more is kept for a person. They stand in the payment's row, some
    300 bytes each, and DynamoDB's items end at 400 KB."""
    stripe_api_base: StripeApiBase = STRIPE_API_BASE
    sandbox_fee_basis_points: Annotated[int, Field(ge=0, le=MAX_FEE_BASIS_POINTS)] = 290
    sandbox_fee_fixed_minor: Annotated[int, Field(ge=0, le=MAX_FEE_FIXED_MINOR)] = 30


class FinishingSettings(PaymentTiming, frozen=True):
    """What functions that finish unanswered captures, refunds and voids have in common."""

    accounts_table: str
    alerts_table: str
    idempotency_table: str
    keys_table: str
    merchants_table: str
    payments_table: str
    sandbox_charges_table: str
    transactions_table: str
    transfers_table: str
    pii_key_arn: str


class ResolverSettings(FinishingSettings, frozen=True):
    """The scheduled function that finishes payments whose request died or whose answer was lost."""

    customers_table: str
    workers: Annotated[int, Field(ge=1, le=MAX_RESOLVER_WORKERS)] = RESOLVER_WORKERS
    """Payments and operations that one run asks about at once."""
    workers_per_merchant: Annotated[int, Field(ge=1, le=MAX_RESOLVER_WORKERS)] = (
        RESOLVER_WORKERS_PER_MERCHANT
    )
    begin_seconds: Annotated[int, Field(ge=1, le=900)] = 40
    """For so long a run begins to ask about something; then it ends, and the next one does."""


class PollSettings(FinishingSettings, frozen=True):
    """The scheduled function that asks processors what no notification told.

    `poll_days`: from how long ago on; rounds that are a day apart overlap by the rest.
    """

    processor_events_table: str
    poll_days: Annotated[int, Field(ge=1, le=30)] = 3
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30
