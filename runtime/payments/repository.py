"""Reads and writes of payments and transactions."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from runtime.core.errors import AlreadyClaimed, FailedBefore, StaleWrite
from runtime.core.scope import Scope
from runtime.customers.lockout_repository import CountedAttempt
from runtime.customers.models import Customer
from runtime.customers.repository import CustomerLock, customer_refusal
from runtime.dynamodb.codec import Item
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Write, absent, change, equals, put
from runtime.dynamodb.optional_writes import LeftOut, OptionalWrites, commit
from runtime.dynamodb.store import Store
from runtime.idempotency import repository as claims
from runtime.idempotency.models import IdempotencyRecord
from runtime.ledger.booking import booked
from runtime.payments.models import MAX_TRANSACTIONS, Payment
from runtime.payments.rate_limits.repository import LimitReached, count_one
from runtime.payments.rate_limits.rules import Limit
from runtime.payments.transaction_models import Transaction
from runtime.payments.writes import (
    EventWrites,
    OutcomeWrites,
    begin_on_payment,
    customer_check,
    operation_step,
    payment_step,
)

_SAME_ID_PAGE = 10
"""Transactions that may have one processor id: a charge and its captures."""


class _Entry(BaseModel, frozen=True, defer_build=True):
    id: str


class OperationRefused(Exception):
    """A capture, refund or void is not allowed. `payment`: its current state."""

    def __init__(self, payment: Payment) -> None:
        super().__init__(f"{payment.id} does not allow it")
        self.payment = payment


class PaymentRepository:
    """The payments and transactions tables, with the rows committed together with them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def prepare(self, claim: IdempotencyRecord) -> None:
        """Load the data key that will encrypt the claim's answer. Raises KeysUnavailable.

        Called before any money moves, so that storing the answer cannot fail afterwards.
        """
        self._store.codec.prepare(claim)

    def begin(
        self,
        payment: Payment,
        claim: IdempotencyRecord,
        now: datetime,
        limits: Sequence[Limit] = (),
    ) -> None:
        """First commit: the claim and the intent, before the processor is called.

        Counts the payment in each of `limits`. Raises, in this order: AlreadyClaimed;
        LimitReached; NotFound for a customer that is not the merchant's, Locked; FailedBefore if
        the customer's last attempt failed and the payment's `follows_failure` is not set.
        """
        writes: list[Write] = [claims.take(claim, now), put(payment).when(absent("id"))]
        writes += [count_one(limit) for limit in limits]
        if payment.customer_id is not None:
            writes.append(customer_check(payment, payment.customer_id))
        token = f"{claim.owner}-b" if payment.follows_failure else claim.owner
        try:
            self._store.transact(writes, token=token, decisive=(0,))
        except TransactionRefused as refused:
            first = min(refused.failed)
            if first == 0:
                raise AlreadyClaimed(self._claim(refused.failed[0])) from refused
            if first == 1:
                raise StaleWrite("payments", f"{payment.id} exists") from refused
            if first - 2 < len(limits):
                raise LimitReached(limits[first - 2]) from refused
            raise self._customer_refusal(payment, refused.failed[first]) from refused

    def store_refusal(self, claim: IdempotencyRecord, now: datetime) -> None:
        """Store an error as the answer of its idempotency key. Raises AlreadyClaimed."""
        try:
            self._store.transact([claims.take(claim, now)], token=claim.owner)
        except TransactionRefused as refused:
            raise AlreadyClaimed(self._claim(refused.failed[0])) from refused

    def begin_operation(
        self, operation: Transaction, claim: IdempotencyRecord | None, now: datetime, *, token: str
    ) -> None:
        """First commit of a capture, refund or void: claim, pending transaction, ceilings.

        The ceiling is a condition of the write. The version is not, so that operations on one
        payment do not conflict. Raises AlreadyClaimed (checked first), OperationRefused.
        """
        writes: list[Write] = [begin_on_payment(operation), put(operation).when(absent("id"))]
        if claim is not None:
            writes.append(claims.take(claim, now))
        try:
            self._store.transact(writes, token=token, decisive=claims.claim_position(writes, claim))
        except TransactionRefused as refused:
            if claim is not None and len(writes) - 1 in refused.failed:
                raise AlreadyClaimed(self._claim(refused.failed[len(writes) - 1])) from refused
            if 0 not in refused.failed:
                raise StaleWrite("transactions", f"{operation.id} exists") from refused
            item = refused.failed[0]
            payment = self._store.codec.to_row(Payment.table_schema, item, Payment)
            raise OperationRefused(payment) from refused

    def record_action(
        self, before: Payment, after: Payment, claim: IdempotencyRecord | None, *, token: str
    ) -> None:
        """Record that a charge waits for its customer, and the open claim with what to do.

        The claim is left out if it is no longer open. Raises StaleWrite, KeysUnavailable.
        """
        optional = [] if claim is None else [LeftOut(claims.amend(claim))]
        step = payment_step(before, after)
        try:
            commit(self._store, [step], optional, token=token, decisive=(0,))
        except TransactionRefused as refused:
            raise StaleWrite("payments", f"{before.id} was changed meanwhile") from refused

    def record_outcome(
        self, writes: OutcomeWrites, answered: Sequence[IdempotencyRecord], *, token: str
    ) -> None:
        """Second commit: payment, transaction, posting and stored answers together.

        A charge that happened is always booked: the writes to the claims and the customer are
        optional, and are left out if their conditions fail. Raises StaleWrite with the table whose
        row was changed.
        """
        optional: list[OptionalWrites] = [LeftOut(claims.complete(claim)) for claim in answered]
        if writes.attempt is not None:
            optional.append(CountedAttempt(writes.attempt, self._store.codec))
        try:
            commit(
                self._store,
                writes.rendered(),
                optional,
                token=token,
                decisive=_decisive_write(writes),
            )
        except TransactionRefused as refused:
            raise _stale(writes, refused) from refused

    def record_event(
        self, writes: EventWrites, claim: IdempotencyRecord, now: datetime, *, token: str
    ) -> None:
        """Commit a processor event, once per `claim`. Raises AlreadyClaimed, StaleWrite."""
        items: list[Write] = [claims.take(claim, now), payment_step(writes.before, writes.after)]
        if writes.transfer is not None:
            items += booked(writes.transfer)
        if writes.transaction is not None:
            before, after = writes.transaction
            unchanged = equals("version", before.version), equals("status", before.status)
            items.append(change(before, after).when(*unchanged))
        try:
            self._store.transact(items, token=token, decisive=(0,))
        except TransactionRefused as refused:
            if 0 in refused.failed:
                raise AlreadyClaimed(self._claim(refused.failed[0])) from refused
            if 1 not in refused.failed and writes.transaction is not None:
                raise StaleWrite("transactions", "it was changed meanwhile") from refused
            raise StaleWrite("payments", f"{writes.before.id} was changed meanwhile") from refused

    def of_processor_id(self, processor_id: str, scope: Scope) -> Iterator[str]:
        """Ids of the payments in `scope` with a transaction that has this processor id."""
        key = equals("processor_id", processor_id)
        entries = self._store.query(
            Transaction, _Entry, [key], page_size=_SAME_ID_PAGE, index="gsi-processor"
        )
        for entry in entries:
            transaction = self.transaction(entry.id, scope)
            if transaction is not None:
                yield transaction.payment_id

    def advance(self, before: Payment, after: Payment, *, token: str) -> None:
        """Update the payment alone. Raises StaleWrite."""
        try:
            self._store.transact([payment_step(before, after)], token=token)
        except TransactionRefused as refused:
            raise StaleWrite("payments", f"{before.id} was changed meanwhile") from refused

    def advance_operation(self, before: Transaction, after: Transaction, *, token: str) -> None:
        """Update a pending operation alone. Raises StaleWrite."""
        try:
            self._store.transact([operation_step(before, after)], token=token)
        except TransactionRefused as refused:
            raise StaleWrite("transactions", f"{before.id} was changed meanwhile") from refused

    def transaction(self, transaction_id: str, scope: Scope) -> Transaction | None:
        """One transaction, strongly consistent."""
        return self._store.get(Transaction, {"id": transaction_id}, Transaction, scope)

    def get(self, payment_id: str, scope: Scope) -> Payment | None:
        """The payment, strongly consistent."""
        return self._store.get(Payment, {"id": payment_id}, Payment, scope)

    def get_many(self, payment_ids: Sequence[str], scope: Scope) -> list[Payment]:
        """The payments in `scope`, in the given order; at most MAX_TRANSACTION_ITEMS ids."""
        return self._store.get_many(Payment, [{"id": each} for each in payment_ids], Payment, scope)

    def operations(self, transaction_ids: Sequence[str], scope: Scope) -> list[Transaction]:
        """The transactions in `scope`, in the given order; at most MAX_TRANSACTION_ITEMS ids."""
        keys = [{"id": each} for each in transaction_ids]
        return self._store.get_many(Transaction, keys, Transaction, scope)

    def transactions_of(self, payment: Payment) -> list[Transaction]:
        """The payment's transactions, oldest first, strongly consistent.

        In batches, so that it can be read even if it has more than it should.
        """
        ids, owner = payment.transaction_ids, Scope(payment.merchant_id)
        starts = range(0, len(ids), MAX_TRANSACTIONS)
        batches = (ids[start : start + MAX_TRANSACTIONS] for start in starts)
        return [each for batch in batches for each in self.operations(batch, owner)]

    def _customer_refusal(self, payment: Payment, item: Item) -> Exception:
        assert payment.customer_id is not None, f"{payment.id} has no customer"
        codec = self._store.codec
        customer = codec.to_row(Customer.table_schema, item, CustomerLock) if item else None
        refusal = customer_refusal(
            customer, payment.customer_id, payment.merchant_id, payment.created_at
        )
        return refusal or FailedBefore(f"{payment.customer_id} has a failed attempt")

    def _claim(self, item: Any) -> IdempotencyRecord:
        return self._store.codec.to_row(IdempotencyRecord.table_schema, item, IdempotencyRecord)


def _decisive_write(writes: OutcomeWrites) -> tuple[int, ...]:
    """The position of the decisive write: the pending operation, or the payment."""
    return (0,) if writes.transaction_before is None else (1,)


def _stale(writes: OutcomeWrites, refused: TransactionRefused) -> StaleWrite:
    """The row that was changed. The transaction is checked first: it may be booked already."""
    if writes.transaction_before is not None and 1 in refused.failed:
        return StaleWrite("transactions", f"{writes.transaction.id} was changed meanwhile")
    return StaleWrite("payments", f"{writes.before.id} was changed meanwhile")
