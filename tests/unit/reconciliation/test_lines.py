"""Partitions of settlement lines, and the order of open exceptions."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from runtime.http.card_data import find_card_data
from runtime.reconciliation.settlements.line_keys import (
    EXCEPTION_STATUSES,
    FEWEST_EXCEPTION_BUCKETS,
    FIRST_MISSING_LINE,
    MOST_EXCEPTION_BUCKETS,
    ExceptionKey,
    exception_bucket,
    exception_buckets,
    exception_key,
    exception_range,
    line_bucket,
    line_partition,
    missing_line,
    newest_day,
    read_exception_key,
)
from runtime.reconciliation.settlements.models import LineStatus

DAYS = st.dates(date(2020, 1, 1), date(2099, 12, 31)).map(date.isoformat)
LINES = st.integers(1, 2**39 - 1)


@given(lower=LINES, higher=LINES)
def test_lines_of_a_lower_partition_have_lower_numbers(lower: int, higher: int) -> None:
    lower, higher = sorted((lower, higher))
    in_files = higher < FIRST_MISSING_LINE
    missing = lower >= FIRST_MISSING_LINE
    if in_files or missing:  # no settlement has both
        assert line_bucket(lower) <= line_bucket(higher)


@given(transaction=st.text(min_size=1), attempt=st.integers(0, 9))
def test_the_line_number_of_a_missing_transaction_is_not_a_card_number_and_in_16_partitions(
    transaction: str, attempt: int
) -> None:
    line = missing_line(transaction, attempt)
    assert line == missing_line(transaction, attempt)
    assert FIRST_MISSING_LINE <= line < 2**39
    assert find_card_data({"line": line, "again": str(line)}) is None
    assert 16 <= line_bucket(line) < 32


def test_a_million_lines_are_in_a_thousand_partitions() -> None:
    assert line_partition("set_1", 999) == "set_1#000"
    assert line_partition("set_1", 1_000) == "set_1#001"
    assert line_partition("set_1", 20_000_007) == "set_1#20000"


@given(days=st.tuples(DAYS, DAYS), lines=st.tuples(LINES, LINES))
def test_keys_of_one_status_sort_by_day_then_settlement_then_line(
    days: tuple[str, str], lines: tuple[int, int]
) -> None:
    keys = [ExceptionKey(day, "set_1", line) for day, line in zip(days, lines, strict=True)]
    written = [key.of(LineStatus.INVALID) for key in keys]
    assert [read_exception_key(each) for each in written] == keys
    assert (written[0] < written[1]) == (keys[0] < keys[1])


@given(day=DAYS, newest=DAYS, line=LINES)
def test_a_range_up_to_a_day_includes_the_whole_day_and_nothing_after(
    day: str, newest: str, line: int
) -> None:
    low, high = exception_range(LineStatus.MISSING, newest_day=newest)
    key = exception_key(LineStatus.MISSING, day, "set_1", line)
    assert (low <= key <= high) == (day <= newest)


@given(line=LINES)
def test_ranges_of_a_status_or_settlement_include_no_others(
    line: int,
) -> None:
    for status in EXCEPTION_STATUSES:
        low, high = exception_range(status)
        of_one = exception_range(status, settlement=("2026-11-30", "set_1"))
        for other in EXCEPTION_STATUSES:
            key = exception_key(other, "2026-11-30", "set_1", line)
            assert (low <= key <= high) == (status is other)
            assert (of_one[0] <= key <= of_one[1]) == (status is other)
        for settlement in ("set_0", "set_12", "set_2"):
            key = exception_key(status, "2026-11-30", settlement, line)
            assert not of_one[0] <= key <= of_one[1]


def test_exceptions_are_in_four_to_eight_index_shards() -> None:
    counts = {n: len(exception_buckets("mer_1", n)) for n in (1, 4, 5, 8, 256)}
    assert counts == {1: FEWEST_EXCEPTION_BUCKETS, 4: 4, 5: 5, 8: 8, 256: MOST_EXCEPTION_BUCKETS}
    for buckets in counts:
        used = {exception_bucket("mer_1", "set_1", line, buckets) for line in range(200)}
        assert used == set(exception_buckets("mer_1", buckets))


def test_the_age_of_an_exception_is_in_whole_days() -> None:
    key = ExceptionKey("2026-11-20", "set_1", 2)
    assert key.age_days(date(2026, 11, 30)) == 10
    assert key.age_days(date(2026, 11, 1)) == 0
    assert newest_day(date(2026, 11, 30), 10) == "2026-11-20"
