"""One frozen model per Lambda: the stack writes the environment from it, the runtime reads it.

Field `intent_lease_seconds` is the variable `INTENT_LEASE_SECONDS`. `TABLE_USES` declares the
tables of the function and what it may do with each. The stack makes the function's IAM policies
from it, and the variable `TABLES` with the physical names.
"""

from __future__ import annotations

from runtime.settings.access import (
    ACCESS_REFUSED,
    LONGEST_CACHE_SECONDS,
    AuthorizerSettings,
    RotationSettings,
)
from runtime.settings.api import ProcessSettings, QuerySettings
from runtime.settings.base import Settings
from runtime.settings.canary import (
    CANARY_AMOUNT_MINOR,
    CANARY_FAILED,
    CANARY_MILLISECONDS,
    CANARY_SUCCEEDED,
    LONGEST_RUN_SECONDS,
    CanarySettings,
    canary_secret_name,
)
from runtime.settings.console import ConsoleSettings
from runtime.settings.derived import (
    LARGE_TRANSACTION_MINOR,
    MAX_VELOCITY_PAYMENTS,
    VELOCITY_PAYMENTS,
    ArchiveSettings,
    DeliverSettings,
    ProjectSettings,
    RetriesSettings,
    TotalsSettings,
    WebhookDeadline,
)
from runtime.settings.files import ExportSettings, MissingSettings, ReconcileSettings
from runtime.settings.ledger import HoldsSettings, VerifyLedgerSettings
from runtime.settings.payments import (
    MAX_FEE_BASIS_POINTS,
    MAX_FEE_FIXED_MINOR,
    MAX_RESOLVER_WORKERS,
    RESOLVER_WORKERS,
    RESOLVER_WORKERS_PER_MERCHANT,
    STRIPE_API_BASE,
    FinishingSettings,
    PaymentTiming,
    PollSettings,
    ResolverSettings,
    StripeApiBase,
)

__all__ = [
    "ACCESS_REFUSED",
    "CANARY_AMOUNT_MINOR",
    "CANARY_FAILED",
    "CANARY_MILLISECONDS",
    "CANARY_SUCCEEDED",
    "LARGE_TRANSACTION_MINOR",
    "LONGEST_CACHE_SECONDS",
    "LONGEST_RUN_SECONDS",
    "MAX_FEE_BASIS_POINTS",
    "MAX_FEE_FIXED_MINOR",
    "MAX_RESOLVER_WORKERS",
    "MAX_VELOCITY_PAYMENTS",
    "RESOLVER_WORKERS",
    "RESOLVER_WORKERS_PER_MERCHANT",
    "STRIPE_API_BASE",
    "VELOCITY_PAYMENTS",
    "ArchiveSettings",
    "AuthorizerSettings",
    "CanarySettings",
    "ConsoleSettings",
    "DeliverSettings",
    "ExportSettings",
    "FinishingSettings",
    "HoldsSettings",
    "MissingSettings",
    "PaymentTiming",
    "PollSettings",
    "ProcessSettings",
    "ProjectSettings",
    "QuerySettings",
    "ReconcileSettings",
    "ResolverSettings",
    "RetriesSettings",
    "RotationSettings",
    "Settings",
    "StripeApiBase",
    "TotalsSettings",
    "VerifyLedgerSettings",
    "WebhookDeadline",
    "canary_secret_name",
]
