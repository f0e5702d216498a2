"""Counters of rate limits, as stored."""

from __future__ import annotations

from runtime.payments.rate_limits.models import LimitCounter
from tests.support.platform import Platform

MINUTE = "minute#2026-03-14T09:00"
MANY = 2_000


def counters(platform: Platform) -> dict[str, int]:
    """Used permits by the merchant's limit and window, without the merchant."""
    return {row.id.partition("#")[2]: row.used for row in platform.rows(LimitCounter)}
