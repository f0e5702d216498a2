"""Merchants: who is paid, through which processor, within which limits."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from runtime.core.fields import MAX_AMOUNT_MINOR, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import Encrypted, partition, sort

MAX_INDEX_BUCKETS = 256
"""Buckets that one merchant's index keys may be spread over; the number only grows."""
MAX_WEBHOOK_URL = 2_048
"""Characters of a webhook URL."""
MAX_PREVIOUS_SECRETS = 4
"""Replaced webhook secrets that sign at one time, and so signatures beside the new one's."""
MAX_PAYMENT_COUNT = 1_000_000_000
"""Largest limit of payments per minute or day."""


MAX_EARLIER_ACCOUNTS = 10
"""Accounts at processors whose keys are kept after a merchant has moved on from them."""

ProcessorName = Literal["sandbox", "stripe"]
"""Processors that a merchant can be paid through (payments/processors/connectors.py)."""


class MerchantStatus(StrEnum):
    """An inactive merchant can read, not take payments."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class RateLimits(BaseModel, frozen=True, hide_input_in_errors=True):
    """A merchant's limits: payments per UTC minute and day, and its largest one in minor units."""

    payments_per_minute: Annotated[int, Field(ge=1, le=MAX_PAYMENT_COUNT)] | None = None
    payments_per_day: Annotated[int, Field(ge=1, le=MAX_PAYMENT_COUNT)] | None = None
    max_payment_amount: Annotated[int, Field(ge=1, le=MAX_AMOUNT_MINOR)] | None = None


MAX_TOLERANCE_MINOR = 1_000
"""Largest difference between a settlement line and our books that is accepted by itself."""


class ReconciliationTerms(BaseModel, frozen=True, hide_input_in_errors=True):
    """How exactly, and how soon, a merchant's payments must be found in settlement files.

    `tolerance_minor`: a difference of amount or fee up to so many minor units still matches.
    `sla_days`: after so many days what is in no file is missing.
    """

    tolerance_minor: Annotated[int, Field(ge=0, le=MAX_TOLERANCE_MINOR)] = 0
    sla_days: Annotated[int, Field(ge=0, le=90)] = 7


class PreviousSecret(BaseModel, frozen=True, hide_input_in_errors=True):
    """A webhook secret that was replaced, and until when it also signs."""

    secret: Annotated[str, Field(repr=False)]
    until: Timestamp


class ProcessorAccount(BaseModel, frozen=True):
    """An account at a processor that a merchant used before.

    `account` as the processor calls it; None where payments that name no account were sent.
    `left_at`: when the merchant moved to another.
    """

    processor: ProcessorName
    account: str | None = None
    left_at: Timestamp

    @property
    def config_key(self) -> str:
        """Under which its configuration stands among the merchant's."""
        return f"{self.processor}/{self.account or ''}"


class MerchantProfile(Record, frozen=True):
    """A merchant without its secrets: what nearly every reader needs, and no key to decrypt."""

    id: Annotated[str, partition(), sort("gsi-list")]
    list_bucket: Annotated[str | None, partition("gsi-list")] = None
    """Of a merchant registered before there was the list: absent until its next change."""
    email: Annotated[str, partition("gsi-email")]
    name: str
    status: MerchantStatus = MerchantStatus.ACTIVE
    processor: ProcessorName
    processor_account: str | None = None
    webhook_url: str | None = None
    features: frozenset[str] = frozenset()
    rate_limits: RateLimits = RateLimits()
    reconciliation: ReconciliationTerms = ReconciliationTerms()
    index_buckets: Annotated[int, Field(ge=1, le=MAX_INDEX_BUCKETS)] = 1


class Merchant(MerchantProfile, table="merchants", stream=True, frozen=True):
    """A merchant. Processor configurations and webhook secrets are enciphered and never shown.

    `processor_config` is that of `processor_account`, to which new payments are sent. What was sent
    to another account before is asked about there: `earlier_configs` has how each of
    `earlier_accounts` was last reached. Secrets that were replaced also sign, each until its own
    moment; the newest of them comes first.
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


class MerchantAccounts(BaseModel, frozen=True):
    """A merchant's accounts at processors, without the keys to them."""

    id: str
    merchant_id: str
    processor: ProcessorName
    processor_account: str | None = None
    earlier_accounts: tuple[ProcessorAccount, ...] = ()


class ProcessorConnection(MerchantAccounts, frozen=True, hide_input_in_errors=True):
    """How a merchant is connected to processors: its account of now, and those before it."""

    processor_config: Annotated[dict[str, Any], Field(repr=False)] = Field(default_factory=dict)
    earlier_configs: Annotated[dict[str, dict[str, Any]], Field(repr=False)] = Field(
        default_factory=dict
    )

    def config_of(self, processor: str, account: str | None) -> Mapping[str, Any] | None:
        """The latest configuration of this very account; None where none is kept."""
        return self.configs_of(processor).get(account)

    def configs_of(self, processor: str) -> dict[str | None, Mapping[str, Any]]:
        """The configurations of all kept accounts at a processor, by account."""
        configs: dict[str | None, Mapping[str, Any]] = {
            each.account: self.earlier_configs[each.config_key]
            for each in self.earlier_accounts
            if each.processor == processor
        }
        if processor == self.processor:
            configs[self.processor_account] = self.processor_config
        return configs
