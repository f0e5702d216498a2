"""Customers: create, read, list, change, unlock, erase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from runtime.core.echo import echoed
from runtime.core.errors import InvalidValue, Unavailable
from runtime.core.scope import Scope
from runtime.core.timestamps import to_timestamp
from runtime.customers.api import (
    CustomerAnswer,
    CustomerList,
    CustomerPatch,
    CustomerQuery,
    CustomerRequest,
)
from runtime.customers.models import Customer, CustomerProfile
from runtime.customers.repository import CustomerRepository
from runtime.dynamodb.id_lists import IdEntry
from runtime.dynamodb.index_shards import all_buckets, bucket_for
from runtime.encryption.field_encryption import FieldEncryption, normalised
from runtime.http.caller import require_found
from runtime.http.pagination import Cursors, take_page
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import ClaimReader, create_once
from runtime.idempotency.optimistic_update import (
    next_version,
    require_version,
    retry_stale,
    row_update,
)
from runtime.merchants.profiles import MerchantProfiles

MAX_ATTEMPTS = 10
"""Attempts to change one customer under concurrent writes."""


@dataclass(frozen=True)
class CustomerDependencies:
    """Dependencies for changing customers."""

    customers: CustomerRepository
    merchants: MerchantProfiles
    encryption: FieldEncryption
    claims: ClaimReader


@dataclass(frozen=True)
class CustomerReads:
    """Dependencies for listing customers."""

    customers: CustomerRepository
    merchants: MerchantProfiles
    encryption: FieldEncryption
    cursors: Cursors


def create_customer(
    request: CustomerRequest, call: Call, deps: CustomerDependencies
) -> StoredAnswer:
    """Create a customer of the caller's merchant. Raises NotFound for an unknown merchant."""
    merchant = deps.merchants.require(call.caller.merchant(call.acting_for))
    customer_id = call.new_id("cus")
    now = to_timestamp(call.now)
    customer = Customer(
        id=customer_id,
        merchant_id=merchant.id,
        merchant_bucket=bucket_for(merchant.id, customer_id, merchant.index_buckets),
        email_index=deps.encryption.blind_index(merchant.id, request.email),
        email=request.email,
        name=request.name,
        phone=request.phone,
        metadata=request.metadata,
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=call.caller.request_id).stamp(),
    )
    answer = create_once(
        call,
        merchant.id,
        CustomerAnswer.of(customer),
        lambda claim, token: deps.customers.create(customer, claim, token=token, now=call.now),
        claims=deps.claims,
        index_buckets=merchant.index_buckets,
        subject=customer_id,
    )
    if answer.replayed:
        # This instance may still cache the data key of a customer that was erased elsewhere.
        earlier = CustomerAnswer.model_validate_json(answer.body)
        require_found(deps.customers.get(earlier.id, Scope(merchant.id)), "customer", earlier.id)
    return answer


def get_customer(customer_id: str, call: Call, customers: CustomerRepository) -> CustomerAnswer:
    """A customer, decrypted. Raises NotFound."""
    row = require_found(customers.get(customer_id, call.scope), "customer", customer_id)
    return CustomerAnswer.of(row)


def find_customers(query: CustomerQuery, call: Call, reads: CustomerReads) -> CustomerList:
    """A page of the merchant's customers, or of those with an email address, newest first.

    Each customer on the page is decrypted under its own data key. Raises BadCursor, NotFound.
    """
    merchant_id = call.caller.merchant(call.acting_for)
    cursor = reads.cursors.of(query, "customers", merchant_id)
    entries = _entries(query, merchant_id, cursor.position, reads)
    page = take_page(entries, limit=query.limit, position=lambda entry: entry.id)
    rows = reads.customers.get_many([entry.id for entry in page.entries], Scope(merchant_id))
    # Blind indexes are 128-bit hashes that could collide, and the index may lag behind a change.
    wanted = None if query.email is None else normalised(query.email)
    same = (row for row in rows if wanted in (None, normalised(row.email or "")))
    return CustomerList.from_items(map(CustomerAnswer.of, same), cursor.after(page.next_position))


def _entries(
    query: CustomerQuery, merchant_id: str, after_id: str | None, reads: CustomerReads
) -> Iterator[IdEntry]:
    page_size = query.limit + 1
    if query.email is not None:
        indexes = reads.encryption.blind_indexes(merchant_id, query.email)
        return reads.customers.of_email(indexes, after_id=after_id, page_size=page_size)
    buckets = all_buckets(merchant_id, reads.merchants.index_buckets(merchant_id))
    return reads.customers.newest_first(buckets, after_id=after_id, page_size=page_size)


def change_customer(
    customer_id: str, request: CustomerPatch, call: Call, deps: CustomerDependencies
) -> CustomerAnswer:
    """Change the fields that the request contains. Raises NotFound, StaleVersion, InvalidValue."""

    def step(row: CustomerProfile) -> dict[str, Any]:
        require_version(row, request.version, f"Customer {row.id}")
        named = {"name", "email", "phone", "metadata", "default_method"} & request.model_fields_set
        changes = {name: getattr(request, name) for name in named}
        if request.email is not None:
            changes["email_index"] = deps.encryption.blind_index(row.merchant_id, request.email)
        _require_method(row, changes.get("default_method"))
        return changes

    return alter(customer_id, step, call, deps)


def unlock_customer(customer_id: str, call: Call, deps: CustomerDependencies) -> StoredAnswer:
    """Remove a customer's lock and reset its failed attempts. Raises NotFound, Unavailable."""

    def attempt() -> StoredAnswer:
        row = require_found(deps.customers.get(customer_id, call.scope), "customer", customer_id)
        after = next_version(row, {"locked_until": None, "failed_attempts": 0}, call)
        return create_once(
            call,
            row.merchant_id,
            CustomerAnswer.of(after),
            row_update(deps.customers, row, after, call),
            claims=deps.claims,
            status=HTTPStatus.OK,
            subject=row.id,
        )

    return retry_stale(MAX_ATTEMPTS, attempt, too_busy(customer_id))


def erase_customer(customer_id: str, call: Call, deps: CustomerDependencies) -> StoredAnswer:
    """Erase a customer's personal data: 204. Payments, accounts and transfers remain.

    Raises NotFound, Unavailable.
    """

    def attempt() -> StoredAnswer:
        row = require_found(
            deps.customers.erasable(customer_id, call.scope), "customer", customer_id
        )
        context = call.caller.change(cause=call.caller.request_id)
        token = call.new_id("del")
        deps.customers.erase(row, to_timestamp(call.now), context, token=token)
        deps.encryption.forget(row.id)
        return StoredAnswer(int(HTTPStatus.NO_CONTENT), "")

    return retry_stale(MAX_ATTEMPTS, attempt, too_busy(customer_id))


def alter(
    customer_id: str,
    step: Callable[[CustomerProfile], dict[str, Any]],
    call: Call,
    deps: CustomerDependencies,
) -> CustomerAnswer:
    """Apply `step` to a customer, with a retry for each concurrent write.

    Raises NotFound, Unavailable, and what `step` raises.
    """

    def attempt() -> CustomerAnswer:
        row = require_found(deps.customers.get(customer_id, call.scope), "customer", customer_id)
        changes = step(row)
        if not changes:
            return CustomerAnswer.of(row)
        after = next_version(row, changes, call)
        deps.customers.alter(row, after, None, token=call.new_id("chg"), now=call.now)
        return CustomerAnswer.of(after)

    return retry_stale(MAX_ATTEMPTS, attempt, too_busy(customer_id))


def _require_method(row: CustomerProfile, method_id: str | None) -> None:
    if method_id is not None and method_id not in {method.id for method in row.payment_methods}:
        raise InvalidValue(
            f"Customer {row.id} has no payment method {echoed(method_id)}", param="default_method"
        )


def too_busy(customer_id: str) -> Unavailable:
    """The error after MAX_ATTEMPTS concurrent writes."""
    return Unavailable(f"Customer {customer_id} is being changed by other requests; try again")
