"""Customers."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from runtime.models.customer import Customer
from runtime.models.fields import Instant
from runtime.models.idempotency import IdempotencyRecord
from runtime.repositories.creation import create_once
from runtime.repositories.expressions import absent, put
from runtime.repositories.store import Store


class CustomerOwner(BaseModel, frozen=True):
    """Whose customer it is; no key is needed to read it."""

    id: str
    merchant_id: str


class CustomerLock(BaseModel, frozen=True):
    """Whose customer it is, and until when it is locked; no key is needed to read it."""

    id: str
    merchant_id: str
    locked_until: Instant | None = None


class CustomerRepository:
    """The customers table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, customer: Customer, claim: IdempotencyRecord | None, *, token: str, now: datetime
    ) -> None:
        """Store a new customer, its personal fields enciphered. Raises AlreadyClaimed."""
        write = put(customer).when(absent("id"))
        create_once(self._store, [write], claim, token=token, now=now)

    def get(self, customer_id: str) -> Customer | None:
        """A customer, deciphered, strongly consistent."""
        return self._store.get(Customer, {"id": customer_id}, Customer)

    def owner(self, customer_id: str) -> CustomerOwner | None:
        """Whose customer it is, strongly consistent."""
        return self._store.get(Customer, {"id": customer_id}, CustomerOwner)
