"""The settings of every function, as the stacks would write them for one simulated stage.

Times are shorter than a real stage's where waiting proves nothing: an authorization may be
captured for half an hour, schedules that are daily run several times an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self, TypeVar

from runtime.settings import ArchiveSettings, PaymentTiming, ProjectSettings, Settings
from runtime.settings.table_uses import consumed_streams
from simulation.aws.sqs import DEAD_LETTERS, SQS_ADDRESS

SettingsT = TypeVar("SettingsT", bound=Settings)

DELIVERIES: Final = "deliveries"
EXPORT_JOBS: Final = "export-jobs"
SETTLEMENT_FILES: Final = "settlement-files"
QUEUES: Final[Mapping[str, str]] = {
    "delivery_queue_url": DELIVERIES,
    "export_queue_url": EXPORT_JOBS,
    "settlement_queue_url": SETTLEMENT_FILES,
}
"""Names of the queues, by the setting that holds the URL of each."""
SETTLEMENT_BUCKET: Final = "settlements"
EXPORT_BUCKET: Final = "exports"
AUDIT_BUCKET: Final = "audit"
FAILED_BATCHES_BUCKET: Final = "failed-batches"
BUCKETS: Final = (SETTLEMENT_BUCKET, EXPORT_BUCKET, AUDIT_BUCKET, FAILED_BATCHES_BUCKET)
PII_KEY, PCI_KEY, INDEX_KEY, AUDIT_KEY = "arn:pii", "arn:pci", "arn:index", "arn:audit"

MINUTES: Final[Mapping[str, int]] = {
    "resolver": 1,
    "holds": 1,
    "retries": 1,
    "archive": 15,
    "totals": 20,
    "poll": 20,
    "missing": 30,
    "proof": 30,
    "rotation": 60,
}
"""Between two runs of each schedule. Those that are daily on a real stage run several times."""

STREAM_WINDOWS: Final[Mapping[str, int]] = {
    **dict.fromkeys(consumed_streams(ProjectSettings.TABLE_USES), 0),
    **dict.fromkeys(consumed_streams(ArchiveSettings.TABLE_USES), 30),
}
"""Seconds for which a batch of a table's change stream waits to fill."""

CUT_SECONDS: Final = 360
"""What is younger is not expected to be committed by a ledger verification."""

_FIXED: Final[Mapping[str, Any]] = {
    "stage": "simulation",
    "pii_key_arn": PII_KEY,
    "pci_key_arn": PCI_KEY,
    "index_key_arn": INDEX_KEY,
    "audit_key_arn": AUDIT_KEY,
    "settlement_bucket": SETTLEMENT_BUCKET,
    "export_bucket": EXPORT_BUCKET,
    "audit_bucket": AUDIT_BUCKET,
    "failed_batches_bucket": FAILED_BATCHES_BUCKET,
    "dead_letter_queues": f"{DELIVERIES},{EXPORT_JOBS},{SETTLEMENT_FILES}",
    "dead_letter_queue_url": f"{SQS_ADDRESS}{{name}}{DEAD_LETTERS}",
    "schedules": MINUTES,
    "streams": STREAM_WINDOWS,
    "issuer": "https://issuer.invalid",
    "audience": "payments-api",
    "jwks_url": "https://issuer.invalid/jwks.json",
    "authorization_seconds": 1_800,
    "action_seconds": 900,
    "retry_delays_seconds": "5,30,120,600,1800",
    "webhook_deadline_seconds": 6 * 3_600,
    "lock_seconds": 600,
    "cut_seconds": CUT_SECONDS,
    "large_transaction_minor": 500_000_000,
}


@dataclass(frozen=True)
class StageSettings:
    """Settings of one deployment. A later one may have others (`next`)."""

    tables: Mapping[str, str]
    queue_urls: Mapping[str, str]
    """By the name of the setting."""
    merchant_cache_seconds: int = 5

    def next(self, *, merchant_cache_seconds: int) -> Self:
        """The settings of the next deployment."""
        return replace(self, merchant_cache_seconds=merchant_cache_seconds)

    def of(self, shape: type[SettingsT], service: str) -> SettingsT:
        """The settings of one function."""
        known = {
            **_FIXED,
            **self.queue_urls,
            "service": service,
            "tables": {name: self.tables[name] for name in shape.TABLE_USES},
            "merchant_cache_seconds": self.merchant_cache_seconds,
        }
        return shape(**{name: known[name] for name in shape.model_fields if name in known})

    @property
    def timing(self) -> PaymentTiming:
        """How long the pieces of a payment may take."""
        return self.of(PaymentTiming, "process")
