"""Pages: full while more match, bounded in reads, without lost or repeated entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.errors import BadCursor
from runtime.http.pagination import READ_BUDGET, Cursors, take_page
from runtime.payments.api import PaymentQuery

MAX = READ_BUDGET


def walk(entries: list[int], limit: int, matches: Callable[[int], bool]) -> Iterator[list[int]]:
    """All pages of a list, each starting after the position of the one before."""
    start = 0
    while True:
        page = take_page(entries[start:], limit=limit, position=str, matches=matches)
        yield list(page.entries)
        if page.next_position is None:
            return
        position = int(page.next_position)
        assert position >= (entries[start] if entries[start:] else 0)
        start = entries.index(position) + 1


@given(st.integers(0, 60), st.integers(1, 12), st.sets(st.integers(0, 60)))
def test_pages_together_are_the_matching_entries_in_order(
    count: int, limit: int, wanted: set[int]
) -> None:
    entries = list(range(count))
    pages = list(walk(entries, limit, lambda entry: entry in wanted))
    assert [each for page in pages for each in page] == [e for e in entries if e in wanted]
    assert all(len(page) == limit for page in pages[:-1]), "a page is full while more match"
    assert len(pages[-1]) > 0 or len(pages) == 1, "the last page is not empty"


@pytest.mark.parametrize("every", [7, 999, 1_000, 1_001, 5_000])
def test_a_sparse_list_is_read_in_bounded_steps_to_its_end(every: int) -> None:
    entries = list(range(1, 20_001))
    looked: list[int] = []

    def matches(entry: int) -> bool:
        looked.append(entry)
        return entry % every == 0

    found: list[int] = []
    start = 0
    for _ in range(10_000):
        looked.clear()
        page = take_page(entries[start:], limit=10, position=str, matches=matches)
        assert len(looked) <= MAX
        found += page.entries
        if page.next_position is None:
            break
        start = int(page.next_position)
    assert found == [entry for entry in entries if entry % every == 0]


def test_a_cursor_is_bound_to_its_scope_and_filters_but_not_to_the_page_size() -> None:
    cursors = Cursors(lambda: b"key")
    made = cursors.of(PaymentQuery(limit=5, status="failed"), "payments", "mer_1").after("pay_1")

    def position(merchant: str = "mer_1", **query: object) -> str | None:
        full = {"limit": 7, "status": "failed", "cursor": made, **query}
        return cursors.of(PaymentQuery.model_validate(full), "payments", merchant).position

    assert position() == "pay_1"
    assert position(merchant_id="mer_1") == "pay_1"
    for changed in ({"status": "succeeded"}, {"min_amount": 1}, {"start_date": "2026-01-01"}):
        with pytest.raises(BadCursor):
            position(**changed)
    with pytest.raises(BadCursor):
        position("mer_2")


def test_a_missing_cursor_means_the_beginning_or_the_end() -> None:
    cursors = Cursors(lambda: b"key")
    cursor = cursors.of(PaymentQuery(), "payments")
    assert cursor.position is None
    assert cursor.after(None) is None
