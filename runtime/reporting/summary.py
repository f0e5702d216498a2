"""The summary of a merchant's payments: whole days from its totals, parts of days from the index.

A year is a few hundred rows, however many payments it had (docs/decisions/0024).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, islice
from typing import Final

from runtime.core.errors import SummaryTooLarge
from runtime.core.timestamps import Days, in_days, start_of, to_timestamp
from runtime.dynamodb.index_shards import all_buckets
from runtime.http.request_context import Call
from runtime.merchants.models import MerchantProfile
from runtime.merchants.profiles import MerchantProfiles
from runtime.payments.api import CurrencySummary, PaymentSummary, SummaryQuery
from runtime.payments.lists_repository import PaymentFigures, PaymentLists
from runtime.payments.queries import window_of
from runtime.reporting.summary_rules import Summary, summarize
from runtime.reporting.totals.reader import TotalsReader

MAX_PART_PAYMENTS: Final = 50_000
"""Payments of parts of days that one summary reads: 8 MB of entries, in the request's time."""
PART_PAGE: Final = 1_000
_MONTH = timedelta(days=30)


@dataclass(frozen=True)
class SummaryReads:
    """Dependencies of summaries."""

    lists: PaymentLists
    merchants: MerchantProfiles
    totals: TotalsReader


def summarize_payments(query: SummaryQuery, call: Call, reads: SummaryReads) -> PaymentSummary:
    """Counts and sums of the merchant's payments between two days (default: the last 30 days).

    Raises SummaryTooLarge instead of a partial answer, if a window begins or ends within days
    of more than MAX_PART_PAYMENTS; Unavailable while days of the merchant are being folded.
    """
    merchant = reads.merchants.require(call.caller.merchant(call.acting_for))
    start, end = window_of(query.start_date, query.end_date, call.now)
    if query.start_date is None:
        start = max(start, start_of(to_timestamp(end - _MONTH)[:10]))
    days = in_days(start, end, call.now)
    summary = _of_parts(days, merchant, reads)
    if days.whole is not None:
        for currency, figures in reads.totals.by_currency(merchant, *days.whole).items():
            summary.add(currency, figures)
    return PaymentSummary(
        start_date=to_timestamp(start),
        end_date=to_timestamp(end),
        total_count=summary.total_count,
        by_status=dict(summary.by_status),
        by_currency={
            code: CurrencySummary.model_validate(total, from_attributes=True)
            for code, total in sorted(summary.by_currency.items())
        },
    )


def _of_parts(days: Days, merchant: MerchantProfile, reads: SummaryReads) -> Summary:
    buckets = all_buckets(merchant.id, merchant.index_buckets)
    parts: list[Iterator[PaymentFigures]] = [
        reads.lists.figures(buckets, start, end, PART_PAGE) for start, end in days.parts
    ]
    summary = summarize(islice(chain.from_iterable(parts), MAX_PART_PAYMENTS + 1))
    if summary.total_count > MAX_PART_PAYMENTS:
        within = " and ".join(f"{to_timestamp(s)} to {to_timestamp(e)}" for s, e in days.parts)
        raise SummaryTooLarge(
            f"There are more than {MAX_PART_PAYMENTS} payments in the parts of days {within}; "
            "ask for whole days or a shorter time",
            param="start_date",
        )
    return summary
