"""Limits: counters of what a merchant did in a window, gone after it by TTL."""

from __future__ import annotations

from typing import Annotated

from runtime.models.fields import EpochSeconds
from runtime.schema import Row, Ttl, partition


class LimitCounter(Row, table="limits", frozen=True):
    """How much of a limit one subject has used in one window; `held` of it may not be spent yet."""

    id: Annotated[str, partition()]
    used: int = 0
    held: int = 0
    expires_at: Annotated[EpochSeconds, Ttl()]
