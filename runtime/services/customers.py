"""Customers: register, read."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.contract.answers import StoredAnswer
from runtime.contract.call import Call
from runtime.contract.caller import visible
from runtime.contract.customers import CustomerAnswer, CustomerRequest
from runtime.domain.buckets import bucket_for
from runtime.domain.ids import new_id
from runtime.domain.instants import to_instant
from runtime.gateways.field_encryption import FieldEncryption
from runtime.models.customer import Customer
from runtime.repositories.customers import CustomerRepository
from runtime.services.idempotency import ClaimReader, create_once
from runtime.services.merchant_profiles import MerchantProfiles


@dataclass(frozen=True)
class CustomerDesk:
    """What the customer use-cases work with."""

    customers: CustomerRepository
    merchants: MerchantProfiles
    encryption: FieldEncryption
    claims: ClaimReader


def create_customer(request: CustomerRequest, call: Call, desk: CustomerDesk) -> StoredAnswer:
    """Register a customer of the caller's merchant. Raises NotFound for an unknown merchant."""
    merchant = desk.merchants.require(call.caller.merchant(call.acting_for))
    customer_id = new_id("cus", call.now)
    now = to_instant(call.now)
    customer = Customer(
        id=customer_id,
        merchant_id=merchant.id,
        merchant_bucket=bucket_for(merchant.id, customer_id, merchant.index_buckets),
        email_index=desk.encryption.blind_index(merchant.id, request.email),
        email=request.email,
        name=request.name,
        phone=request.phone,
        metadata=request.metadata,
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=call.caller.request_id).stamp(),
    )
    return create_once(
        call,
        merchant.id,
        CustomerAnswer.of(customer),
        lambda claim, token: desk.customers.create(customer, claim, token=token, now=call.now),
        claims=desk.claims,
        index_buckets=merchant.index_buckets,
    )


def get_customer(customer_id: str, call: Call, customers: CustomerRepository) -> CustomerAnswer:
    """A customer, deciphered. Raises NotFound."""
    customer = customers.get(customer_id)
    return CustomerAnswer.of(visible(call.caller, customer, "customer", customer_id))
