"""Client of the payments API.

`connect` makes a client for the generated operations (`payments_client.generated.api`) and models
(`payments_client.generated.models`). Requests are repeated safely, and every refusal is a typed
error. Amounts are integers in minor units: 1000 USD is ten dollars.
"""

from typing import TYPE_CHECKING, Any

from payments_client.answers import answer
from payments_client.errors import (
    ApiError,
    AuthenticationError,
    Conflict,
    ConnectionFailed,
    Declined,
    InvalidField,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    PaymentsError,
    PermissionDenied,
    RateLimited,
    ResourceLocked,
    ServerError,
    WebhookVerificationFailed,
)
from payments_client.outcomes import outcome_is_known
from payments_client.pages import items, items_async
from payments_client.retries import NO_RETRIES, RetryPolicy
from payments_client.webhooks import Event, verified_event

if TYPE_CHECKING:
    from payments_client.connection import connect, wait_for_outcome, wait_for_outcome_async

__all__ = [
    "NO_RETRIES",
    "ApiError",
    "AuthenticationError",
    "Conflict",
    "ConnectionFailed",
    "Declined",
    "Event",
    "InvalidField",
    "InvalidRequest",
    "NotFound",
    "OutcomeUnknown",
    "PaymentsError",
    "PermissionDenied",
    "RateLimited",
    "ResourceLocked",
    "RetryPolicy",
    "ServerError",
    "WebhookVerificationFailed",
    "answer",
    "connect",
    "items",
    "items_async",
    "outcome_is_known",
    "verified_event",
    "wait_for_outcome",
    "wait_for_outcome_async",
]


def __getattr__(name: str) -> Any:
    """Load what needs the 250 modules of the generated code at its first use."""
    if name in ("connect", "wait_for_outcome", "wait_for_outcome_async"):
        from payments_client import connection  # noqa: PLC0415

        return getattr(connection, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
