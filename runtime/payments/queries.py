"""Read payments: a single payment, or a page of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from runtime.core.echo import echoed, quoted
from runtime.core.errors import InvalidValue
from runtime.core.scope import Scope
from runtime.core.timestamps import FIRST_DAY, end_of, start_of, to_timestamp
from runtime.customers.repository import CustomerRepository
from runtime.dynamodb.index_shards import all_buckets, reference_buckets
from runtime.http.caller import require_found
from runtime.http.pagination import (
    UNORDERED_CHUNK,
    Cursors,
    Slice,
    newest_of_chunk,
    read_in_batches,
    take_page,
)
from runtime.http.request_context import Call
from runtime.idempotency.rules import claim_key
from runtime.merchants.models import MerchantProfile
from runtime.merchants.profiles import MerchantProfiles
from runtime.payments.answers import PATH as PAYMENTS_PATH
from runtime.payments.answers import detail_of
from runtime.payments.api import PaymentAnswer, PaymentDetail, PaymentList, PaymentQuery
from runtime.payments.lists_repository import PaymentEntry, PaymentLists
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.operations.rules import are_consistent
from runtime.payments.processing_list import OpenEntry, ProcessingList
from runtime.payments.repository import PaymentRepository

FILTERED_PAGE = 100
ROW_BUDGET: Final = 300
"""Rows read for one page where the index does not show what the query filters by: each costs some
forty times as much as an index entry, of which READ_BUDGET are read."""
MAX_READS_AGAIN: Final = 4
"""Repeated reads of a payment and its transactions until both are consistent."""


@dataclass(frozen=True)
class PaymentReads:
    """Dependencies for reading payments."""

    payments: PaymentRepository
    lists: PaymentLists
    processing: ProcessingList
    merchants: MerchantProfiles
    customers: CustomerRepository
    cursors: Cursors


def get_payment(payment_id: str, call: Call, reads: PaymentReads) -> PaymentDetail:
    """A payment with its transactions, strongly consistent, from one state. Raises NotFound."""
    payment = _payment(payment_id, call, reads)
    transactions = reads.payments.transactions_of(payment)
    for _ in range(MAX_READS_AGAIN):
        if are_consistent(payment, transactions):
            break
        payment = _payment(payment_id, call, reads)
        if not are_consistent(payment, transactions):
            transactions = reads.payments.transactions_of(payment)
    return detail_of(payment, transactions)


def _payment(payment_id: str, call: Call, reads: PaymentReads) -> Payment:
    return require_found(reads.payments.get(payment_id, call.scope), "payment", payment_id)


def list_payments(query: PaymentQuery, call: Call, reads: PaymentReads) -> PaymentList:
    """A page of the merchant's payments, newest first. Raises BadCursor, InvalidValue, NotFound."""
    merchant = reads.merchants.require(call.caller.merchant(call.acting_for))
    if query.customer_id is not None:
        owner = reads.customers.owner(query.customer_id, Scope(merchant.id))
        require_found(owner, "customer", query.customer_id)
    start, end = window_of(query.start_date, query.end_date, call.now)
    cursor = reads.cursors.of(query, "payments", merchant.id)
    position = cursor.position
    if query.idempotency_key is not None:
        rows, next_position = _of_key(query, (start, end), position, merchant, reads)
    elif _index_shows_less(query):
        found = _of_rows(query, (start, end), position, merchant, reads)
        rows, next_position = [each.row for each in found.entries if each.row], found.next_position
    else:
        page = _of_list(query, (start, end), position, merchant, reads)
        ids, next_position = [entry.id for entry in page.entries], page.next_position
        rows = reads.payments.get_many(ids, Scope(merchant.id)) if ids else []
    answers = (PaymentAnswer.of(row) for row in rows if is_wanted(row, query))
    return PaymentList.from_items(answers, cursor.after(next_position))


@dataclass(frozen=True, slots=True)
class _Listed:
    """An index entry with its payment; None if that is not the merchant's."""

    entry: PaymentEntry
    row: Payment | None


def _of_rows(
    query: PaymentQuery,
    window: tuple[datetime, datetime],
    after: str | None,
    merchant: MerchantProfile,
    reads: PaymentReads,
) -> Slice[_Listed]:
    """A page of payments that are filtered by their rows."""

    def listed(entries: list[PaymentEntry]) -> Iterator[_Listed]:
        ids = [entry.id for entry in entries]
        rows = {row.id: row for row in reads.payments.get_many(ids, Scope(merchant.id))}
        return (_Listed(entry, rows.get(entry.id)) for entry in entries)

    entries = entries_of(query, window, after, merchant, reads, page_size=lambda _: FILTERED_PAGE)
    return take_page(
        read_in_batches(entries, listed, size=FILTERED_PAGE),
        limit=query.limit,
        position=lambda each: position_of(each.entry),
        matches=lambda each: each.row is not None and is_wanted(each.row, query),
        budget=ROW_BUDGET,
    )


def _of_list(
    query: PaymentQuery,
    window: tuple[datetime, datetime],
    after_id: str | None,
    merchant: MerchantProfile,
    reads: PaymentReads,
) -> Slice[PaymentEntry]:
    filters = (query.min_amount, query.max_amount, query.currency)
    filtered = any(each is not None for each in filters)
    entries = entries_of(
        query,
        window,
        after_id,
        merchant,
        reads,
        page_size=lambda _: FILTERED_PAGE if filtered else query.limit + 1,
    )
    return take_page(
        entries,
        limit=query.limit,
        position=position_of,
        matches=lambda entry: matches(entry, query),
    )


def _of_key(
    query: PaymentQuery,
    window: tuple[datetime, datetime],
    position: str | None,
    merchant: MerchantProfile,
    reads: PaymentReads,
) -> tuple[list[Payment], str | None]:
    """Payments made with one idempotency key. There are few, so the rows are filtered directly."""
    scope = claim_key(merchant.id, "POST", PAYMENTS_PATH, str(query.idempotency_key))
    page = newest_of_chunk(
        (scope,),
        lambda scope, start: reads.lists.of_scope(scope, start, UNORDERED_CHUNK),
        limit=query.limit,
        position=position,
    )
    rows = reads.payments.get_many(page.entries, Scope(merchant.id)) if page.entries else []
    first, last = (to_timestamp(moment) for moment in window)
    return [row for row in rows if first <= row.created_at <= last], page.next_position


def window_of(
    start_text: str | None, end_text: str | None, now: datetime
) -> tuple[datetime, datetime]:
    """The UTC period of start_date and end_date; by default it ends `now`. Raises InvalidValue."""
    start = _moment(start_of, start_text, "start_date") if start_text is not None else FIRST_DAY
    end = _moment(end_of, end_text, "end_date") if end_text is not None else now
    if start_text is not None and end_text is not None and start > end:
        raise InvalidValue(
            f"start_date {echoed(start_text)} must not be after end_date {echoed(end_text)}",
            param="start_date",
        )
    # Ids cannot contain a time before 1970.
    return max(start, FIRST_DAY), max(end, FIRST_DAY)


def _moment(read: Callable[[str], datetime], text: str, param: str) -> datetime:
    try:
        return read(text)
    except (ValueError, OverflowError) as error:
        raise InvalidValue(
            f"{param} must be a valid date or time; got {quoted(text)}", param=param
        ) from error


class ListReads(Protocol):
    """Reads of the lists of payments."""

    @property
    def lists(self) -> PaymentLists:
        """Reads of list indexes."""
        ...

    @property
    def processing(self) -> ProcessingList:
        """Reads of payments in processing."""
        ...


def entries_of(
    query: PaymentQuery,
    window: tuple[datetime, datetime],
    after: str | None,
    merchant: MerchantProfile,
    reads: ListReads,
    *,
    page_size: Callable[[int], int],
) -> Iterator[PaymentEntry]:
    """Entries that may match the query, newest first, after the position `after`.

    `page_size`: entries to request at once, for a number of index keys that are merged.
    """
    if _is_of_processing(query):
        return reads.processing.newest_first(merchant, *window, after_id=after)
    index, buckets = _index_for(query, merchant)
    size = page_size(len(buckets))
    return reads.lists.newest_first(buckets, index, *window, after_id=after, page_size=size)


def position_of(entry: PaymentEntry) -> str:
    """The position from which the list continues after an entry."""
    return entry.place if isinstance(entry, OpenEntry) else entry.id


def _index_for(query: PaymentQuery, merchant: MerchantProfile) -> tuple[str, tuple[str, ...]]:
    """The list index for a query, and the index keys that must be merged."""
    if query.reference is not None:
        return "gsi-reference", reference_buckets(
            merchant.id, query.reference, merchant.index_buckets
        )
    if query.customer_id is not None:
        return "gsi-customer", (query.customer_id,)
    if query.status not in (None, PaymentStatus.SUCCEEDED):
        name = f"{merchant.id}#{query.status}"
        return "gsi-merchant-status", all_buckets(name, merchant.index_buckets)
    return "gsi-merchant", all_buckets(merchant.id, merchant.index_buckets)


def _is_of_processing(query: PaymentQuery) -> bool:
    """Whether the queue of open payments has the list."""
    others = (query.reference, query.customer_id)
    return query.status is PaymentStatus.PROCESSING and others == (None, None)


def _index_shows_less(query: PaymentQuery) -> bool:
    """Whether the index for a query lacks an attribute that it filters by."""
    if query.reference is not None:
        return True
    of_merchant = query.status in (None, PaymentStatus.SUCCEEDED) and query.customer_id is None
    return query.currency is not None and not (of_merchant or _is_of_processing(query))


def matches(entry: PaymentEntry, query: PaymentQuery) -> bool:
    """Whether an index entry may match the query's filters, by the attributes that it has."""
    if isinstance(entry, OpenEntry) and not entry.is_listed:
        return False
    if entry.status is not None and query.status not in (None, entry.status):
        return False
    if entry.currency is not None and query.currency not in (None, entry.currency):
        return False
    return entry.amount is None or _is_between(entry.amount, query)


def is_wanted(row: Payment, query: PaymentQuery) -> bool:
    """Whether a payment has what the query filters by, except its time."""
    return (
        query.status in (None, row.status)
        and query.customer_id in (None, row.customer_id)
        and query.reference in (None, row.reference)
        and query.currency in (None, row.currency)
        and _is_between(row.amount, query)
    )


def _is_between(amount: int, query: PaymentQuery) -> bool:
    if query.min_amount is not None and amount < query.min_amount:
        return False
    return query.max_amount is None or amount <= query.max_amount
