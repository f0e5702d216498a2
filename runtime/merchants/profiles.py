"""A cache of merchant profiles, which saves the hot path a round trip."""

from __future__ import annotations

from typing import Protocol

from runtime.core.cache import Cache
from runtime.core.echo import echoed
from runtime.core.errors import NotFound
from runtime.core.fields import PLATFORM
from runtime.core.outside import Outside
from runtime.core.scope import Scope
from runtime.dynamodb.index_shards import PLATFORM_BUCKETS
from runtime.merchants.models import MerchantProfile

MAX_REMEMBERED = 1_000


class ProfileReader(Protocol):
    """Reads merchant profiles."""

    def profile(self, merchant_id: str, scope: Scope) -> MerchantProfile | None:
        """A merchant without its secrets, strongly consistent."""
        ...

    def recent_profile(self, merchant_id: str, scope: Scope) -> MerchantProfile | None:
        """A merchant without its secrets, eventually consistent."""
        ...


class MerchantProfiles:
    """A bounded cache of merchant profiles. Missing merchants are not cached.

    Cached profiles are read eventually consistent: every environment reads those of a busy
    merchant every few seconds, all under one partition key. Without a cache, reads are consistent.
    """

    def __init__(self, reader: ProfileReader, remember_seconds: float, outside: Outside) -> None:
        self._reader = reader
        self._is_cached = remember_seconds > 0
        self._known: Cache[str, MerchantProfile] = Cache(
            MAX_REMEMBERED, outside, seconds=remember_seconds
        )

    def index_buckets(self, owner: str) -> int:
        """The number of index shards of the owner's rows. Raises NotFound."""
        return PLATFORM_BUCKETS if owner == PLATFORM else self.require(owner).index_buckets

    def require(self, merchant_id: str) -> MerchantProfile:
        """The merchant, as at most `remember_seconds` ago, or a moment more. Raises NotFound."""
        known = self._known.get(merchant_id)
        if known is not None:
            return known
        profile = self._read(merchant_id)
        if profile is None:
            raise NotFound(f"No such merchant: {echoed(merchant_id)}", param="merchant_id")
        return self._known.keep(merchant_id, profile)

    def _read(self, merchant_id: str) -> MerchantProfile | None:
        scope = Scope(merchant_id)
        recent = self._reader.recent_profile(merchant_id, scope) if self._is_cached else None
        return recent or self._reader.profile(merchant_id, scope)
