"""Lists: every payment exactly once, newest first, for any page size and number of buckets."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from runtime.core.errors import BadCursor, InvalidValue, NotFound
from runtime.merchants.models import MerchantProfile
from runtime.payments.api import PaymentQuery, SummaryQuery
from runtime.payments.models import PaymentStatus
from runtime.payments.queries import get_payment, list_payments
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.settlements.api import LineQuery, SettlementQuery
from runtime.reconciliation.settlements.line_keys import line_bucket, line_partition
from runtime.reconciliation.settlements.models import Settlement, SettlementLine
from runtime.reconciliation.settlements.queries import get_settlement, list_lines, list_settlements
from runtime.reporting.summary import summarize_payments
from tests.support.oracles.totals import count_all
from tests.support.platform import Platform, pages, settlement_file, settlement_key, settlement_line

HOW_MANY = 23


@pytest.fixture(params=[1, 16])
def shop(request: pytest.FixtureRequest, platform: Platform) -> MerchantProfile:
    return platform.merchant(index_buckets=request.param)


def listed(platform: Platform, merchant: MerchantProfile, **query: Any) -> list[str]:
    """Ids of the whole list, page by page."""

    def read(cursor: str | None) -> Any:
        asked = PaymentQuery(cursor=cursor, **query)
        return list_payments(asked, platform.call(merchant), platform.payment_reads())

    ids = [row.id for page in pages(read) for row in page.data]
    assert [id_ for id_, times in Counter(ids).items() if times > 1] == []
    return ids


@pytest.mark.parametrize("limit", [1, 2, 5, HOW_MANY - 1, HOW_MANY, HOW_MANY + 1, 100])
def test_pages_of_any_size_contain_every_payment_once_newest_first(
    either_world: Platform, limit: int
) -> None:
    for buckets in (1, 16):
        merchant = either_world.merchant(index_buckets=buckets)
        for _ in range(HOW_MANY):
            either_world.pay(merchant)
        mine = [row.id for row in either_world.payments() if row.merchant_id == merchant.id]
        assert listed(either_world, merchant, limit=limit) == sorted(mine, reverse=True)


def test_payments_made_while_a_list_is_read_neither_repeat_nor_hide_older_ones(
    platform: Platform, shop: MerchantProfile
) -> None:
    for _ in range(HOW_MANY):
        platform.pay(shop)
    older = {row.id for row in platform.payments()}

    def read(cursor: str | None) -> Any:
        query = PaymentQuery(cursor=cursor, limit=3)
        page = list_payments(query, platform.call(shop), platform.payment_reads())
        platform.pay(shop)
        platform.pay(shop, payment_method="tok_declined")
        return page

    ids = [row.id for page in pages(read) for row in page.data]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == len(set(ids))
    assert older <= set(ids)


def _sell_in_many_ways(platform: Platform, shop: MerchantProfile, customers: list[str]) -> None:
    """Payments over days, no two of which agree in everything."""
    tokens = ["tok_approved", "tok_declined", "tok_timeout"]
    for n in range(18):
        platform.pay(
            shop,
            amount=100 * (n + 1),
            payment_method=tokens[n % 3],
            customer_id=[*customers, None][n % 4 % 3],
            currency=["USD", "EUR"][n % 5 % 2],
            reference=[None, "order 17", "order 17#000"][n % 7 % 3],
        )
        platform.clock.advance(6 * 3600)


def test_filters_by_status_amount_date_and_customer_match_a_full_scan(
    platform: Platform, shop: MerchantProfile
) -> None:
    customers = [platform.customer(shop, f"c{n}@example.com") for n in range(2)]
    _sell_in_many_ways(platform, shop, customers)
    rows = sorted(platform.payments(), key=lambda row: row.id, reverse=True)
    days = sorted({row.created_at[:10] for row in rows})
    moment = rows[7].created_at
    filters: list[tuple[dict[str, Any], Any]] = [
        ({"status": status}, lambda r, s=status: r.status == s) for status in PaymentStatus
    ]
    filters += [({"customer_id": c}, lambda r, c=c: r.customer_id == c) for c in customers]
    filters += [
        ({"min_amount": 500}, lambda r: r.amount >= 500),
        ({"max_amount": 500}, lambda r: r.amount <= 500),
        ({"min_amount": 500, "max_amount": 900}, lambda r: 500 <= r.amount <= 900),
        ({"start_date": days[1]}, lambda r: r.created_at[:10] >= days[1]),
        ({"end_date": days[1]}, lambda r: r.created_at[:10] <= days[1]),
        ({"start_date": days[1], "end_date": days[1]}, lambda r: r.created_at[:10] == days[1]),
        ({"start_date": moment}, lambda r: r.created_at >= moment),
        ({"end_date": moment}, lambda r: r.created_at <= moment),
        (
            {"customer_id": customers[0], "status": "failed", "min_amount": 300},
            lambda r: r.customer_id == customers[0] and r.status == "failed" and r.amount >= 300,
        ),
        *(({"currency": c}, lambda r, c=c: r.currency == c) for c in ("USD", "EUR", "JPY")),
        *(
            ({"reference": name}, lambda r, name=name: r.reference == name)
            for name in ("order 17", "order 17#000", "order 1", "ORDER 17")
        ),
        (
            {"reference": "order 17", "start_date": days[1], "currency": "USD"},
            lambda r: (
                r.reference == "order 17" and r.created_at[:10] >= days[1] and r.currency == "USD"
            ),
        ),
        *(
            (
                {"currency": "EUR", "status": status, "reference": reference},
                lambda r, s=status, n=reference: (
                    r.currency == "EUR" and r.status == s and n in (None, r.reference)
                ),
            )
            for status in PaymentStatus
            for reference in (None, "order 17")
        ),
        (
            {"currency": "EUR", "customer_id": customers[0], "max_amount": 1200},
            lambda r: r.currency == "EUR" and r.customer_id == customers[0] and r.amount <= 1200,
        ),
        (
            {"status": "succeeded", "start_date": days[2], "max_amount": 1500},
            lambda r: r.status == "succeeded" and r.created_at[:10] >= days[2] and r.amount <= 1500,
        ),
    ]
    found_something = 0
    for query, keep in filters:
        expected = [row.id for row in rows if keep(row)]
        for limit in (2, 100):
            assert listed(platform, shop, limit=limit, **query) == expected, query
        found_something += bool(expected)
    assert found_something >= 20


def test_payments_of_one_reference_are_the_merchants_own(platform: Platform) -> None:
    shop, other = platform.merchant(), platform.merchant()
    for merchant in (shop, other):
        platform.pay(merchant, reference="17")
    (mine,) = listed(platform, shop, reference="17")
    assert next(row for row in platform.payments() if row.id == mine).merchant_id == shop.id


def test_a_page_that_rows_are_read_for_ends_after_a_budget_and_goes_on(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.payments.queries.ROW_BUDGET", 4)
    shop = platform.merchant()
    wanted = platform.paid(shop, reference="one for all", currency="EUR")
    for _ in range(HOW_MANY):
        platform.pay(shop, reference="one for all")
    query = PaymentQuery(reference="one for all", currency="EUR")
    page = list_payments(query, platform.call(shop), platform.payment_reads())
    assert (page.data, page.has_more) == ((), True)
    assert listed(platform, shop, reference="one for all", currency="EUR") == [wanted]


def test_one_reference_for_all_payments_is_spread_like_the_merchants_list(
    platform: Platform, shop: MerchantProfile
) -> None:
    for _ in range(HOW_MANY):
        platform.pay(shop, reference="donation")
    rows = platform.payments()
    numbers = [(str(row.merchant_bucket)[-4:], str(row.reference_bucket)[-4:]) for row in rows]
    assert all(in_list == in_reference for in_list, in_reference in numbers)
    assert (len(set(numbers)) > 1) == (shop.index_buckets > 1)


def test_a_foreign_or_unknown_customer_is_not_found(platform: Platform) -> None:
    shop, other = platform.merchant(), platform.merchant()
    foreign = platform.customer(other)
    for customer in (foreign, "cus_unknown"):
        with pytest.raises(NotFound):
            listed(platform, shop, customer_id=customer)


def test_another_merchants_payments_are_in_no_list_and_are_not_found(platform: Platform) -> None:
    shop, other = platform.merchant(), platform.merchant()
    platform.pay(other)
    foreign = platform.payment().id
    assert listed(platform, shop) == []
    with pytest.raises(NotFound):
        get_payment(foreign, platform.call(shop), platform.payment_reads())
    seen = get_payment(foreign, platform.call(None, operator=True), platform.payment_reads())
    assert seen.id == foreign


def test_an_operator_must_name_the_merchant_of_a_list(platform: Platform) -> None:
    shop = platform.merchant()
    platform.pay(shop)
    call = platform.call(None, operator=True, acting_for=shop.id)
    assert len(list_payments(PaymentQuery(), call, platform.payment_reads()).data) == 1
    with pytest.raises(InvalidValue) as refused:
        list_payments(PaymentQuery(), platform.call(None, operator=True), platform.payment_reads())
    assert refused.value.param == "merchant_id"


def test_a_cursor_is_valid_only_for_its_own_merchant_and_filters(platform: Platform) -> None:
    shop, other = platform.merchant(), platform.merchant()
    for merchant in (shop, shop, other, other):
        platform.pay(merchant)
    payment_reads = platform.payment_reads()
    cursor = list_payments(PaymentQuery(limit=1), platform.call(shop), payment_reads).next_cursor
    assert cursor
    again = list_payments(PaymentQuery(limit=2, cursor=cursor), platform.call(shop), payment_reads)
    assert len(again.data) == 1, "the page size may change"
    with pytest.raises(BadCursor):
        list_payments(PaymentQuery(cursor=cursor), platform.call(other), payment_reads)
    with pytest.raises(BadCursor):
        list_payments(
            PaymentQuery(cursor=cursor, status="succeeded"), platform.call(shop), payment_reads
        )
    for other_filter in ({"currency": "USD"}, {"reference": "17"}):
        with pytest.raises(BadCursor):
            list_payments(
                PaymentQuery(cursor=cursor, **other_filter), platform.call(shop), payment_reads
            )
    with pytest.raises(BadCursor):
        list_settlements(
            SettlementQuery(cursor=cursor), platform.call(shop), platform.settlement_reads()
        )


def test_a_payment_read_by_id_shows_its_transactions_at_once(platform: Platform) -> None:
    shop = platform.merchant()
    platform.pay(shop, amount=1000)
    detail = get_payment(platform.payment().id, platform.call(shop), platform.payment_reads())
    (transaction,) = detail.transactions
    assert (transaction.amount, transaction.fee, transaction.status) == (1000, 59, "succeeded")
    assert transaction.payment_id == detail.id


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "1970-01-01", "9999-12-31"])
def test_the_first_and_last_days_of_the_calendar_are_accepted(platform: Platform, day: str) -> None:
    shop = platform.merchant()
    platform.pay(shop)
    past = day < "2000"
    assert len(listed(platform, shop, start_date=day)) == (1 if past else 0)
    assert len(listed(platform, shop, end_date=day)) == (0 if past else 1)


def test_a_nonexistent_day_is_refused_by_name(platform: Platform) -> None:
    shop = platform.merchant()
    for name in ("start_date", "end_date"):
        with pytest.raises(InvalidValue) as refused:
            listed(platform, shop, **{name: "2026-02-30"})
        assert refused.value.param == name


def test_the_summary_equals_a_recount_by_status_and_currency(
    platform: Platform, shop: MerchantProfile
) -> None:
    platform.pay(platform.merchant(), amount=999_999)
    plan = [("USD", "tok_approved"), ("JPY", "tok_approved"), ("USD", "tok_declined")]
    for n in range(20):
        currency, token = [*plan, ("USD", "tok_timeout")][n % 4]
        platform.pay(shop, amount=1000 + n, currency=currency, payment_method=token)
    rows = [row for row in platform.payments() if row.merchant_id == shop.id]
    count_all(platform)
    query = SummaryQuery(start_date="2026-03-01", end_date="2026-03-31")
    summary = summarize_payments(query, platform.call(shop), platform.summary_reads())
    assert summary.total_count == 20
    assert summary.by_status == Counter(row.status for row in rows)
    for currency, reported in summary.by_currency.items():
        mine = [row for row in rows if row.currency == currency]
        captured = sum(row.amount_captured for row in mine)
        fees = sum(row.fee for row in mine)
        took = sum(1 for row in mine if row.status == "succeeded")
        assert (reported.count, reported.captured, reported.refunded) == (len(mine), captured, 0)
        assert (reported.fees, reported.net, reported.average) == (
            fees,
            captured - fees,
            captured // took,
        )
    assert set(summary.by_currency) == {"USD", "JPY"}
    platform.clock.advance(40 * 24 * 3600)
    assert (
        summarize_payments(
            SummaryQuery(), platform.call(shop), platform.summary_reads()
        ).total_count
        == 0
    )


def test_a_summary_of_the_distant_past_needs_no_start_date(
    platform: Platform,
) -> None:
    shop = platform.merchant()
    summary = summarize_payments(
        SummaryQuery(end_date="2025-01-31"), platform.call(shop), platform.summary_reads()
    )
    assert summary.total_count == 0
    assert summary.start_date < summary.end_date


def test_settlements_and_their_lines_are_paged_in_the_documented_order(platform: Platform) -> None:
    shop = platform.merchant()
    platform.pay(shop)
    (transaction,) = platform.rows(Transaction)
    for day in range(1, 6):
        key = settlement_key(shop, f"2026-03-{day:02}")
        lines = [settlement_line(transaction, amount=day)] * 7
        platform.s3.objects[key] = settlement_file([*lines, settlement_line(transaction)])
        platform.reconcile(key)
    payment_reads = platform.settlement_reads()
    call = platform.call(shop)
    for limit in (1, 2, 5, 100):
        dates = [
            row.date
            for page in pages(
                lambda c, n=limit: list_settlements(
                    SettlementQuery(cursor=c, limit=n), call, payment_reads
                )
            )
            for row in page.data
        ]
        assert dates == [f"2026-03-{day:02}" for day in range(5, 0, -1)]
    newest = max(platform.rows(Settlement), key=lambda row: row.date)
    stored = [r for r in platform.rows(SettlementLine) if r.settlement_id == newest.id]
    for status in (None, "invalid", "duplicate", "matched"):
        for limit in (1, 3, 100):
            numbers = [
                line.line
                for page in pages(
                    lambda c, n=limit, s=status: list_lines(
                        newest.id, LineQuery(cursor=c, limit=n, status=s), call, payment_reads
                    )
                )
                for line in page.data
            ]
            assert numbers == sorted(r.line for r in stored if status in (None, r.status))
    with pytest.raises(NotFound):
        get_settlement(newest.id, platform.call(platform.merchant()), payment_reads)
    with pytest.raises(NotFound):
        list_lines(newest.id, LineQuery(), platform.call(platform.merchant()), payment_reads)


def test_lines_in_several_partitions_are_read_in_the_order_of_the_file(platform: Platform) -> None:
    shop = platform.merchant()
    key = settlement_key(shop)
    platform.s3.objects[key] = settlement_file(["broken"])
    platform.reconcile(key)
    (settlement,) = platform.rows(Settlement)
    (line,) = platform.rows(SettlementLine)
    numbers = [2, 998, 999, 1_000, 1_001, 2_000, 3_005, 10_000_002, 10_000_003, 20_000_002]
    for number in numbers[1:]:
        bucket = line_partition(settlement.id, number)
        copy = line.model_copy(update={"line": number, "settlement_bucket": bucket})
        item = platform.store.codec.to_item(copy)
        platform.client.put_item(TableName=platform.tables["settlement_lines"], Item=item)
    buckets = {line_bucket(number) for number in numbers}
    after = settlement.model_copy(update={"line_buckets": tuple(buckets)})
    platform.client.put_item(
        TableName=platform.tables["settlements"], Item=platform.store.codec.to_item(after)
    )
    for limit in (1, 2, 100):
        read = [
            row.line
            for page in pages(
                lambda c, n=limit: list_lines(
                    settlement.id,
                    LineQuery(cursor=c, limit=n),
                    platform.call(shop),
                    platform.settlement_reads(),
                )
            )
            for row in page.data
        ]
        assert read == numbers
