"""Reading payments: one, a page of them, their summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from runtime.contract.call import Call
from runtime.contract.caller import found
from runtime.contract.payments import (
    CurrencySummary,
    PaymentAnswer,
    PaymentDetail,
    PaymentList,
    PaymentQuery,
    PaymentSummary,
    SummaryQuery,
)
from runtime.domain.buckets import all_buckets
from runtime.domain.instants import end_of, start_of, to_instant
from runtime.domain.payment_operations import fit_together
from runtime.domain.summary import summarize
from runtime.errors import InvalidValue, SummaryTooLarge
from runtime.models.merchant import MerchantProfile
from runtime.models.payment import Payment, PaymentStatus
from runtime.models.scope import Scope
from runtime.repositories.customers import CustomerRepository
from runtime.repositories.payment_lists import PaymentEntry, PaymentLists
from runtime.repositories.payments import PaymentRepository
from runtime.services.merchant_profiles import MerchantProfiles
from runtime.services.pages import Cursors, take_page
from runtime.services.payment_answers import detail_of

MAX_SUMMARY_PAYMENTS = 50_000
"""Payments that one summary reads: some 8 MB of index entries, within the request's time."""
SUMMARY_PAGE = 1_000
FILTERED_PAGE = 100
MAX_READS_AGAIN: Final = 4
"""Of a payment and its transactions, by turns, until two that were read one after the other fit."""
_MONTH = timedelta(days=30)
_FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class PaymentArchive:
    """What reading payments works with."""

    payments: PaymentRepository
    lists: PaymentLists
    merchants: MerchantProfiles
    customers: CustomerRepository
    cursors: Cursors


def get_payment(payment_id: str, call: Call, archive: PaymentArchive) -> PaymentDetail:
    """A payment with its transactions, strongly consistent and of one moment. Raises NotFound."""
    payment = _payment(payment_id, call, archive)
    transactions = archive.payments.transactions_of(payment)
    for _ in range(MAX_READS_AGAIN):
        if fit_together(payment, transactions):
            break
        payment = _payment(payment_id, call, archive)
        if not fit_together(payment, transactions):
            transactions = archive.payments.transactions_of(payment)
    return detail_of(payment, transactions)


def _payment(payment_id: str, call: Call, archive: PaymentArchive) -> Payment:
    return found(archive.payments.get(payment_id, call.scope), "payment", payment_id)


def list_payments(query: PaymentQuery, call: Call, archive: PaymentArchive) -> PaymentList:
    """A page of the merchant's payments, newest first. Raises BadCursor, InvalidValue, NotFound."""
    merchant = archive.merchants.require(call.caller.merchant(call.acting_for))
    if query.customer_id is not None:
        owner = archive.customers.owner(query.customer_id, Scope(merchant.id))
        found(owner, "customer", query.customer_id)
    start, end = _window(query.start_date, query.end_date, call.now)
    after_id = archive.cursors.position(query, "payments", merchant.id)
    index, buckets = _index_for(query, merchant)
    filtered = query.min_amount is not None or query.max_amount is not None
    entries = archive.lists.newest_first(
        buckets,
        index,
        start,
        end,
        after_id=after_id,
        page_size=FILTERED_PAGE if filtered else query.limit + 1,
    )
    page = take_page(
        entries,
        limit=query.limit,
        position=lambda entry: entry.id,
        matches=lambda entry: _matches(entry, query),
    )
    ids = [entry.id for entry in page.entries]
    rows = archive.payments.get_many(ids, Scope(merchant.id)) if ids else []
    current = (row for row in rows if query.status in (None, row.status))
    cursor = archive.cursors.cursor(query, page.next_position, "payments", merchant.id)
    return PaymentList(
        data=tuple(PaymentAnswer.of(row) for row in current),
        has_more=cursor is not None,
        next_cursor=cursor,
    )


def summarize_payments(query: SummaryQuery, call: Call, archive: PaymentArchive) -> PaymentSummary:
    """Counts and sums of the merchant's payments between two days (default: 30 up to the end).

    Raises SummaryTooLarge beyond MAX_SUMMARY_PAYMENTS rather than answer with a part.
    """
    merchant = archive.merchants.require(call.caller.merchant(call.acting_for))
    start, end = _window(query.start_date, query.end_date, call.now)
    if query.start_date is None:
        start = max(start, start_of(to_instant(end - _MONTH)[:10]))
    buckets = all_buckets(merchant.id, merchant.index_buckets)
    figures = archive.lists.figures(buckets, start, end, SUMMARY_PAGE)
    summary = summarize(islice(figures, MAX_SUMMARY_PAYMENTS + 1))
    if summary.total_count > MAX_SUMMARY_PAYMENTS:
        raise SummaryTooLarge(
            f"there are more than {MAX_SUMMARY_PAYMENTS} payments between {to_instant(start)} and "
            f"{to_instant(end)}; ask for fewer days at a time",
            param="start_date",
        )
    return PaymentSummary(
        start_date=to_instant(start),
        end_date=to_instant(end),
        total_count=summary.total_count,
        by_status=dict(summary.by_status),
        by_currency={
            code: CurrencySummary.model_validate(total, from_attributes=True)
            for code, total in sorted(summary.by_currency.items())
        },
    )


def _window(
    start_text: str | None, end_text: str | None, now: datetime
) -> tuple[datetime, datetime]:
    start = _moment(start_of, start_text, "start_date") if start_text is not None else _FIRST_DAY
    end = _moment(end_of, end_text, "end_date") if end_text is not None else now
    if start_text is not None and end_text is not None and start > end:
        raise InvalidValue(
            f"start_date {start_text} is after end_date {end_text}", param="start_date"
        )
    # Ids cannot say a time before 1970, and no payment is older than the platform.
    return max(start, _FIRST_DAY), max(end, _FIRST_DAY)


def _moment(read: Callable[[str], datetime], text: str, param: str) -> datetime:
    try:
        return read(text)
    except (ValueError, OverflowError) as error:
        raise InvalidValue(f"{param} {text!r} is no day or time: {error}", param=param) from error


def _index_for(query: PaymentQuery, merchant: MerchantProfile) -> tuple[str, tuple[str, ...]]:
    if query.customer_id is not None:
        return "gsi-customer", (query.customer_id,)
    if query.status not in (None, PaymentStatus.SUCCEEDED):
        name = f"{merchant.id}#{query.status}"
        return "gsi-merchant-status", all_buckets(name, merchant.index_buckets)
    return "gsi-merchant", all_buckets(merchant.id, merchant.index_buckets)


def _matches(entry: PaymentEntry, query: PaymentQuery) -> bool:
    if entry.status is not None and query.status not in (None, entry.status):
        return False
    if query.min_amount is not None and entry.amount < query.min_amount:
        return False
    return query.max_amount is None or entry.amount <= query.max_amount
