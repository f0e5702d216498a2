"""The summary of a merchant's payments: whole days from its totals, parts of days from the index.

A year is a few hundred rows, however many payments it had (docs/decisions/0024).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Final

from runtime.core.errors import SummaryTooLarge
from runtime.core.ids import created_at
from runtime.core.timestamps import Days, in_days, start_of, to_timestamp
from runtime.dynamodb.index_shards import all_buckets
from runtime.http.request_context import Call
from runtime.merchants.models import MerchantProfile
from runtime.merchants.profiles import MerchantProfiles
from runtime.payments.api import CurrencySummary, DaySummary, PaymentSummary, SummaryQuery
from runtime.payments.lists_repository import PaymentFigures, PaymentLists
from runtime.payments.queries import window_of
from runtime.reporting.summary_rules import Summary
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
    by_day = _by_day(in_days(start, end, call.now), merchant, reads)
    summary = Summary()
    for each in by_day.values():
        summary.include(each)
    return PaymentSummary(
        start_date=to_timestamp(start),
        end_date=to_timestamp(end),
        total_count=summary.total_count,
        by_status=dict(summary.by_status),
        by_currency=_currencies(summary),
        by_day=None if query.interval is None else _shown(by_day),
    )


def _currencies(summary: Summary) -> dict[str, CurrencySummary]:
    return {
        code: CurrencySummary.model_validate(total, from_attributes=True)
        for code, total in sorted(summary.by_currency.items())
    }


def _shown(by_day: Mapping[str, Summary]) -> tuple[DaySummary, ...]:
    """The days with payments, oldest first."""
    return tuple(
        DaySummary(day=day, by_status=dict(each.by_status), by_currency=_currencies(each))
        for day, each in sorted(by_day.items())
        if each.total_count
    )


def _by_day(days: Days, merchant: MerchantProfile, reads: SummaryReads) -> Mapping[str, Summary]:
    by_day: defaultdict[str, Summary] = defaultdict(Summary)
    for payment in _of_parts(days, merchant, reads):
        by_day[_day_of(payment, days)].count(payment)
    if days.whole is not None:
        groups = reads.totals.by_group(merchant, *days.whole)
        for (day, currency), figures in groups.items():
            by_day[day].add(currency, figures)
    return by_day


def _day_of(payment: PaymentFigures, days: Days) -> str:
    """The UTC day in a payment's id."""
    try:
        return to_timestamp(created_at(payment.id))[:10]
    except ValueError:  # not an id of the platform: it is only known to sort into these days
        return to_timestamp(days.parts[0][0])[:10]


def _of_parts(
    days: Days, merchant: MerchantProfile, reads: SummaryReads
) -> Iterator[PaymentFigures]:
    """The payments of parts of days, as far as sums need them. Raises SummaryTooLarge."""
    buckets = all_buckets(merchant.id, merchant.index_buckets)
    parts: list[Iterator[PaymentFigures]] = [
        reads.lists.figures(buckets, start, end, PART_PAGE) for start, end in days.parts
    ]
    for number, payment in enumerate(chain.from_iterable(parts), start=1):
        if number > MAX_PART_PAYMENTS:
            within = " and ".join(f"{to_timestamp(s)} to {to_timestamp(e)}" for s, e in days.parts)
            raise SummaryTooLarge(
                f"There are more than {MAX_PART_PAYMENTS} payments in the parts of days {within}; "
                "ask for whole days or a shorter time",
                param="start_date",
            )
        yield payment
