"""Merchants, their processor accounts, limits and webhook secrets."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from runtime.core.fields import MAX_AMOUNT_MINOR, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import Encrypted, UnlessDefault, partition, sort
from runtime.merchants.webhook_endpoints import EndpointEntry, EndpointStatus

MAX_INDEX_BUCKETS = 256
"""Index shards of one merchant. The number can only be increased."""
MAX_WEBHOOK_URL = 2_048
"""Characters in a webhook URL."""
MAX_PREVIOUS_SECRETS = 4
"""Replaced webhook secrets that may still sign at one time."""
MAX_PAYMENT_COUNT = 1_000_000_000
"""Largest limit of payments per minute or day."""
MAX_EARLIER_ACCOUNTS = 10
"""Earlier processor accounts whose keys are stored for a merchant."""

ProcessorName = Literal["sandbox", "stripe"]
"""The supported processors (payments/processors/connectors.py)."""


class MerchantStatus(StrEnum):
    """An inactive merchant can read but cannot accept payments."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class RateLimits(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """A merchant's limits: payments per UTC minute and day, and the largest amount of a payment.

    `max_payment_amount` is in minor units.
    """

    payments_per_minute: Annotated[int, Field(ge=1, le=MAX_PAYMENT_COUNT)] | None = None
    payments_per_day: Annotated[int, Field(ge=1, le=MAX_PAYMENT_COUNT)] | None = None
    max_payment_amount: Annotated[int, Field(ge=1, le=MAX_AMOUNT_MINOR)] | None = None


MAX_TOLERANCE_MINOR = 1_000
"""Upper limit of `tolerance_minor`, in minor units."""


class ReconciliationTerms(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """How closely, and how soon, settlement files must match a merchant's payments.

    `tolerance_minor`: the largest difference in amount or fee that still matches, in minor units.
    `sla_days`: days after which a transaction that is not in a settlement file is missing.
    """

    tolerance_minor: Annotated[int, Field(ge=0, le=MAX_TOLERANCE_MINOR)] = 0
    sla_days: Annotated[int, Field(ge=0, le=90)] = 7


class PreviousSecret(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """A replaced webhook secret, which still signs until `until`."""

    secret: Annotated[str, Field(repr=False)]
    until: Timestamp


def signing_secrets(
    secret: str, previous: tuple[PreviousSecret, ...], at: Timestamp
) -> tuple[str, ...]:
    """The secrets that sign at `at`: several for a while after a rotation."""
    return (secret, *(each.secret for each in previous if each.until > at))


class ProcessorAccount(BaseModel, frozen=True, defer_build=True):
    """A processor account that a merchant used before.

    `account`: the processor's id; None for the account of payments that do not name one.
    `left_at`: when the merchant moved to another account.
    """

    processor: ProcessorName
    account: str | None = None
    left_at: Timestamp

    @property
    def config_key(self) -> str:
        """Its key in `Merchant.earlier_configs`."""
        return f"{self.processor}/{self.account or ''}"


class MerchantProfile(Record, frozen=True):
    """A merchant without its secrets. No data key is needed to read it.

    `webhook_url`, `webhook_events`, `webhook_description` and `webhook_status` are its first
    webhook endpoint, `webhook_endpoints` the others; no `webhook_events` means all of them.
    """

    id: Annotated[str, partition(), sort("gsi-list")]
    list_bucket: Annotated[str | None, partition("gsi-list")] = None
    """Absent, until its next change, for a merchant that is older than the list."""
    email: Annotated[str, partition("gsi-email")]
    name: str
    status: MerchantStatus = MerchantStatus.ACTIVE
    processor: ProcessorName
    processor_account: str | None = None
    webhook_url: str | None = None
    webhook_events: Annotated[tuple[str, ...], UnlessDefault()] = ()
    webhook_description: str | None = None
    webhook_status: Annotated[EndpointStatus, UnlessDefault()] = EndpointStatus.ENABLED
    webhook_endpoints: Annotated[tuple[EndpointEntry, ...], UnlessDefault()] = ()
    features: frozenset[str] = frozenset()
    rate_limits: RateLimits = RateLimits()
    reconciliation: ReconciliationTerms = ReconciliationTerms()
    index_buckets: Annotated[int, Field(ge=1, le=MAX_INDEX_BUCKETS)] = 1


class Merchant(MerchantProfile, table="merchants", stream=True, frozen=True):
    """A merchant. Processor configurations and webhook secrets are encrypted and never returned.

    `processor_config`: the configuration of `processor_account`, which receives new payments.
    `earlier_configs`: the last configuration of each of `earlier_accounts`, so that earlier
    payments can still be queried, captured and refunded there.
    `previous_webhook_secrets`: replaced secrets, newest first.
    """

    processor_config: Annotated[dict[str, Any], Encrypted("pii"), Field(repr=False)] = Field(
        default_factory=dict
    )
    earlier_accounts: tuple[ProcessorAccount, ...] = ()
    earlier_configs: Annotated[dict[str, dict[str, Any]], Encrypted("pii"), Field(repr=False)] = (
        Field(default_factory=dict)
    )
    webhook_secret: Annotated[str, Encrypted("pii"), Field(repr=False)]
    previous_webhook_secrets: Annotated[
        tuple[PreviousSecret, ...], Encrypted("pii"), Field(repr=False)
    ] = ()


class MerchantAccounts(BaseModel, frozen=True, defer_build=True):
    """A merchant's processor accounts, without their keys."""

    id: str
    merchant_id: str
    processor: ProcessorName
    processor_account: str | None = None
    earlier_accounts: tuple[ProcessorAccount, ...] = ()


class ProcessorConnection(MerchantAccounts, frozen=True, hide_input_in_errors=True):
    """A merchant's processor accounts, current and earlier, with their configurations."""

    processor_config: Annotated[dict[str, Any], Field(repr=False)] = Field(default_factory=dict)
    earlier_configs: Annotated[dict[str, dict[str, Any]], Field(repr=False)] = Field(
        default_factory=dict
    )

    def config_of(self, processor: str, account: str | None) -> Mapping[str, Any] | None:
        """The latest configuration of this account; None if none is stored."""
        return self.configs_of(processor).get(account)

    def configs_of(self, processor: str) -> dict[str | None, Mapping[str, Any]]:
        """The configurations of all stored accounts at a processor, by account."""
        configs: dict[str | None, Mapping[str, Any]] = {
            each.account: self.earlier_configs[each.config_key]
            for each in self.earlier_accounts
            if each.processor == processor
        }
        if processor == self.processor:
            configs[self.processor_account] = self.processor_config
        return configs


class EndpointProfile(Record, frozen=True):
    """A webhook endpoint beside the first one, without its secrets. No `events` means all."""

    id: Annotated[str, partition(), sort("gsi-merchant")]
    merchant_id: Annotated[str, partition("gsi-merchant")]
    url: Annotated[str, Field(repr=False)]
    events: Annotated[tuple[str, ...], UnlessDefault()] = ()
    description: str | None = None
    status: EndpointStatus = EndpointStatus.ENABLED


class WebhookEndpoint(EndpointProfile, table="webhook_endpoints", frozen=True):
    """A webhook endpoint with its secrets. `previous_secrets`: replaced ones, newest first."""

    secret: Annotated[str, Encrypted("pii", subject="merchant_id"), Field(repr=False)]
    previous_secrets: Annotated[
        tuple[PreviousSecret, ...], Encrypted("pii", subject="merchant_id"), Field(repr=False)
    ] = ()

    @property
    def is_enabled(self) -> bool:
        """Whether webhooks are sent to it."""
        return self.status is EndpointStatus.ENABLED

    def secrets(self, at: Timestamp) -> tuple[str, ...]:
        """The secrets that sign at `at`: several for a while after a rotation."""
        return signing_secrets(self.secret, self.previous_secrets, at)
