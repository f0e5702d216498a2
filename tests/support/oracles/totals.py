"""Payments that change at random, written as rows, and their expected totals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import bucket_for
from runtime.dynamodb.schema import TableSchema
from runtime.dynamodb.store import Store
from runtime.merchants.models import MerchantProfile
from runtime.payments.api import PaymentSummary, SummaryQuery
from runtime.payments.models import Payment, PaymentStatus
from runtime.reporting.summary import summarize_payments
from runtime.reporting.summary_rules import Summable, Summary
from runtime.reporting.totals.compaction import (
    CompactionDependencies,
    CompactionReport,
    compact_closed_days,
)
from runtime.reporting.totals.models import (
    COUNTED_ITEM,
    MARK_ITEM,
    CountedPayment,
    Figures,
    Group,
    Total,
)
from runtime.reporting.totals.projection import TotalsProjection
from runtime.reporting.totals.repository import TotalsRepository
from runtime.reporting.totals.rules import (
    added_up,
    contribution_of,
    figures_of,
    is_counted,
    merchant_group,
)
from runtime.streams.records import Change, Kind
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform

S = PaymentStatus
FIRST_OUTCOMES = (S.SUCCEEDED, S.SUCCEEDED, S.REQUIRES_CAPTURE, S.FAILED, S.UNKNOWN)


@dataclass
class ChangingPayments:
    """Writes payments and their changes without the services, each with the next version."""

    platform: Platform
    dice: Random
    merchants: Sequence[MerchantProfile]
    days: int = 5
    rows: dict[str, Payment] = field(default_factory=dict)

    def begin(self) -> Change:
        """A new payment, on one of the last days."""
        back = timedelta(days=self.dice.randrange(self.days))
        made = self.platform.clock() - back
        shop = self.dice.choice(self.merchants)
        payment = a_payment(
            shop,
            made,
            status=S.PROCESSING,
            merchant_bucket=None,
            amount=self.dice.randrange(1, 10**6),
            currency=self.dice.choice(["USD", "JPY"]),
        )
        return self._write(None, payment)

    def change(self) -> Change:
        """The next step of some payment, or a new one."""
        if not self.rows or self.dice.random() < 0.12:
            return self.begin()
        payment = self.dice.choice(list(self.rows.values()))
        shop = next(each for each in self.merchants if each.id == payment.merchant_id)
        changes = self._step(payment)
        status = changes.get("status", payment.status)
        if status is not S.PROCESSING and payment.merchant_bucket is None:
            changes["merchant_bucket"] = bucket_for(shop.id, payment.id, shop.index_buckets)
        after = payment.model_copy(update={**changes, "version": payment.version + 1})
        return self._write(payment, after)

    def _step(self, payment: Payment) -> dict[str, Any]:
        if self.dice.random() < 0.2:
            return {"description": f"version {payment.version + 1}"}  # nothing that is added up
        if payment.status in (S.PROCESSING, S.UNKNOWN):
            status = self.dice.choice(FIRST_OUTCOMES)
            fee = self.dice.randrange(9)
            captured = {"amount_captured": payment.amount, "fee": fee}
            return {"status": status, **(captured if status is S.SUCCEEDED else {})}
        if payment.status is S.REQUIRES_CAPTURE:
            return self._capture(payment)
        return self._refund(payment)

    def _capture(self, payment: Payment) -> dict[str, Any]:
        left = payment.amount - payment.amount_captured
        part = self.dice.randint(0, left)
        captured = payment.amount_captured + part
        if self.dice.random() < 0.5:
            return {"amount_captured": captured, "fee": payment.fee + 1}
        status = S.SUCCEEDED if captured else S.CANCELED
        return {"status": status, "amount_captured": captured}

    def _refund(self, payment: Payment) -> dict[str, Any]:
        """A refund, or one that failed later."""
        if payment.amount_refunded and self.dice.random() < 0.3:
            return {"amount_refunded": 0}
        most = payment.amount_captured - payment.amount_refunded
        return {"amount_refunded": payment.amount_refunded + self.dice.randint(0, most)}

    def _write(self, before: Payment | None, after: Payment) -> Change:
        self.platform.put(after)
        self.rows[after.id] = after
        return a_change(before, after)


def a_payment(merchant: MerchantProfile, made: datetime, **values: Any) -> Payment:
    """A payment's row; it has succeeded unless `values` say otherwise."""
    payment_id, at = new_id("pay", made), to_timestamp(made)
    return Payment(
        **{
            "id": payment_id,
            "merchant_id": merchant.id,
            "merchant_bucket": bucket_for(merchant.id, payment_id, merchant.index_buckets),
            "status": S.SUCCEEDED,
            "amount": 1000,
            "currency": "USD",
            "payment_method": "tok_approved",
            "processor": "sandbox",
            "created_at": at,
            "updated_at": at,
            **SETUP.stamp(),
            **values,
        }
    )


def a_change(old: Payment | None, new: Payment | None) -> Change:
    """The stream record; its sequence number encodes the payment and version."""
    row = new or old
    assert row is not None
    kind = Kind.INSERT if old is None else Kind.REMOVE if new is None else Kind.MODIFY
    return Change(kind, f"{row.id}@{row.version}", old, new)


def projection(platform: Platform, store: Store | None = None) -> TotalsProjection:
    """The projection on `store`."""
    return TotalsProjection(TotalsRepository(store or platform.store), platform.outside)


def count_all(platform: Platform) -> None:
    """Apply the stream records of every payment."""
    changes = [a_change(None, payment) for payment in platform.payments()]
    assert projection(platform)(changes) == frozenset()


def fold(
    platform: Platform, store: Store | None = None, must_stop: Callable[[], bool] = lambda: False
) -> CompactionReport:
    """One run of the schedule."""
    totals = TotalsRepository(store or platform.store)
    return compact_closed_days(CompactionDependencies(totals, platform.outside, must_stop))


# ------------------------------------------------------------ expected values


def recounted(payments: Iterable[Payment]) -> dict[Group, Figures]:
    """The expected totals, group by group."""
    groups: dict[Group, list[Figures]] = {}
    for payment in payments:
        if is_counted(payment):
            mine = groups.setdefault(merchant_group(payment), [])
            mine.append(figures_of(contribution_of(payment, payment.merchant_bucket or "")))
    return {group: added_up(each) for group, each in groups.items()}


def stored(platform: Platform) -> dict[Group, Figures]:
    """The stored totals, group by group."""
    groups: dict[Group, list[Figures]] = {}
    for row in total_rows(platform):
        groups.setdefault(row.group, []).append(row.figures())
    return {group: added_up(each) for group, each in groups.items()}


def total_rows(platform: Platform) -> list[Total]:
    """The rows of the sums alone."""
    return [row for row in platform.rows(Total) if row.item not in (COUNTED_ITEM, MARK_ITEM)]


def counted_rows(platform: Platform) -> dict[str, CountedPayment]:
    """The counted state of each payment."""
    schema, found = TableSchema.of(Total), {}
    pages = platform.client.get_paginator("scan").paginate(
        TableName=platform.tables["totals"], ConsistentRead=True
    )
    for page in pages:
        for item in page["Items"]:
            if item["item"]["S"] == COUNTED_ITEM:
                row = platform.store.codec.to_row(schema, item, CountedPayment)
                found[row.id] = row
    return found


def totals_must_be_exact(platform: Platform) -> None:
    """Each group's rows and each payment's counted state match the payments."""
    payments = platform.payments()
    assert stored(platform) == recounted(payments)
    counted = counted_rows(platform)
    assert counted.keys() == {payment.id for payment in payments if is_counted(payment)}
    for payment in payments:
        if payment.id in counted:
            mine = counted[payment.id]
            assert figures_of(mine) == figures_of(contribution_of(payment, mine.bucket)), mine
            assert mine.version <= payment.version


def summarize(payments: Iterable[Summable]) -> Summary:
    """Count and add up payments one by one."""
    summary = Summary()
    for payment in payments:
        summary.count(payment)
    return summary


def must_say_each_day(
    reported: PaymentSummary,
    payments: Iterable[Payment],
    merchant: MerchantProfile,
    start: datetime,
    end: datetime,
) -> None:
    """The days of an answer match the sums over the payments of each day, oldest first."""
    mine = [each for each in payments if each.merchant_id == merchant.id]
    days = sorted({each.created_at[:10] for each in mine})
    truth = {
        day: truth_of([each for each in mine if each.created_at[:10] == day], merchant, start, end)
        for day in days
    }
    wanted = {day: each for day, each in truth.items() if each.total_count}
    assert reported.by_day is not None
    assert [each.day for each in reported.by_day] == list(wanted)
    for each in reported.by_day:
        whole = {"start_date": reported.start_date, "end_date": reported.end_date}
        count = sum(each.by_status.values())
        shown = PaymentSummary(**whole, total_count=count, **each.model_dump(exclude={"day"}))
        must_say(shown, wanted[each.day])


def must_say(reported: PaymentSummary, truth: Summary) -> None:
    """An answer matches the sum over all payments."""
    assert (reported.total_count, reported.by_status) == (truth.total_count, dict(truth.by_status))
    assert set(reported.by_currency) == set(truth.by_currency)
    for code, sums in truth.by_currency.items():
        names = ("count", "captured", "refunded", "fees", "net", "average")
        assert [getattr(reported.by_currency[code], name) for name in names] == [
            getattr(sums, name) for name in names
        ]


def summary_of(platform: Platform, merchant: MerchantProfile, **query: str) -> PaymentSummary:
    """GET /v1/payments/summary."""
    return summarize_payments(
        SummaryQuery(**query), platform.call(merchant), platform.summary_reads()
    )


def truth_of(
    payments: Iterable[Payment],
    merchant: MerchantProfile,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Summary:
    """The sum of a merchant's payments that are in its lists, made between two moments."""
    low, high = (to_timestamp(each) if each else None for each in (start, end))
    return summarize(
        payment
        for payment in payments
        if payment.merchant_id == merchant.id
        and is_counted(payment)
        and (low is None or payment.created_at >= low)
        and (high is None or payment.created_at <= high)
    )
