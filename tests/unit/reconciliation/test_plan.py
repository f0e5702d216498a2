"""Plans of settlement files: every line in one chunk, duplicates found in any order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.reconciliation.files import plan as settlement_plan
from runtime.reconciliation.files.plan import FilePlan, repeats_by_chunk
from runtime.reconciliation.importers.detect import layout_of
from runtime.reconciliation.importers.layout import Layout, Refusal
from runtime.reconciliation.importers.text_records import Record, read_records

HEADER = (
    "automatic_payout_id",
    "balance_transaction_id",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "source_id",
)


def layout() -> Layout:
    found = layout_of(HEADER)
    assert isinstance(found, Layout), found
    return found


def records(rows: list[tuple[str, str]]) -> list[Record]:
    """Charges by payout and id; an empty pair is a blank line."""
    lines = [
        f'{payout},{number},usd,1.00,0,1.00,charge,"ch\n1"\n' if payout or number else "\n"
        for payout, number in rows
    ]
    return list(read_records(["".join(lines).encode()], ",", offset=100, line=2))


rows = st.lists(
    st.tuples(st.sampled_from(["", "po_1", "po_2", "po_3"]), st.sampled_from("abcdefgh")),
    max_size=40,
)


@given(rows, st.integers(1, 9), st.integers(1, 3), st.integers(40, 400))
def test_chunks_contain_every_record_once_within_their_limits(
    wanted: list[tuple[str, str]], lines: int, payouts: int, size: int
) -> None:
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(settlement_plan, "CHUNK_LINES", lines)
        limits.setattr(settlement_plan, "CHUNK_PAYOUTS", payouts)
        limits.setattr(settlement_plan, "CHUNK_BYTES", size)
        plan = FilePlan(layout())
        found = records(wanted)
        assert plan.add(found) is None
    assert plan.lines == len(found) == sum(chunk.lines for chunk in plan.chunks)
    left = iter(found)
    for chunk in plan.chunks:
        part = [next(left) for _ in range(chunk.lines)]
        assert (chunk.start, chunk.first_line) == (part[0].start, part[0].line)
        assert (chunk.end, chunk.last_line) == (part[-1].end, part[-1].next_line - 1)
        assert chunk.lines <= lines
        assert len({record.cells[0] for record in part}) <= payouts
        assert chunk.lines == 1 or chunk.end - chunk.start <= size


@given(rows, st.integers(1, 9))
def test_of_lines_with_one_id_the_first_counts(wanted: list[tuple[str, str]], lines: int) -> None:
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(settlement_plan, "CHUNK_LINES", lines)
        plan = FilePlan(layout())
        found = records(wanted)
        plan.add(found)
        each_chunk = repeats_by_chunk(layout(), found, plan.chunks, plan.repeated())
        repeats = dict(enumerate(each_chunk))
    assert len(repeats) == len(plan.chunks)
    seen: Counter[str] = Counter()
    expected = {}
    for record in found:
        seen[record.cells[1]] += 1
        if seen[record.cells[1]] > 1:
            expected[str(record.line)] = seen[record.cells[1]]
    ordinals = {line: n for each in repeats.values() for line, n in each.ordinals.items()}
    assert ordinals == expected
    assert sorted(n for each in repeats.values() for n in each.duplicates) == sorted(
        map(int, expected)
    )
    for number, each in repeats.items():
        chunk = plan.chunks[number]
        assert all(chunk.first_line <= int(n) <= chunk.last_line for n in each.ordinals)


def test_blank_lines_are_not_counted() -> None:
    plan = FilePlan(layout())
    plan.add(records([("po_1", "a"), ("", ""), ("po_1", "b")]))
    assert plan.lines == 2


def test_too_many_lines_are_refused_as_soon_as_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settlement_plan, "MAX_FILE_LINES", 3)
    plan = FilePlan(layout())
    refusal = plan.add(records([("po_1", str(n)) for n in range(9)]))
    assert isinstance(refusal, Refusal)
    assert plan.lines == 4
