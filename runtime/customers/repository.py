"""Reads and writes of the customers table."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field

from runtime.core.change_context import ChangeContext
from runtime.core.errors import KeyForgotten, Locked, NotFound, PlatformError, StaleWrite
from runtime.core.fields import Timestamp
from runtime.core.scope import Scope
from runtime.customers.lockout_rules import is_locked
from runtime.customers.models import Customer, CustomerProfile
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import (
    Condition,
    Update,
    absent,
    any_of,
    at_most,
    change,
    equals,
    put,
)
from runtime.dynamodb.id_lists import IdEntry, IdLists
from runtime.dynamodb.store import Store
from runtime.encryption.models import DataKey, key_owner
from runtime.idempotency.idempotent_create import create_once
from runtime.idempotency.models import IdempotencyRecord

KEYS_PAGE = 20

ViewT = TypeVar("ViewT", bound=BaseModel)


class CustomerOwner(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """The merchant of a customer. No data key is needed to read it."""

    id: str
    merchant_id: str


class CustomerLock(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """A customer's merchant, failures and lock. No data key is needed to read it."""

    id: str
    merchant_id: str
    failed_attempts: int = 0
    locked_until: Timestamp | None = None
    erased_at: Timestamp | None = None


class ErasableCustomer(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """The fields that erasure needs. No data key is needed to read them."""

    id: str
    merchant_id: str
    version: int
    erased_at: Timestamp | None = None


class CustomerTokens(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """The fields that a payment with a stored method needs. `payment_tokens`: by method id."""

    id: str
    merchant_id: str
    erased_at: Timestamp | None = None
    default_method: str | None = None
    payment_tokens: Annotated[dict[str, str], Field(repr=False)] = Field(default_factory=dict)


def customer_of(merchant_id: str) -> tuple[Condition, ...]:
    """The customer belongs to this merchant and is not erased."""
    return equals("merchant_id", merchant_id), absent("erased_at")


def unlocked(at: Timestamp) -> Condition:
    """The customer is not locked at `at`."""
    return any_of(absent("locked_until"), at_most("locked_until", at))


def without_failures() -> Condition:
    """The customer has no failed attempts to reset."""
    return any_of(absent("failed_attempts"), equals("failed_attempts", 0))


def customer_refusal(
    customer: CustomerLock | None, customer_id: str, merchant_id: str, at: Timestamp
) -> PlatformError | None:
    """Why the merchant cannot act for this customer at `at`; None if it can."""
    if customer is None or customer.merchant_id != merchant_id or customer.erased_at:
        return NotFound(f"No such customer: {customer_id}", param="customer_id")
    if customer.locked_until is not None and is_locked(customer.locked_until, at):
        return Locked(
            f"Customer {customer_id}",
            until=customer.locked_until,
            at=at,
            unlock=f"/v1/customers/{customer_id}/unlock (permission merchant, or an operator)",
            param="customer_id",
        )
    return None


class CustomerRepository:
    """The customers table, and the erasure of customers' data keys."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lists = IdLists(store, Customer, IdEntry)

    def create(
        self, customer: Customer, claim: IdempotencyRecord | None, *, token: str, now: datetime
    ) -> None:
        """Store a new customer, with its personal fields encrypted. Raises AlreadyClaimed."""
        write = put(customer).when(absent("id"))
        create_once(self._store, [write], claim, token=token, now=now)

    def get(self, customer_id: str, scope: Scope) -> CustomerProfile | None:
        """A customer, decrypted, without tokens; None if unknown or erased."""
        row = self._unerased(customer_id, CustomerProfile, scope)
        return None if row is None or row.erased_at else row

    def get_with_tokens(self, customer_id: str, scope: Scope) -> Customer | None:
        """A customer with its payment tokens; None if unknown or erased."""
        row = self._unerased(customer_id, Customer, scope)
        return None if row is None or row.erased_at else row

    def tokens(self, customer_id: str, scope: Scope) -> CustomerTokens | None:
        """A customer's payment tokens and default method; None if unknown or erased."""
        row = self._unerased(customer_id, CustomerTokens, scope)
        return None if row is None or row.erased_at else row

    def _unerased(self, customer_id: str, shape: type[ViewT], scope: Scope) -> ViewT | None:
        """The row, decrypted; None if it was erased after it was read and before its key was.

        Raises KeyForgotten if the customer is not erased and its data key is missing.
        """
        try:
            return self._store.get(Customer, {"id": customer_id}, shape, scope)
        except KeyForgotten:
            if self.erasable(customer_id, scope) is not None:
                raise
            return None

    def get_many(self, customer_ids: Sequence[str], scope: Scope) -> list[CustomerProfile]:
        """The customers with these ids, in the given order, without erased ones."""
        if not customer_ids:
            return []
        keys = [{"id": each} for each in customer_ids]
        try:
            rows = self._store.get_many(Customer, keys, CustomerProfile, scope)
        except KeyForgotten:
            found = (self.get(each, scope) for each in customer_ids)
            return [row for row in found if row is not None]
        return [row for row in rows if row.erased_at is None]

    def owner(self, customer_id: str, scope: Scope) -> CustomerOwner | None:
        """The merchant of a customer, even if erased. Strongly consistent."""
        return self._store.get(Customer, {"id": customer_id}, CustomerOwner, scope)

    def of_email(
        self, email_indexes: Sequence[str], *, after_id: str | None, page_size: int
    ) -> Iterator[IdEntry]:
        """Customers whose email address has one of these blind indexes, newest first."""
        return self._lists.newest_first(
            "gsi-email", email_indexes, after_id=after_id, page_size=page_size
        )

    def newest_first(
        self, buckets: Sequence[str], *, after_id: str | None, page_size: int
    ) -> Iterator[IdEntry]:
        """A merchant's customers, merged over its index shards, without erased ones."""
        return self._lists.newest_first(
            "gsi-merchant", buckets, after_id=after_id, page_size=page_size
        )

    def alter(
        self,
        before: CustomerProfile,
        after: CustomerProfile,
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """Replace `before` with `after`. Raises AlreadyClaimed, StaleWrite."""
        step = change(before, after, Customer).when(
            equals("version", before.version), absent("erased_at")
        )
        try:
            create_once(self._store, [step], claim, token=token, now=now)
        except TransactionRefused as refused:
            raise StaleWrite("customers", f"{before.id} was changed by another writer") from refused

    def erasable(self, customer_id: str, scope: Scope) -> ErasableCustomer | None:
        """The fields that erasure needs; None if unknown or erased."""
        row = self._store.get(Customer, {"id": customer_id}, ErasableCustomer, scope)
        return None if row is None or row.erased_at else row

    def erase(
        self, before: ErasableCustomer, at: Timestamp, context: ChangeContext, *, token: str
    ) -> None:
        """Erase a customer's data keys and the personal fields of its row, in one commit.

        The row leaves all lists. Nothing is decrypted, so a customer whose ciphertext cannot be
        decrypted can still be erased. Raises StaleWrite if the customer was changed meanwhile.
        """
        schema = Customer.table_schema
        listed = schema.index("gsi-merchant").partition_key.name
        personal = (*schema.encrypted, *schema.blind_indexes, "default_method", listed)
        step = (
            Update(schema, {"id": before.id}, removed=personal)
            .assign(version=before.version + 1, updated_at=at, erased_at=at, metadata={})
            .assign(**context.stamp())
            .when(equals("version", before.version), absent("erased_at"))
        )
        keys = [
            change(key, key.model_copy(update={"wrapped": None, "erased_at": at}))
            for purpose in ("pii", "pci")
            for key in self._keys_of(purpose, before.id)
            if key.wrapped is not None
        ]
        try:
            self._store.transact([step, *keys], token=token)
        except TransactionRefused as refused:
            raise StaleWrite("customers", f"{before.id} was changed by another writer") from refused

    def _keys_of(self, purpose: str, customer_id: str) -> Iterator[DataKey]:
        return self._store.query(
            DataKey,
            DataKey,
            [equals("subject", key_owner(purpose, customer_id))],
            page_size=KEYS_PAGE,
            consistent=True,
        )
