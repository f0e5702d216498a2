"""Cached profiles: eventually consistent, and never a merchant that is only missing there."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from runtime.core.errors import NotFound
from runtime.core.scope import Scope
from runtime.merchants.models import MerchantProfile
from runtime.merchants.profiles import MerchantProfiles
from tests.support.outside import outside


@dataclass
class Merchants:
    """A table and its lagging copy; `read` counts consistent reads and others."""

    stored: dict[str, int] = field(default_factory=dict)
    copied: dict[str, int] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)

    def profile(self, merchant_id: str, scope: Scope) -> MerchantProfile | None:
        self.read.append("consistent")
        return _profile(merchant_id, self.stored.get(merchant_id))

    def recent_profile(self, merchant_id: str, scope: Scope) -> MerchantProfile | None:
        self.read.append("recent")
        return _profile(merchant_id, self.copied.get(merchant_id))


def _profile(merchant_id: str, version: int | None) -> MerchantProfile | None:
    if version is None:
        return None
    return MerchantProfile.model_construct(id=merchant_id, version=version)


def test_a_cached_profile_is_read_eventually_consistent_once_in_some_seconds() -> None:
    clock = [0.0]
    merchants = Merchants(stored={"mer_1": 2}, copied={"mer_1": 1})
    profiles = MerchantProfiles(merchants, 5, outside(monotonic=lambda: clock[0]))
    assert [profiles.require("mer_1").version for _ in range(3)] == [1, 1, 1]
    merchants.copied["mer_1"] = 2
    clock[0] = 4.9
    assert profiles.require("mer_1").version == 1
    clock[0] = 5.1
    assert profiles.require("mer_1").version == 2
    assert merchants.read == ["recent"] * 2


def test_a_new_merchant_that_the_copy_lacks_is_found() -> None:
    merchants = Merchants(stored={"mer_1": 1})
    profiles = MerchantProfiles(merchants, 5, outside())
    assert profiles.require("mer_1").version == 1
    assert merchants.read == ["recent", "consistent"]
    with pytest.raises(NotFound):
        profiles.require("mer_2")


def test_without_a_cache_reads_are_consistent() -> None:
    merchants = Merchants(stored={"mer_1": 2}, copied={"mer_1": 1})
    profiles = MerchantProfiles(merchants, 0, outside())
    assert profiles.require("mer_1").version == 2
    assert merchants.read == ["consistent"]
