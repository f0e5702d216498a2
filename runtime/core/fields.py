"""Field types shared by all capabilities: amounts, timestamps, modes."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

MAX_AMOUNT_MINOR = 10**12
"""Largest amount of one operation, in minor units of its currency."""


TIMESTAMPS_REMEMBERED: Final = 4_096
"""Timestamps cached as valid: rows of one change share them."""


@lru_cache(maxsize=TIMESTAMPS_REMEMBERED)
def _in_the_calendar(instant: str) -> str:
    datetime.fromisoformat(instant)
    return instant


TIMESTAMP_PATTERN: Final = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"
Timestamp = Annotated[
    str,
    StringConstraints(pattern=TIMESTAMP_PATTERN),
    AfterValidator(_in_the_calendar),
]
"""ISO 8601 UTC with milliseconds; sorts as text in time order."""


MinorUnits = Annotated[int, Field(ge=0, le=MAX_AMOUNT_MINOR)]
"""An amount in the smallest unit of its currency (JPY: yen, USD: cents, KWD: fils)."""


SignedMinorUnits = int
"""A balance, a change or a sum in minor units; may be negative and is not limited."""


EpochSeconds = int
"""Seconds since 1970-01-01 UTC, the format of DynamoDB's TTL."""


PLATFORM = "platform"
"""`merchant_id` of what belongs to the operator."""


ProcessorMode = Literal["test", "live"]
"""Test mode, or live mode with real money."""
