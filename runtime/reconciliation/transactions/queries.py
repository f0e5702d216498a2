"""Reading transactions: one, and those of a payment, of a processor's id, or in a status."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from runtime.core.errors import InvalidValue
from runtime.core.scope import Scope
from runtime.core.timestamps import FIRST_DAY
from runtime.dynamodb.index_shards import all_buckets
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS
from runtime.http.caller import require_found
from runtime.http.pagination import Cursors, Slice, read_in_batches, take_page
from runtime.http.request_context import Call
from runtime.merchants.models import MerchantProfile
from runtime.merchants.profiles import MerchantProfiles
from runtime.payments.api import TransactionAnswer
from runtime.payments.lists_repository import PaymentLists
from runtime.payments.models import PaymentStatus
from runtime.payments.posting_ids import charge_transaction_id, payment_id_of_charge
from runtime.payments.repository import PaymentRepository
from runtime.payments.transaction_models import Transaction, TransactionStatus
from runtime.reconciliation.transactions.api import (
    LineOfTransaction,
    TransactionDetail,
    TransactionList,
    TransactionQuery,
)
from runtime.reconciliation.transactions.repository import TransactionLists

SAME_ID_READ: Final = 1_000
"""Transactions of one processor id that a list reads: a charge and its captures, at most as
many as a payment has, unless processors of several merchants give the same id."""
_WITHOUT_CHARGE: Final = (PaymentStatus.FAILED, PaymentStatus.CANCELED)
"""The statuses of payments whose charge may have failed."""
_FILTERS: Final = ("payment_id", "processor_id", "status")


@dataclass(frozen=True)
class TransactionReads:
    """Dependencies of reading transactions."""

    transactions: TransactionLists
    payments: PaymentRepository
    payment_lists: PaymentLists
    merchants: MerchantProfiles
    cursors: Cursors


def get_transaction(transaction_id: str, call: Call, reads: TransactionReads) -> TransactionDetail:
    """A transaction, strongly consistent, with its settlement lines. Raises NotFound.

    Its lines are found through an index, which may lag some seconds.
    """
    row = require_found(
        reads.payments.transaction(transaction_id, call.scope), "transaction", transaction_id
    )
    lines = reads.transactions.lines_of(row.id, Scope(row.merchant_id))
    shown = tuple(LineOfTransaction.of(line) for line in lines)
    return TransactionDetail.with_members(row, settlement_lines=shown)


def list_transactions(
    query: TransactionQuery, call: Call, reads: TransactionReads
) -> TransactionList:
    """A page of transactions, newest first.

    A list by status is of one merchant. Raises BadCursor, NotFound, InvalidValue.
    """
    given = [name for name in _FILTERS if getattr(query, name) is not None]
    if len(given) != 1:
        raise InvalidValue(
            "Filter by exactly one of payment_id, processor_id and status", param="payment_id"
        )
    whose = call.scope if query.status is None else Scope(call.caller.merchant(call.acting_for))
    cursor = reads.cursors.of(query, "transactions", whose.owner or "")
    ids = _ids(query, whose, cursor.position, call, reads)
    page = _page(ids, query, whose, reads)
    answers = map(TransactionAnswer.of, page.entries)
    return TransactionList.from_items(answers, cursor.after(page.next_position))


def _ids(
    query: TransactionQuery,
    whose: Scope,
    after_id: str | None,
    call: Call,
    reads: TransactionReads,
) -> Iterator[str]:
    """Ids of candidates, newest first, older than `after_id`."""
    if query.payment_id is not None:
        payment = require_found(
            reads.payments.get(query.payment_id, whose), "payment", query.payment_id
        )
        ids = sorted(payment.transaction_ids, reverse=True)
        return (each for each in ids if after_id is None or each < after_id)
    if query.processor_id is not None:
        return _of_processor_id(query.processor_id, after_id, reads)
    merchant = reads.merchants.require(whose.owner or "")
    return _in_status(query.status, merchant, after_id, call, reads)


def _page(
    ids: Iterator[str], query: TransactionQuery, whose: Scope, reads: TransactionReads
) -> Slice[Transaction]:
    """The rows behind `ids` that are in scope and match: no index contains the owner of a row."""
    size = MAX_TRANSACTION_ITEMS if query.status is not None else query.limit + 1
    rows = read_in_batches(
        ids,
        lambda batch: reads.payments.operations(batch, whose),
        size=min(size, MAX_TRANSACTION_ITEMS),
    )
    return take_page(
        rows,
        limit=query.limit,
        position=lambda row: row.id,
        matches=lambda row: (
            query.status in (None, row.status)
            and query.payment_id in (None, row.payment_id)
            and query.processor_id in (None, row.processor_id)
        ),
    )


def _of_processor_id(
    processor_id: str, after_id: str | None, reads: TransactionReads
) -> Iterator[str]:
    ids = reads.transactions.of_processor_id(processor_id, page_size=MAX_TRANSACTION_ITEMS)
    newest_first = sorted(islice(ids, SAME_ID_READ), reverse=True)
    return (each for each in newest_first if after_id is None or each < after_id)


def _in_status(
    status: TransactionStatus | None,
    merchant: MerchantProfile,
    after_id: str | None,
    call: Call,
    reads: TransactionReads,
) -> Iterator[str]:
    """Ids of the merchant's transactions that may have the status, newest first.

    Operations are in a list of their own. A charge is not, which saves a sale a write:
    its id derives from its payment's, and both have the same position in order of time.
    """
    buckets = all_buckets(merchant.id, merchant.index_buckets)
    operations = reads.transactions.operations(
        buckets, after_id=after_id, page_size=MAX_TRANSACTION_ITEMS
    )
    if status is TransactionStatus.PENDING:
        return operations  # A charge is written with its answer.
    failed = status is TransactionStatus.FAILED
    index = "gsi-merchant"
    if failed:
        # A charge that was canceled at the processor has failed, and its payment is canceled.
        names = (f"{merchant.id}#{status}" for status in _WITHOUT_CHARGE)
        index = "gsi-merchant-status"
        buckets = tuple(b for name in names for b in all_buckets(name, merchant.index_buckets))
    payments = reads.payment_lists.newest_first(
        buckets,
        index,
        FIRST_DAY,
        call.now,
        after_id=None if after_id is None else payment_id_of_charge(after_id),
        page_size=MAX_TRANSACTION_ITEMS,
    )
    charges = (
        charge_transaction_id(payment.id)
        for payment in payments
        if failed or payment.status is not PaymentStatus.FAILED
    )
    return heapq.merge(operations, charges, reverse=True)
