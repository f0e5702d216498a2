"""Field types that several aggregates share, and the bases of stored rows."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from runtime.schema import Row

MAX_AMOUNT_MINOR = 10**12
"""Largest amount of one operation, in minor units of its currency."""
TIMESTAMPS_REMEMBERED: Final = 4_096
"""Instants that were seen to be in the calendar: rows of one change have theirs in common."""


@lru_cache(maxsize=TIMESTAMPS_REMEMBERED)
def _in_the_calendar(instant: str) -> str:
    datetime.fromisoformat(instant)
    return instant


Timestamp = Annotated[
    str,
    StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"),
    AfterValidator(_in_the_calendar),
]
"""ISO 8601 UTC with milliseconds: sorts as text in the order of time."""

MinorUnits = Annotated[int, Field(ge=0, le=MAX_AMOUNT_MINOR)]
"""An amount in the smallest unit of its currency (JPY: yen, USD: cents, KWD: fils)."""

SignedMinorUnits = int
"""A balance, a change or a sum in minor units; may be negative and has no ceiling of its own."""

EpochSeconds = int
"""Seconds since 1970-01-01 UTC, the only form that DynamoDB's TTL understands."""

PLATFORM = "platform"
"""`merchant_id` of what belongs to the operator itself."""


class Record(Row, frozen=True):
    """A mutable row: its version, its times, its owner and who changed it last, from where and why.

    The audit log is made from these fields as they pass in the change stream; a change without a
    step of `version` and a fresh `cause` was made outside the application.
    """

    version: int = 1
    created_at: Timestamp
    updated_at: Timestamp
    merchant_id: str = PLATFORM
    changed_by: str
    request_id: str
    ip_address: str = ""
    user_agent: str = ""
    cause: str
