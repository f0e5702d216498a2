"""The list of open exceptions, expected transactions, and suggestions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runtime.core.errors import BadCursor, Forbidden, InvalidValue, NotFound
from runtime.http.pagination import Cursors
from runtime.merchants.models import MerchantProfile, ReconciliationTerms
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.exceptions import queries as exceptions
from runtime.reconciliation.exceptions.api import ExceptionAnswer, ExceptionList, ExceptionQuery
from runtime.reconciliation.exceptions.queries import ExceptionReads, list_exceptions
from runtime.reconciliation.settlements.lines_repository import SettlementLineRepository
from runtime.reconciliation.settlements.models import (
    LineStatus,
    LineType,
    Resolution,
    ResolutionAction,
)
from runtime.reconciliation.settlements.repository import SettlementRepository
from runtime.reconciliation.unsettled.repository import UnsettledRepository
from tests.support.platform import CURSOR_KEY, Platform, pages
from tests.support.reconciliation.exceptions import line_of, put_lines, settlement_of

DAY = timedelta(days=1).total_seconds()
IGNORED = Resolution(
    action=ResolutionAction.IGNORE, note="known", by="user", at="2026-01-01T00:00:00.000Z"
)


def reads(platform: Platform) -> ExceptionReads:
    return ExceptionReads(
        SettlementLineRepository(platform.store),
        SettlementRepository(platform.store),
        UnsettledRepository(platform.store),
        platform.profiles(),
        Cursors(lambda: CURSOR_KEY),
    )


def listed(platform: Platform, merchant: MerchantProfile, **query: Any) -> ExceptionList:
    return list_exceptions(ExceptionQuery(**query), platform.call(merchant), reads(platform))


def every(
    platform: Platform, merchant: MerchantProfile, limit: int = 100, **query: Any
) -> list[ExceptionAnswer]:
    """All pages; each but the last is full."""
    found: list[ExceptionAnswer] = []
    cursor = None
    while True:
        page = listed(platform, merchant, limit=limit, cursor=cursor, **query)
        found += page.data
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(page.data) == limit


def names(rows: list[ExceptionAnswer]) -> list[tuple[str | None, int | None]]:
    return [(row.settlement_id, row.line) for row in rows]


def day(platform: Platform, ago: int) -> str:
    return (platform.clock().date() - timedelta(days=ago)).isoformat()


def test_open_exceptions_of_all_settlements_are_listed_newest_day_first(platform: Platform) -> None:
    merchant = platform.merchant(index_buckets=3)
    statuses = (LineStatus.UNEXPECTED, LineStatus.AMOUNT_MISMATCH, LineStatus.INVALID)
    wanted = []
    for ago in (0, 3, 10):
        settlement = settlement_of(merchant, f"of{ago}", day(platform, ago))
        lines = [
            line_of(merchant, settlement, number, status)
            for number, status in enumerate([*statuses, LineStatus.MATCHED] * 2, start=2)
        ]
        resolved = line_of(merchant, settlement, 99, statuses[0], resolution=IGNORED)
        put_lines(platform, settlement, *lines, resolved)
        wanted += [
            (line.settlement_id, line.line, line.status, ago)
            for line in reversed(lines)
            if line.status is not LineStatus.MATCHED
        ]
    for limit in (1, 4, 100):
        found = every(platform, merchant, limit=limit)
        assert [(r.settlement_id, r.line, r.status, r.age_days) for r in found] == wanted
    for status in statuses:
        of_it = [each[:2] for each in wanted if each[2] is status]
        assert names(every(platform, merchant, limit=2, status=status)) == of_it
    for age in (1, 3, 4, 10, 11):
        old = [each for each in wanted if each[3] >= age]
        assert names(every(platform, merchant, min_age_days=age)) == [each[:2] for each in old]
        one = [each[:2] for each in old if each[2] is statuses[0]]
        assert names(every(platform, merchant, min_age_days=age, status=statuses[0])) == one
    of_one = every(platform, merchant, settlement_id="set_of3", limit=2)
    assert names(of_one) == [each[:2] for each in wanted if each[0] == "set_of3"]
    assert every(platform, merchant, settlement_id="set_of3", min_age_days=4) == []
    assert every(platform, merchant, type="refund") == []
    assert len(every(platform, merchant, type="capture", limit=5)) == len(wanted)


def test_a_merchant_sees_only_its_own_exceptions_and_an_operator_names_the_merchant(
    platform: Platform,
) -> None:
    mine, other = platform.merchant(), platform.merchant()
    settlement = settlement_of(mine, "mine", day(platform, 0))
    put_lines(platform, settlement, line_of(mine, settlement, 2, LineStatus.INVALID))
    assert every(platform, other) == []
    with pytest.raises(NotFound):
        every(platform, other, settlement_id="set_mine")
    query, call = ExceptionQuery(), platform.call(None, operator=True, acting_for=mine.id)
    (shown,) = list_exceptions(query, call, reads(platform)).data
    assert "write_off" in shown.actions  # which is for operators alone
    assert listed(platform, mine).data[0].actions == ("accept", "link", "ignore")
    with pytest.raises(InvalidValue):
        list_exceptions(query, platform.call(None, operator=True), reads(platform))
    unknown = platform.call(None, operator=True, acting_for="mer_unknown")
    with pytest.raises(NotFound):
        list_exceptions(query, unknown, reads(platform))
    with pytest.raises(Forbidden):
        list_exceptions(query, platform.call(mine, acting_for=other.id), reads(platform))


def test_a_cursor_is_valid_only_for_its_merchant_and_filters(platform: Platform) -> None:
    mine, other = platform.merchant(), platform.merchant()
    settlement = settlement_of(mine, "mine", day(platform, 0))
    lines = [line_of(mine, settlement, number, LineStatus.INVALID) for number in (2, 3)]
    put_lines(platform, settlement, *lines)
    cursor = listed(platform, mine, limit=1).next_cursor
    assert names(list(listed(platform, mine, cursor=cursor).data)) == [("set_mine", 2)]
    for merchant, query in (
        (other, {}),
        (mine, {"min_age_days": 1}),
        (mine, {"status": "invalid"}),
    ):
        with pytest.raises(BadCursor):
            listed(platform, merchant, cursor=cursor, **query)


def test_a_line_resolved_after_the_index_was_read_is_omitted(platform: Platform) -> None:
    merchant = platform.merchant()
    settlement = settlement_of(merchant, "one", day(platform, 0))
    lines = [line_of(merchant, settlement, number, LineStatus.INVALID) for number in (2, 3, 4)]
    put_lines(platform, settlement, *lines)
    stale = SettlementLineRepository(platform.store)

    class Lagging(SettlementLineRepository):
        def get_many(self, entries: Any, scope: Any) -> Any:
            platform.put(
                lines[1].model_copy(update={"exception_key": None, "exception_bucket": None})
            )
            return stale.get_many(entries, scope)

    late = exceptions.ExceptionReads(
        Lagging(platform.store),
        SettlementRepository(platform.store),
        UnsettledRepository(platform.store),
        platform.profiles(),
        Cursors(lambda: CURSOR_KEY),
    )
    page = list_exceptions(ExceptionQuery(limit=2), platform.call(merchant), late)
    assert names(list(page.data)) == [("set_one", 4), ("set_one", 2)]


def test_transactions_within_their_deadline_are_expected_without_a_stored_row(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = ReconciliationTerms(sla_days=3)
    merchant = platform.merchant(index_buckets=2, reconciliation=terms)
    made = []
    for _ in range(5):
        payment_id = platform.paid(merchant)
        made.append((payment_id, platform.clock().date().isoformat()))
        platform.clock.advance(DAY)
    platform.operate(merchant, made[-1][0], "refund", amount=300)
    found = every(platform, merchant, limit=1, status="expected")
    assert [row.type for row in found] == [LineType.REFUND, LineType.CAPTURE, LineType.CAPTURE]
    captures = found[1:]
    assert [(row.payment_id, row.processed_date) for row in captures] == made[:2:-1]
    assert [row.age_days for row in captures] == [1, 2]
    assert [(row.amount, row.fee, row.net) for row in found[:2]] == [
        (-300, 0, -300),
        (1000, 59, 941),
    ]
    assert {row.settlement_id for row in found} == {None}
    assert [r.age_days for r in every(platform, merchant, status="expected", min_age_days=2)] == [2]
    assert len(every(platform, merchant, status="expected", type="refund")) == 1
    monkeypatch.setattr(exceptions, "MOST_BUCKETS_READ", 2)
    cut = pages(lambda c: listed(platform, merchant, status="expected", cursor=c, limit=100))
    assert [row.transaction_id for page in cut for row in page.data] == [
        row.transaction_id for row in found
    ]


def test_an_unexpected_line_gets_suggestions_by_amount_and_day(platform: Platform) -> None:
    merchant = platform.merchant()
    settlement = settlement_of(merchant, "one", day(platform, 0))
    before = [platform.paid(merchant, amount=777), platform.paid(merchant, amount=500)]
    platform.clock.advance(DAY)
    today = platform.clock().date().isoformat()
    twice = [platform.paid(merchant, amount=500) for _ in range(2)]
    refund = platform.operate(merchant, twice[0], "refund", amount=100)
    assert refund.status == 200
    shapes: tuple[dict[str, Any], ...] = (
        {"amount": 777},
        {"amount": 500},
        {"amount": 501},
        {"amount": 777, "currency": "EUR"},
        {"amount": -100, "type": LineType.REFUND},
        {"amount": 777, "type": LineType.REFUND},
        {"amount": 9, "presented_amount": 777, "presented_currency": "USD"},
    )
    lines = [
        line_of(merchant, settlement, n, LineStatus.UNEXPECTED, processed_date=today, **shape)
        for n, shape in enumerate(shapes, start=2)
    ]
    other = line_of(merchant, settlement, 99, LineStatus.DUPLICATE, amount=777)
    put_lines(platform, settlement, *lines, other)
    found = {row.line: row.suggestion for row in every(platform, merchant)}
    payment_of = {row.id: row.payment_id for row in platform.rows(Transaction)}
    by_amount = found[2]
    assert by_amount is not None
    assert by_amount.payment_id == before[0] == payment_of[by_amount.transaction_id]
    assert by_amount.why == f"the only unsettled capture of 7.77 USD within 1 day of {today}"
    assert found[3] is not None
    assert (found[3].payment_id, found[3].why[:24]) == (twice[0], "one of 3 unsettled captu")
    assert found[6] is not None
    assert found[6].payment_id == twice[0]
    assert found[8] is not None
    assert found[8].payment_id == before[0]
    assert [found[n] for n in (4, 5, 7, 99)] == [None] * 4
