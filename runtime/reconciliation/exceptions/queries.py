"""Open exceptions of a merchant across all its settlements, and expected transactions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Final

from runtime.core.scope import Scope
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import unsettled_buckets
from runtime.http.caller import Caller, require_found
from runtime.http.pagination import Cursors, take_page
from runtime.http.request_context import Call
from runtime.merchants.models import MerchantProfile
from runtime.merchants.profiles import MerchantProfiles
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.exceptions.api import ExceptionAnswer, ExceptionList, ExceptionQuery
from runtime.reconciliation.exceptions.rules import actions_for
from runtime.reconciliation.exceptions.suggestions import Suggestions
from runtime.reconciliation.settlements.line_keys import (
    EXCEPTION_STATUSES,
    exception_buckets,
    exception_range,
    newest_day,
    read_exception_key,
)
from runtime.reconciliation.settlements.lines_repository import (
    ExceptionEntry,
    SettlementLineRepository,
)
from runtime.reconciliation.settlements.models import (
    ExpectedAmounts,
    LineStatus,
    ResolutionAction,
    SettlementLine,
)
from runtime.reconciliation.settlements.repository import SettlementRepository
from runtime.reconciliation.unsettled.repository import UnsettledRepository
from runtime.reconciliation.unsettled.rules import (
    booked_amounts,
    deadline,
    line_type,
    waits_for_a_file,
)

ROWS_AT_ONCE: Final = 100
"""Rows of one read call: DynamoDB's limit."""
MOST_BUCKETS_READ: Final = 512
"""Buckets of days read for one page of expected transactions; a page that finds too few
in them is shorter, and its cursor goes on."""


@dataclass(frozen=True)
class ExceptionReads:
    """Dependencies of listing exceptions."""

    lines: SettlementLineRepository
    settlements: SettlementRepository
    unsettled: UnsettledRepository
    merchants: MerchantProfiles
    cursors: Cursors


def list_exceptions(query: ExceptionQuery, call: Call, reads: ExceptionReads) -> ExceptionList:
    """A page of a merchant's open exceptions, newest day first. Raises NotFound, BadCursor.

    `status=expected` lists transactions in no file yet and within the deadline: not exceptions.
    """
    merchant = reads.merchants.require(call.caller.merchant(call.acting_for))
    cursor = reads.cursors.of(query, "exceptions", merchant.id)
    read = _expected if query.status is LineStatus.EXPECTED else _open
    answers, next_position = read(query, cursor.position, merchant, call, reads)
    return ExceptionList.from_items(answers, cursor.after(next_position))


_Answers = tuple[tuple[ExceptionAnswer, ...], str | None]


def _open(
    query: ExceptionQuery,
    position: str | None,
    merchant: MerchantProfile,
    call: Call,
    reads: ExceptionReads,
) -> _Answers:
    today = call.now.date()
    ranges = _ranges(query, merchant, today, reads)
    entries = reads.lines.exceptions(
        exception_buckets(merchant.id, merchant.index_buckets),
        ranges,
        after=position,
        page_size=min(query.limit + 1, ROWS_AT_ONCE),
    )
    page = take_page(
        _with_rows(entries, merchant, query.limit + 1, reads),
        limit=query.limit,
        position=lambda pair: pair[0].order,
        matches=lambda pair: pair[1] is not None and query.type in (None, pair[1].type),
    )
    suggestions = Suggestions(reads.unsettled, merchant)
    rows = [row for _, row in page.entries if row is not None]
    answers = (_answer(row, call.caller, today, suggestions) for row in rows)
    return tuple(answers), page.next_position


def _ranges(
    query: ExceptionQuery, merchant: MerchantProfile, today: date, reads: ExceptionReads
) -> list[tuple[LineStatus, tuple[str, str]]]:
    """Keys to read for each status."""
    statuses = EXCEPTION_STATUSES if query.status is None else (query.status,)
    if query.settlement_id is None:
        newest = newest_day(today, query.min_age_days) if query.min_age_days else None
        return [(status, exception_range(status, newest_day=newest)) for status in statuses]
    stored = reads.settlements.get(query.settlement_id, Scope(merchant.id))
    settlement = require_found(stored, "settlement", query.settlement_id)
    if query.min_age_days and settlement.date > newest_day(today, query.min_age_days):
        return []
    of = (settlement.date, settlement.id)
    return [(status, exception_range(status, settlement=of)) for status in statuses]


def _with_rows(
    entries: Iterator[ExceptionEntry], merchant: MerchantProfile, first: int, reads: ExceptionReads
) -> Iterator[tuple[ExceptionEntry, SettlementLine | None]]:
    """The entries with their lines; None for a line that is not such an exception any more."""
    size = min(first, ROWS_AT_ONCE)
    while some := list(islice(entries, size)):
        rows = reads.lines.get_many(some, Scope(merchant.id))
        by_key = {(row.settlement_bucket, row.line): row for row in rows}
        for entry in some:
            row = by_key.get((entry.settlement_bucket, entry.line))
            as_listed = row is not None and row.exception_key == entry.exception_key
            yield entry, row if as_listed else None
        size = ROWS_AT_ONCE


def _answer(
    row: SettlementLine, caller: Caller, today: date, suggestions: Suggestions
) -> ExceptionAnswer:
    assert row.exception_key is not None, f"{row.settlement_id}, line {row.line} is listed"
    key = read_exception_key(row.exception_key)
    return ExceptionAnswer.with_members(
        row,
        age_days=key.age_days(today),
        actions=tuple(
            each
            for each in actions_for(row)
            if caller.is_operator or each is not ResolutionAction.WRITE_OFF
        ),
        suggestion=suggestions.of(row, key.day),
    )


# -------------------------------------------------------------------- expected transactions


def _expected(
    query: ExceptionQuery,
    position: str | None,
    merchant: MerchantProfile,
    call: Call,
    reads: ExceptionReads,
) -> _Answers:
    """Newest day first, a day's transactions newest first. A position is `day#transaction`."""
    if query.settlement_id is not None:
        return (), None  # an expected transaction is in no settlement yet
    earliest = to_timestamp(deadline(call.now, merchant.reconciliation.sla_days))
    newest = newest_day(call.now.date(), query.min_age_days)
    walk = _Walk(merchant, earliest[:10], newest, position, reads)
    page = take_page(
        walk.entries(),
        limit=query.limit,
        position=lambda pair: f"{pair[0]}#{pair[1].id}",
        matches=lambda pair: (
            waits_for_a_file(pair[1])
            and pair[1].missing_in is None
            and _processed_at(pair[1]) > earliest
            and query.type in (None, line_type(pair[1]))
        ),
    )
    answers = tuple(_expected_answer(row, day, call.now.date()) for day, row in page.entries)
    return answers, page.next_position or walk.left_off


class _Walk:
    """Walks back over the days on which transactions began to wait."""

    def __init__(
        self,
        merchant: MerchantProfile,
        earliest: str,
        newest: str,
        position: str | None,
        reads: ExceptionReads,
    ) -> None:
        self._merchant, self._earliest, self._reads = merchant, earliest, reads
        day, _, after = (position or f"{newest}#").partition("#")
        self._day, self._after = day, after or None
        self.left_off: str | None = None
        """The position to continue from, if it ended before the earliest day."""

    def entries(self) -> Iterator[tuple[str, Transaction]]:
        """Transactions with their days."""
        unsettled, read = self._reads.unsettled, 0
        while self._day >= self._earliest:
            if read >= MOST_BUCKETS_READ:
                self.left_off = f"{self._day}#{self._after or ''}"
                return
            entries = unsettled.of_day(
                self._merchant, self._day, page_size=ROWS_AT_ONCE, before_id=self._after
            )
            while ids := [entry.id for entry in islice(entries, ROWS_AT_ONCE)]:
                for row in unsettled.transactions(ids, Scope(self._merchant.id)):
                    yield self._day, row
            read += unsettled_buckets(self._merchant.index_buckets)
            before = date.fromisoformat(self._day) - timedelta(days=1)
            self._day, self._after = before.isoformat(), None


def _processed_at(transaction: Transaction) -> str:
    return transaction.processed_at or transaction.created_at


def _expected_answer(transaction: Transaction, day: str, today: date) -> ExceptionAnswer:
    ours = booked_amounts(transaction)
    return ExceptionAnswer(
        settlement_id=None,
        line=None,
        file_id=None,
        file_line=None,
        type=line_type(transaction),
        category=None,
        status=LineStatus.EXPECTED,
        reason=None,
        payment_id=transaction.payment_id,
        transaction_id=transaction.id,
        dispute_id=None,
        processor_ids=() if transaction.processor_id is None else (transaction.processor_id,),
        amount=ours.amount,
        fee=ours.fee,
        net=ours.net,
        currency=transaction.currency,
        presented_amount=None,
        presented_currency=None,
        processed_date=_processed_at(transaction)[:10],
        settlement_date=None,
        expected=ExpectedAmounts(
            amount=ours.amount,
            fee=ours.fee,
            currency=transaction.currency,
            status=transaction.status,
        ),
        resolution=None,
        version=transaction.version,
        created_at=transaction.created_at,
        updated_at=transaction.updated_at,
        age_days=max((today - date.fromisoformat(day)).days, 0),
        actions=(),
    )
