"""Payment settings: durations, and the functions that finish payments."""

from typing import Annotated, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from runtime.core.fields import ProcessorMode
from runtime.settings.base import Settings
from runtime.settings.table_uses import TableUses, allow, record_run

MAX_FEE_BASIS_POINTS = 5_000
MAX_FEE_FIXED_MINOR = 1_000_000
"""These limits keep the fee of the largest amount within the limits of an amount."""

RESOLVER_WORKERS: Final = 64
RESOLVER_WORKERS_PER_MERCHANT: Final = 16
"""With responses in 100 ms this makes about a hundred requests a second, within Stripe's limit
(Stripe documentation, "Rate limits")."""
MAX_RESOLVER_WORKERS: Final = 128
"""As many threads as one function's CPU supports while most of them wait."""

INTENT_LEASE_SECONDS: Final = 60
IntentLeaseSeconds = Annotated[int, Field(ge=5, le=900)]
"""How long a request owns the payment or operation that it began."""

ACTION_SECONDS: Final = 3_600
"""How long a customer has to authenticate a payment: an hour, as 3-D Secure pages allow less."""

STRIPE_API_BASE: Final = "https://api.stripe.com"
_THIS_MACHINE: Final = frozenset({"127.0.0.1", "localhost"})


def _keeps_secrets(base: str) -> str:
    """Requests carry merchants' keys: require TLS, except to this machine."""
    url = urlsplit(base)
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _THIS_MACHINE):
        raise ValueError("should begin with https://, or with http:// on this machine")
    if not url.hostname or base != f"{url.scheme}://{url.netloc}" or "@" in url.netloc:
        raise ValueError("should be a scheme, a host and at most a port")
    return base


StripeApiBase = Annotated[str, AfterValidator(_keeps_secrets)]
"""Base URL of Stripe's API."""


class PaymentTiming(Settings, frozen=True):
    """Time limits and related settings of payments, in seconds."""

    intent_lease_seconds: IntentLeaseSeconds = INTENT_LEASE_SECONDS
    processor_timeout_seconds: Annotated[int, Field(ge=1, le=30)] = 10
    resolver_margin_seconds: Annotated[int, Field(ge=1, le=600)] = 5
    merchant_cache_seconds: Annotated[int, Field(ge=0, le=300)] = 5
    authorization_seconds: Annotated[int, Field(ge=60, le=31 * 86_400)] = 7 * 86_400
    """How long an authorization may be captured; then it is voided."""
    action_seconds: Annotated[int, Field(ge=60, le=86_400)] = ACTION_SECONDS
    """How long a customer may take to authenticate a payment; then it is canceled."""
    unknown_too_old_seconds: Annotated[int, Field(ge=60, le=7 * 86_400)] = 3_600
    """An outcome at the processor that is unknown for this long triggers an alarm."""
    lock_after_failures: Annotated[int, Field(ge=2, le=100)] = 3
    """This many consecutive failed payments or transfers lock a customer."""
    lock_seconds: Annotated[int, Field(ge=1, le=31 * 86_400)] = 1_800
    processors: ProcessorMode = "test"
    """The only accepted mode of processor keys; the sandbox counts as `test`."""
    max_disputes: Annotated[int, Field(ge=10, le=1_000)] = 100
    """Disputes per payment; further ones need manual handling. They are stored in the payment's
    row, about 300 bytes each, and DynamoDB items are limited to 400 KB."""
    stripe_api_base: StripeApiBase = STRIPE_API_BASE
    sandbox_fee_basis_points: Annotated[int, Field(ge=0, le=MAX_FEE_BASIS_POINTS)] = 290
    sandbox_fee_fixed_minor: Annotated[int, Field(ge=0, le=MAX_FEE_FIXED_MINOR)] = 30


class FinishingSettings(PaymentTiming, frozen=True):
    """Common settings of the functions that finish unanswered captures, refunds and voids."""

    TABLE_USES: ClassVar[TableUses] = {
        "accounts": allow("UpdateItem"),
        "alerts": allow("PutItem"),
        "idempotency": allow("GetItem", "PutItem"),
        "keys": allow("GetItem", "Query", "PutItem"),
        "transfers": allow("PutItem"),
    }

    pii_key_arn: str


class ResolverSettings(FinishingSettings, frozen=True):
    """The scheduled function that finishes payments whose request died or response was lost."""

    TABLE_USES: ClassVar[TableUses] = {
        **FinishingSettings.TABLE_USES,
        "customers": allow("UpdateItem"),
        "merchants": allow("GetItem"),
        "payments": allow("GetItem", "BatchGetItem", "UpdateItem", query=("gsi-open",)),
        "sandbox_charges": allow("GetItem", "PutItem", "UpdateItem"),
        "scheduled_runs": record_run("resolver"),
        "transactions": allow(
            "GetItem", "BatchGetItem", "PutItem", "UpdateItem", query=("gsi-open",)
        ),
    }

    workers: Annotated[int, Field(ge=1, le=MAX_RESOLVER_WORKERS)] = RESOLVER_WORKERS
    """Payments and operations resolved in parallel by one run."""
    workers_per_merchant: Annotated[int, Field(ge=1, le=MAX_RESOLVER_WORKERS)] = (
        RESOLVER_WORKERS_PER_MERCHANT
    )
    begin_seconds: Annotated[int, Field(ge=1, le=900)] = 40
    """How long a run starts new work; the next run continues."""


class PollSettings(FinishingSettings, frozen=True):
    """The scheduled function that polls processors for missed notifications.

    `poll_days`: how far back to look; daily rounds therefore overlap.
    """

    TABLE_USES: ClassVar[TableUses] = {
        **FinishingSettings.TABLE_USES,
        "merchants": allow("GetItem", "Scan"),
        "payments": allow("GetItem", "UpdateItem"),
        "processor_events": allow("GetItem", "PutItem", "UpdateItem", query=("gsi-status",)),
        # The sandbox names only refunds that it has done, so the poll never sends one again.
        "sandbox_charges": allow("GetItem", query=("gsi-changed",)),
        "scheduled_runs": record_run("poll"),
        "transactions": allow("GetItem", "BatchGetItem", "UpdateItem", query=("gsi-processor",)),
    }

    poll_days: Annotated[int, Field(ge=1, le=30)] = 3
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30
