"""Durations that are made once: each is a call to Node, and metrics want the same few."""

from __future__ import annotations

from functools import cache

from aws_cdk import Duration


@cache
def minutes(amount: int) -> Duration:
    """So many minutes."""
    return Duration.minutes(amount)
