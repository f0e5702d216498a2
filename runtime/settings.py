"""One frozen model per Lambda: the stack writes the environment from it, the runtime reads it back.

Field `intent_lease_seconds` is the variable `INTENT_LEASE_SECONDS`. Field `payments_table` holds
the physical name of the table `payments`; a function can reach no table it does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, model_validator

from runtime.models.merchant import ProcessorMode

LARGE_TRANSACTION_MINOR: Final = 1_000_000
"""From this amount on, in minor units of any currency, a payment or transfer is worth an alert."""
VELOCITY_PAYMENTS: Final = 5
"""So many payments of a customer within one minute are worth an alert."""
MAX_VELOCITY_PAYMENTS: Final = 100
"""As many as are kept by their ids (repositories/velocity.py)."""

MAX_FEE_BASIS_POINTS = 5_000
MAX_FEE_FIXED_MINOR = 1_000_000
"""With these bounds the fee of the largest amount is still an amount that can be booked."""

ACCESS_REFUSED: Final = "token refused"
"""Log message of the authorizer, with its `reason`. A metric counts it and an alarm listens."""

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

_TABLE_SUFFIX = "_table"


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

WebhookDeadline = Annotated[int, Field(ge=60, le=14 * 86_400)]
"""Seconds for which a webhook is tried, from when it was made or asked for again."""


class Settings(BaseModel, frozen=True, extra="forbid"):
    """What every Lambda is told."""

    stage: str
    service: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings back. Raises ValidationError naming what is missing or wrong."""
        names = {name.upper(): name for name in cls.model_fields}
        return cls.model_validate(
            {names[key]: value for key, value in environment.items() if key in names}
        )

    def environment(self) -> dict[str, str]:
        """The variables from which `from_environment` makes an equal model."""
        return {
            name.upper(): str(value) for name, value in self.model_dump(exclude_none=True).items()
        }

    def table_names(self) -> dict[str, str]:
        """Physical name by schema name, of the tables this Lambda may use."""
        return {
            name.removesuffix(_TABLE_SUFFIX): getattr(self, name)
            for name in type(self).model_fields
            if name.endswith(_TABLE_SUFFIX)
        }


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


class ProcessSettings(PaymentTiming, frozen=True):
    """The function behind every POST, PATCH and DELETE."""

    accounts_table: str
    alerts_table: str
    api_keys_table: str
    customers_table: str
    entries_table: str
    exports_table: str
    idempotency_table: str
    keys_table: str
    limits_table: str
    merchants_table: str
    payments_table: str
    processor_events_table: str
    sandbox_charges_table: str
    settlement_files_table: str
    settlement_lines_table: str
    settlements_table: str
    transactions_table: str
    transfers_table: str
    webhooks_table: str
    pii_key_arn: str
    pci_key_arn: str
    index_key_arn: str
    delivery_queue_url: str
    settlement_bucket: str
    webhook_deadline_seconds: WebhookDeadline = 3 * 86_400
    allow_local_webhooks: bool = False
    """For the local stage: webhooks to http on this machine."""


class QuerySettings(Settings, frozen=True):
    """The function behind every GET."""

    accounts_table: str
    alerts_table: str
    api_keys_table: str
    audit_log_table: str
    customers_table: str
    entries_table: str
    idempotency_table: str
    exports_table: str
    keys_table: str
    merchants_table: str
    payments_table: str
    processor_events_table: str
    proofs_table: str
    settlement_files_table: str
    settlement_lines_table: str
    settlements_table: str
    totals_table: str
    transactions_table: str
    transfers_table: str
    webhooks_table: str
    export_bucket: str
    pii_key_arn: str
    index_key_arn: str
    merchant_cache_seconds: Annotated[int, Field(ge=0, le=300)] = 5


class ReconcileSettings(Settings, frozen=True):
    """The function that reads settlement files."""

    accounts_table: str
    alerts_table: str
    merchants_table: str
    payments_table: str
    settlement_chunks_table: str
    settlement_files_table: str
    settlement_identities_table: str
    settlement_lines_table: str
    settlements_table: str
    transactions_table: str
    transfers_table: str
    settlement_bucket: str
    settlement_queue_url: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30


class ExportSettings(Settings, frozen=True):
    """The function that writes exports."""

    accounts_table: str
    audit_log_table: str
    entries_table: str
    exports_table: str
    merchants_table: str
    payments_table: str
    settlement_lines_table: str
    settlements_table: str
    transactions_table: str
    transfers_table: str
    export_bucket: str
    export_queue_url: str
    settle_seconds: Annotated[int, Field(ge=0, le=600)] = 60
    """How long books wait until they are read: then what began before is committed, and derived."""
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30


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


class MissingSettings(Settings, frozen=True):
    """The scheduled function that looks for what no settlement file has named in time."""

    merchants_table: str
    settlement_chunks_table: str
    settlement_lines_table: str
    settlements_table: str
    transactions_table: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30


class RotationSettings(Settings, frozen=True):
    """The scheduled function that enciphers again what old keys enciphered."""

    alerts_table: str
    customers_table: str
    keys_table: str
    merchants_table: str
    pii_key_arn: str
    pci_key_arn: str
    index_key_arn: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30


class HoldsSettings(Settings, frozen=True):
    """The scheduled function that gives back what expired holds hold."""

    accounts_table: str
    transfers_table: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 10


class ProjectSettings(Settings, frozen=True):
    """The function behind the tables' change streams."""

    accounts_table: str
    alerts_table: str
    audit_log_table: str
    customers_table: str
    entries_table: str
    exports_table: str
    keys_table: str
    limits_table: str
    merchants_table: str
    payments_table: str
    settlements_table: str
    totals_table: str
    transactions_table: str
    transfers_table: str
    webhooks_table: str
    pii_key_arn: str
    delivery_queue_url: str
    export_queue_url: str
    failed_batches_bucket: str
    merchant_cache_seconds: Annotated[int, Field(ge=0, le=300)] = 5
    webhook_deadline_seconds: WebhookDeadline = 3 * 86_400
    large_transaction_minor: Annotated[int, Field(ge=1)] = LARGE_TRANSACTION_MINOR
    velocity_payments: Annotated[int, Field(ge=2, le=MAX_VELOCITY_PAYMENTS)] = VELOCITY_PAYMENTS


class ArchiveSettings(Settings, frozen=True):
    """The function that archives the audit log: fed by its stream, and closing by the clock."""

    alerts_table: str
    audit_log_table: str
    audit_bucket: str
    audit_key_arn: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30


class TotalsSettings(Settings, frozen=True):
    """The scheduled function that folds totals of closed days."""

    totals_table: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 10


class DeliverSettings(Settings, frozen=True):
    """The function that sends webhooks to merchants' endpoints."""

    alerts_table: str
    keys_table: str
    merchants_table: str
    webhooks_table: str
    pii_key_arn: str
    delivery_queue_url: str
    retry_delays_seconds: Annotated[str, Field(pattern=r"^[0-9]{1,7}(,[0-9]{1,7}){0,31}$")] = (
        "5,300,1800,7200,18000,36000,50400"
    )
    """Until the second attempt, the third …; the last is repeated until the deadline."""
    allow_local_webhooks: bool = False
    """For the local stage: webhooks to http on this machine."""


class RetriesSettings(Settings, frozen=True):
    """The scheduled function that queues webhooks whose time has come."""

    webhooks_table: str
    delivery_queue_url: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 10


class ProofSettings(Settings, frozen=True):
    """The scheduled function that proves the books.

    `cut_seconds`: what is younger is not expected to be committed. The default is as long as a
    Lambda function can run at all.
    """

    accounts_table: str
    entries_table: str
    payments_table: str
    proofs_table: str
    settlement_lines_table: str
    transactions_table: str
    transfers_table: str
    cut_seconds: Annotated[int, Field(ge=1, le=86_400)] = 900
    patience_seconds: Annotated[int, Field(ge=1, le=600)] = 60
    """How long an entry may be behind its account or transfer before it is missed."""
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30


LONGEST_CACHE_SECONDS: Final = 300


class AuthorizerSettings(Settings, frozen=True):
    """The function that judges bearer tokens and API keys.

    At most one source of public keys, for RS256 and ES256. HS256 only where its secret is given.
    `cache_seconds`: how long the gateway keeps an answer.
    """

    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[str, Field(min_length=1)]
    api_keys_table: str
    keys_table: str
    index_key_arn: str
    cache_seconds: Annotated[int, Field(ge=0, le=LONGEST_CACHE_SECONDS)] = 60
    jwks_url: str | None = None
    jwks_secret_arn: str | None = None
    hs256_secret_arn: str | None = None
    jwks_cache_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    jwks_max_stale_seconds: Annotated[int, Field(ge=1, le=7 * 86_400)] = 3_600
    """How long known keys serve on while their source cannot be read."""
    leeway_seconds: Annotated[int, Field(ge=0, le=60)] = 5

    @model_validator(mode="after")
    def _has_keys(self) -> Self:
        if self.jwks_url is not None and self.jwks_secret_arn is not None:
            raise ValueError("give jwks_url or jwks_secret_arn, and not both")
        if (self.jwks_url or self.jwks_secret_arn or self.hs256_secret_arn) is None:
            raise ValueError("give jwks_url or jwks_secret_arn, or hs256_secret_arn, or both kinds")
        if self.jwks_max_stale_seconds < self.jwks_cache_seconds:
            raise ValueError("jwks_max_stale_seconds is below jwks_cache_seconds")
        return self
