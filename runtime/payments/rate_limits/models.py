"""Limits: counters of what a merchant did in a window, and what a customer paid in a minute.

All of it goes by TTL.
"""

from __future__ import annotations

from typing import Annotated

from runtime.core.fields import EpochSeconds
from runtime.dynamodb.schema import Row, Ttl, partition


class LimitCounter(Row, table="limits", frozen=True):
    """How much of a limit one subject has used in one window; `held` of it may not be spent yet."""

    id: Annotated[str, partition()]
    used: int = 0
    held: int = 0
    expires_at: Annotated[EpochSeconds, Ttl()]


class CustomerMinute(Row, frozen=True):
    """The payments that a customer began in one minute, by their ids, as far as they are kept."""

    id: str
    payments: frozenset[str] = frozenset()
    expires_at: EpochSeconds

    table_schema = LimitCounter.table_schema
