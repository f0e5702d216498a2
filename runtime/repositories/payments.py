"""Payments and what is written together with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel

from runtime.domain.buckets import OPEN_BUCKETS, all_buckets
from runtime.domain.ids import highest_id, lowest_id
from runtime.domain.instants import to_instant
from runtime.domain.payments import sources_of
from runtime.errors import AlreadyClaimed, NotFound, StaleWrite
from runtime.models.customer import Customer
from runtime.models.fields import Instant
from runtime.models.idempotency import IdempotencyRecord
from runtime.models.payment import MAX_TRANSACTIONS, Payment, PaymentStatus
from runtime.models.scope import Scope
from runtime.models.transaction import Transaction
from runtime.models.transfer import Transfer
from runtime.repositories import claims
from runtime.repositories.customers import customer_of
from runtime.repositories.expressions import (
    Update,
    Write,
    absent,
    at_most,
    between,
    change,
    check,
    equals,
    one_of,
    put,
)
from runtime.repositories.merging import merge_newest_first
from runtime.repositories.store import Store, TransactionRefused

OPEN_QUEUE = "open"
_PREFIX = "pay"


class PaymentEntry(BaseModel, frozen=True):
    """A payment as its list indexes show it; `status` is absent where the index key says it."""

    id: str
    amount: int
    status: PaymentStatus | None = None


class PaymentFigures(BaseModel, frozen=True):
    """What a summary adds up of a payment, as `gsi-merchant` shows it (minor units)."""

    id: str
    status: PaymentStatus
    currency: str
    amount_captured: int = 0
    amount_refunded: int = 0
    fee: int = 0


class _Open(BaseModel, frozen=True):
    id: str
    next_action_at: Instant


_Shown = TypeVar("_Shown", PaymentEntry, PaymentFigures)


class PaymentRepository:
    """The payments table, with the rows that must be written in one commit with a payment."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def prepare(self, claim: IdempotencyRecord) -> None:
        """Have the key at hand under which the claim's answer will be stored.

        Asked before any money moves: afterwards there must be no reason left not to write it down.
        Raises KeysUnavailable.
        """
        self._store.codec.prepare(claim)

    def begin(self, payment: Payment, claim: IdempotencyRecord, now: datetime) -> None:
        """First commit: the claim and the intent, before the processor is called.

        Raises AlreadyClaimed (judged first), NotFound for a customer that is not the merchant's.
        """
        writes: list[Write] = [claims.take(claim, now), put(payment).when(absent("id"))]
        if payment.customer_id is not None:
            owned = customer_of(payment.merchant_id)
            writes.append(check(Customer, {"id": payment.customer_id}, *owned))
        try:
            self._store.transact(writes, token=claim.owner)
        except TransactionRefused as refused:
            if 0 in refused.failed:
                raise AlreadyClaimed(self._claim(refused.failed[0])) from refused
            if 1 in refused.failed:
                raise StaleWrite("payments", f"{payment.id} exists") from refused
            raise NotFound(
                f"no customer {payment.customer_id}; create it first", param="customer_id"
            ) from refused

    def refuse(self, claim: IdempotencyRecord, now: datetime) -> None:
        """Store a refusal as the answer of its key. Raises AlreadyClaimed."""
        try:
            self._store.transact([claims.take(claim, now)], token=claim.owner)
        except TransactionRefused as refused:
            raise AlreadyClaimed(self._claim(refused.failed[0])) from refused

    def record_outcome(
        self,
        before: Payment,
        after: Payment,
        *,
        token: str,
        transaction: Transaction,
        transfer: Transfer | None,
        claim: IdempotencyRecord | None,
    ) -> None:
        """Second commit: payment, transaction, its booking and the stored answer together.

        If only the claim refuses, the rest is written without it: a charge that happened is always
        booked. Raises StaleWrite when somebody else holds the payment's lease.
        """
        writes: list[Write] = [_step(before, after), put(transaction).when(absent("id"))]
        if transfer is not None:
            writes.append(put(transfer).when(absent("id")))
        if claim is not None:
            writes.append(claims.complete(claim))
        try:
            self._store.transact(writes, token=token)
        except TransactionRefused as refused:
            if claim is None or set(refused.failed) != {len(writes) - 1}:
                raise StaleWrite("payments", f"{before.id} is not ours any more") from refused
            self._write_without_claim(writes[:-1], before, token)

    def advance(self, before: Payment, after: Payment, *, token: str) -> None:
        """One step of the payment alone. Raises StaleWrite when it is not as it was read."""
        try:
            self._store.transact([_step(before, after)], token=token)
        except TransactionRefused as refused:
            raise StaleWrite("payments", f"{before.id} is not ours any more") from refused

    def get(self, payment_id: str, scope: Scope) -> Payment | None:
        """The payment, strongly consistent."""
        return self._store.get(Payment, {"id": payment_id}, Payment, scope)

    def get_many(self, payment_ids: Sequence[str], scope: Scope) -> list[Payment]:
        """The payments that exist, in the given order; at most MAX_TRANSACTION_ITEMS ids."""
        return self._store.get_many(Payment, [{"id": each} for each in payment_ids], Payment, scope)

    def transactions_of(self, payment: Payment) -> list[Transaction]:
        """What the processor did for the payment, oldest first, strongly consistent."""
        keys = [{"id": each} for each in payment.transaction_ids]
        assert len(keys) <= MAX_TRANSACTIONS, f"{payment.id} has {len(keys)} transactions"
        owner = Scope(payment.merchant_id)
        return self._store.get_many(Transaction, keys, Transaction, owner) if keys else []

    def due(self, now: datetime, limit: int) -> list[str]:
        """Ids of up to `limit` open payments whose next action is due, oldest first."""
        found: list[_Open] = []
        for bucket in all_buckets(OPEN_QUEUE, OPEN_BUCKETS):
            conditions = (equals("open_bucket", bucket), at_most("next_action_at", to_instant(now)))
            rows = self._store.query(Payment, _Open, conditions, page_size=limit, index="gsi-open")
            found += islice(rows, limit)
        found.sort(key=lambda row: row.next_action_at)
        return [row.id for row in found[:limit]]

    def newest_first(
        self,
        buckets: Sequence[str],
        index: str,
        start: datetime,
        end: datetime,
        *,
        after_id: str | None,
        page_size: int,
    ) -> Iterator[PaymentEntry]:
        """Entries of one list index between two moments, merged over `buckets`, newest first."""
        ids = _ids_between(start, end, after_id)
        entries = self._merged(PaymentEntry, buckets, index, ids, page_size)
        return (entry for entry in entries if entry.id != after_id)

    def figures(
        self, buckets: Sequence[str], start: datetime, end: datetime, page_size: int
    ) -> Iterator[PaymentFigures]:
        """What a summary adds up, for the payments made between two moments."""
        ids = _ids_between(start, end)
        return self._merged(PaymentFigures, buckets, "gsi-merchant", ids, page_size)

    def _merged(
        self,
        view: type[_Shown],
        buckets: Sequence[str],
        index: str,
        ids: tuple[str, str],
        page_size: int,
    ) -> Iterator[_Shown]:
        low, high = ids
        if low > high:
            return iter(())
        key = Payment.table_schema.index(index).partition_key.name
        readers = [
            self._store.query(
                Payment,
                view,
                (equals(key, bucket), between("id", low, high)),
                page_size=page_size,
                index=index,
                newest_first=True,
            )
            for bucket in buckets
        ]
        return merge_newest_first(readers, key=lambda row: row.id)

    def _write_without_claim(self, writes: Sequence[Write], before: Payment, token: str) -> None:
        try:
            self._store.transact(writes, token=f"{token}-b")
        except TransactionRefused as refused:
            raise StaleWrite("payments", f"{before.id} is not ours any more") from refused

    def _claim(self, item: Any) -> IdempotencyRecord:
        return self._store.codec.to_row(IdempotencyRecord.table_schema, item, IdempotencyRecord)


def _ids_between(start: datetime, end: datetime, after_id: str | None = None) -> tuple[str, str]:
    """Lowest and highest id of the payments made between two moments, up to and with `after_id`."""
    low, high = lowest_id(_PREFIX, start), highest_id(_PREFIX, end)
    return low, high if after_id is None else min(high, after_id)


def _step(before: Payment, after: Payment) -> Update:
    """The payment's change, if it stands as it was read, under the lease it was read with."""
    conditions = [equals("version", before.version)]
    if after.status is not before.status:
        conditions.append(one_of("status", sources_of(after.status)))
    if before.lease_owner is not None:
        conditions.append(equals("lease_owner", before.lease_owner))
    return change(before, after).when(*conditions)
