"""Merchants."""

from __future__ import annotations

from datetime import datetime

from runtime.models.idempotency import IdempotencyRecord
from runtime.models.merchant import Merchant, MerchantProfile
from runtime.repositories.creation import create_once
from runtime.repositories.expressions import absent, put
from runtime.repositories.store import Store


class MerchantRepository:
    """The merchants table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, merchant: Merchant, claim: IdempotencyRecord | None, *, token: str, now: datetime
    ) -> None:
        """Store a new merchant. Raises AlreadyClaimed."""
        write = put(merchant).when(absent("id"))
        create_once(self._store, [write], claim, token=token, now=now)

    def profile(self, merchant_id: str) -> MerchantProfile | None:
        """A merchant without its secrets, strongly consistent; no key is needed to read it."""
        return self._store.get(Merchant, {"id": merchant_id}, MerchantProfile)
