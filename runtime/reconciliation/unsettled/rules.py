"""Transactions missing from settlement files after the deadline: lines and settlements. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from runtime.core.change_context import ChangeContext
from runtime.core.timestamps import to_timestamp
from runtime.merchants.models import MerchantProfile
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType
from runtime.payments.unsettled_ids import unsettled_settlement_id
from runtime.reconciliation.matching.flows import Amounts
from runtime.reconciliation.settlements.deltas import summed_counts, summed_types
from runtime.reconciliation.settlements.line_keys import (
    exception_bucket,
    exception_key,
    line_bucket,
    line_partition,
)
from runtime.reconciliation.settlements.models import (
    ExpectedAmounts,
    LineStatus,
    LineType,
    Settlement,
    SettlementFormat,
    SettlementLine,
    SettlementStatus,
    TypeTotal,
)

_LINE_TYPES: Final = {
    TransactionType.CAPTURE: LineType.CAPTURE,
    TransactionType.REFUND: LineType.REFUND,
}
_DAY: Final = timedelta(days=1)


def deadline(now: datetime, sla_days: int) -> datetime:
    """Transactions processed at this time or before must be in a settlement file by `now`."""
    return now - timedelta(days=sla_days)


def days_between(first: str, last: str) -> Iterator[str]:
    """The days from `first` to `last` (YYYY-MM-DD), both included, oldest first."""
    day, end = date.fromisoformat(first), date.fromisoformat(last)
    while day <= end:
        yield day.isoformat()
        day += _DAY


def waits_for_a_file(transaction: Transaction) -> bool:
    """Whether it is a capture or refund that took effect and is in no settlement file yet."""
    return (
        transaction.status is TransactionStatus.SUCCEEDED
        and transaction.type in _LINE_TYPES
        and transaction.unsettled_bucket is not None
    )


def is_due(transaction: Transaction, latest: datetime) -> bool:
    """Whether it was processed at `latest` or before, waits for a file, and is not missing yet."""
    return (
        waits_for_a_file(transaction)
        and transaction.missing_in is None
        and (transaction.processed_at or transaction.created_at) <= to_timestamp(latest)
    )


def booked_amounts(transaction: Transaction) -> Amounts:
    """The originally booked amounts of a capture or refund, signed like settlement lines."""
    if transaction.type is TransactionType.REFUND:
        return Amounts(amount=-transaction.amount)
    return Amounts(amount=transaction.amount, fee=transaction.fee - transaction.learned_fee)


def line_type(transaction: Transaction) -> LineType:
    """The type of its line in a file."""
    return _LINE_TYPES[transaction.type]


def missing_row(
    transaction: Transaction,
    line: int,
    day: str,
    merchant: MerchantProfile,
    context: ChangeContext,
    now: datetime,
) -> SettlementLine:
    """The line of a missing transaction: what we have booked, and no bookings of its own."""
    settlement_id = unsettled_settlement_id(merchant.id, day)
    at, ours = to_timestamp(now), booked_amounts(transaction)
    limit = merchant.reconciliation.sla_days
    return SettlementLine(
        settlement_bucket=line_partition(settlement_id, line),
        line=line,
        exception_bucket=exception_bucket(merchant.id, settlement_id, line, merchant.index_buckets),
        exception_key=exception_key(LineStatus.MISSING, day, settlement_id, line),
        transaction_id=transaction.id,
        settlement_id=settlement_id,
        status=LineStatus.MISSING,
        reason=f"not in any settlement file {limit} day{'' if limit == 1 else 's'} after {day}",
        type=line_type(transaction),
        payment_id=transaction.payment_id,
        processor_ids=() if transaction.processor_id is None else (transaction.processor_id,),
        amount=ours.amount,
        fee=ours.fee,
        net=ours.net,
        currency=transaction.currency,
        processed_date=day,
        expected=ExpectedAmounts(
            amount=ours.amount,
            fee=ours.fee,
            currency=transaction.currency,
            status=transaction.status,
        ),
        merchant_id=merchant.id,
        created_at=at,
        updated_at=at,
        **context.stamp(),
    )


def with_missing_lines(
    settlement: Settlement | None,
    lines: Sequence[SettlementLine],
    day: str,
    context: ChangeContext,
    now: datetime,
) -> Settlement:
    """The settlement of a day with more missing lines; a new one if there is none."""
    at = to_timestamp(now)
    owner = lines[0].merchant_id
    before = settlement or Settlement(
        id=unsettled_settlement_id(owner, day),
        merchant_id=owner,
        date=day,
        status=SettlementStatus.COMPLETED_WITH_EXCEPTIONS,
        format=SettlementFormat.UNSETTLED,
        source=SettlementFormat.UNSETTLED,
        sha256="",
        version=0,
        created_at=at,
        updated_at=at,
        **context.stamp(),
    )
    by_type = before.by_type
    for line in lines:
        by_type = summed_types(by_type, _total_of(line))
    buckets = {*before.line_buckets, *(line_bucket(line.line) for line in lines)}
    changes = {
        "status": SettlementStatus.COMPLETED_WITH_EXCEPTIONS,
        "completed_at": at,
        "counts": summed_counts(before.counts, Counter(line.status for line in lines)),
        "open_exceptions": before.open_exceptions + len(lines),
        "by_type": by_type,
        "line_buckets": tuple(sorted(buckets)),
        "lines_done": before.lines_done + len(lines),
    }
    return before.next_version(at, changes, context)


def _total_of(line: SettlementLine) -> dict[str, dict[str, TypeTotal]]:
    assert line.type is not None, "what is missing is a capture or a refund"
    assert line.currency is not None, "what is missing has been booked"
    amounts = {name: getattr(line, name) for name in ("amount", "fee", "net")}
    return {line.type: {line.currency: TypeTotal(count=1, **amounts)}}
