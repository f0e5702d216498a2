"""Merchants: who is paid, through which processor, within which limits."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from runtime.models.fields import MAX_AMOUNT_MINOR, Instant, Record
from runtime.schema import Encrypted, partition

MAX_INDEX_BUCKETS = 256
"""Buckets that one merchant's index keys may be spread over; the number only grows."""
MAX_WEBHOOK_URL = 2_048
"""Characters of a webhook URL."""
MAX_PREVIOUS_SECRETS = 4
"""Replaced webhook secrets that sign at one time, and so signatures beside the new one's."""
MAX_PAYMENT_COUNT = 1_000_000_000
"""Largest limit of payments per minute or day."""


ProcessorName = Literal["sandbox", "stripe"]
"""Processors that a merchant can be paid through (gateways/processors/connectors.py)."""


class MerchantStatus(StrEnum):
    """An inactive merchant can read, not take payments."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class RateLimits(BaseModel, frozen=True):
    """A merchant's limits: payments per UTC minute and day, and its largest one in minor units."""

    payments_per_minute: Annotated[int, Field(ge=1, le=MAX_PAYMENT_COUNT)] | None = None
    payments_per_day: Annotated[int, Field(ge=1, le=MAX_PAYMENT_COUNT)] | None = None
    max_payment_amount: Annotated[int, Field(ge=1, le=MAX_AMOUNT_MINOR)] | None = None


class PreviousSecret(BaseModel, frozen=True):
    """A webhook secret that was replaced, and until when it also signs."""

    secret: Annotated[str, Field(repr=False)]
    until: Instant


class MerchantProfile(Record, frozen=True):
    """A merchant without its secrets: what nearly every reader needs, and no key to decrypt."""

    id: Annotated[str, partition()]
    email: Annotated[str, partition("gsi-email")]
    name: str
    status: MerchantStatus = MerchantStatus.ACTIVE
    processor: ProcessorName
    webhook_url: str | None = None
    features: frozenset[str] = frozenset()
    rate_limits: RateLimits = RateLimits()
    index_buckets: Annotated[int, Field(ge=1, le=MAX_INDEX_BUCKETS)] = 1


class Merchant(MerchantProfile, table="merchants", stream=True, frozen=True):
    """A merchant. `processor_config` and the webhook secrets are enciphered and never shown.

    Secrets that were replaced also sign, each until its own moment; the newest of them comes first.
    """

    processor_config: Annotated[dict[str, Any], Encrypted("pii"), Field(repr=False)] = Field(
        default_factory=dict
    )
    webhook_secret: Annotated[str, Encrypted("pii"), Field(repr=False)]
    previous_webhook_secrets: Annotated[
        tuple[PreviousSecret, ...], Encrypted("pii"), Field(repr=False)
    ] = ()
