"""Shapes of the merchant routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from runtime.contract.base import Answer, Body, ShortText
from runtime.models.fields import Instant
from runtime.models.merchant import MAX_INDEX_BUCKETS, MerchantStatus, RateLimits

Email = Annotated[
    str,
    StringConstraints(
        max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+\.[^@\s\x00-\x1f]+$"
    ),
]
"""Something@something.something, at most 254 characters (RFC 5321).

Deliverability is not ours to judge.
"""


class RequestedLimits(RateLimits, frozen=True, extra="forbid", strict=True):
    """Limits as a request gives them: a misspelt one must not be no limit."""


class MerchantRequest(Body, frozen=True):
    """A new merchant."""

    name: ShortText
    email: Email
    processor: Literal["sandbox"] = "sandbox"
    processor_config: dict[str, Any] = Field(default_factory=dict, repr=False)
    webhook_secret: Annotated[
        str | None,
        StringConstraints(pattern=r"^whsec_[A-Za-z0-9+/=]{32,88}$"),
        Field(repr=False, description="Generated when absent."),
    ] = None
    features: Annotated[frozenset[ShortText], Field(max_length=50)] = frozenset()
    rate_limits: RequestedLimits = RequestedLimits()
    index_buckets: Annotated[int, Field(ge=1, le=MAX_INDEX_BUCKETS)] = 1


class MerchantAnswer(Answer, frozen=True):
    """A merchant, without its secrets."""

    id: str
    name: str
    email: str
    status: MerchantStatus
    webhook_url: str | None
    processor: str
    features: tuple[str, ...]
    rate_limits: RateLimits
    index_buckets: int
    version: int
    created_at: Instant
    updated_at: Instant


class NewMerchant(MerchantAnswer, frozen=True):
    """A merchant just registered: the only answer that shows its webhook secret."""

    webhook_secret: str = Field(repr=False)
