"""Records of a file: the same for any blocks of the stream and any starting position."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.reconciliation.importers.text_records import (
    MAX_RECORD_BYTES,
    MAX_RECORD_LINES,
    Record,
    read_records,
)

BOM = b"\xef\xbb\xbf"

bodies = st.lists(
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [
                b"\n",
                b"\r\n",
                b"\r",
                b'"',
                b'""',
                b",",
                b'\n"',
                b'"\n',
                b'a,"b\nc",d\n',
                b'x,"never closed\n',
                BOM,
                "ü€".encode(),
                b"y" * MAX_RECORD_BYTES,
                b"z" * (MAX_RECORD_BYTES // 2) + b"\n",
            ]
        ),
    ),
    max_size=14,
).map(b"".join)


def cut(body: bytes, places: list[int]) -> Iterator[bytes]:
    edges = sorted({min(place, len(body)) for place in places})
    for start, end in zip([0, *edges], [*edges, len(body)], strict=True):
        yield body[start:end]


def records(body: bytes, delimiter: str = ",") -> list[Record]:
    return list(read_records([body], delimiter))


@given(bodies, st.lists(st.integers(0, 200_000), max_size=8))
def test_records_do_not_depend_on_the_blocks_of_the_stream(body: bytes, places: list[int]) -> None:
    assert list(read_records(cut(body, places), ",")) == records(body)


@given(bodies)
def test_records_cover_every_byte_and_every_line_once(body: bytes) -> None:
    at, line = 0, 1
    for record in records(body):
        assert (record.start, record.line) == (at, line)
        assert record.end > record.start
        at, line = record.end, record.next_line
    assert at == len(body)
    assert line - 1 == body.count(b"\n") + (not body.endswith(b"\n") and bool(body))


@given(bodies, st.data())
def test_a_worker_that_reads_a_range_between_two_records_finds_the_same_ones(
    body: bytes, data: st.DataObject
) -> None:
    whole = records(body)
    first = data.draw(st.integers(0, len(whole)))
    last = data.draw(st.integers(first, len(whole)))
    part = whole[first:last]
    if not part:
        return
    start, end = part[0].start, part[-1].end
    found = list(read_records([body[start:end]], ",", offset=start, line=part[0].line))
    assert [(r.start, r.end, r.line, r.cells) for r in found] == [
        (r.start, r.end, r.line, r.cells) for r in part
    ]
    assert [r.reason is None for r in found] == [r.reason is None for r in part]


@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8),
            min_size=2,
            max_size=4,
        ),
        max_size=6,
    ),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_the_output_of_a_csv_writer_is_parsed_to_the_same_cells(
    rows: list[list[str]], delimiter: str, line_end: str
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=line_end).writerows(rows)
    body = text.getvalue().encode()
    expected = [tuple(row) for row in rows]
    if expected and expected[0][0].startswith("\ufeff"):
        return  # a mark at the very start is dropped
    assert [record.cells for record in records(body, delimiter)] == expected


def test_an_unclosed_quote_affects_only_its_own_line() -> None:
    body = b'a,1\n"b,2\nc,3\n' + b"d,4\n" * 20_000
    found = records(body)
    assert [found[0].cells, found[2].cells] == [("a", "1"), ("c", "3")]
    assert (found[1].cells, found[1].line, found[1].next_line) == ((), 2, 3)
    assert found[1].reason == "not readable as CSV: a quote is open for more than 32 lines"
    assert len(found) == 20_003


def test_a_record_over_several_lines_keeps_its_first_line_number() -> None:
    body = b'a,"x\ny\nz",1\r\nb,,2\n'
    first, second = records(body)
    assert (first.cells, first.line, first.next_line) == (("a", "x\ny\nz", "1"), 1, 4)
    assert (second.cells, second.line) == (("b", "", "2"), 4)


def test_a_byte_order_mark_is_dropped_only_at_the_very_start() -> None:
    found = records(BOM + b"a\n" + BOM + b"b")
    assert [record.cells for record in found] == [("a",), ("\ufeffb",)]
    assert [record.cells for record in records(BOM + b'"a"\n')] == [("a",)]


@pytest.mark.parametrize("body", [b"\n", b" \r\n", b",,\n", b'"",\n'])
def test_a_record_without_content_is_blank(body: bytes) -> None:
    (record,) = records(body)
    assert record.is_blank


def test_a_record_at_the_limit_is_read_and_one_above_is_not() -> None:
    bound = MAX_RECORD_BYTES - 1
    body = b"a" * bound + b"\n" + b"b" * (bound + 1) + b"\nc\n"
    first, second, third = records(body)
    assert first.cells == ("a" * bound,)
    assert (second.cells, second.reason) == ((), f"longer than {MAX_RECORD_BYTES} bytes")
    assert (third.cells, third.line) == (("c",), 3)


def test_an_endless_line_does_not_fill_the_memory() -> None:
    tracemalloc.start()
    try:
        (record,) = read_records((b"x" * 65_536 for _ in range(800)), ",")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (record.end, record.reason) == (800 * 65_536, f"longer than {MAX_RECORD_BYTES} bytes")
    assert peak < 1_000_000, "50 MB came, some hundred KB may be held"


def test_a_file_of_unclosed_quotes_is_read_in_linear_time() -> None:
    body = b'"a,1\nb,2\n' * 5_000
    found = records(body)
    assert sum(record.reason is None for record in found) == 5_000
    assert found[-1].end == len(body)


def test_a_record_of_too_many_physical_lines_is_an_open_quote() -> None:
    def lines(breaks: int) -> bytes:
        return b'"' + b"a\n" * breaks + b'",1\nb,2\n'

    first, second = records(lines(MAX_RECORD_LINES - 1))
    assert (first.reason, second.cells, second.line) == (None, ("b", "2"), MAX_RECORD_LINES + 1)
    found = records(lines(MAX_RECORD_LINES))
    assert (
        found[0].reason
        == f"not readable as CSV: a quote is open for more than {MAX_RECORD_LINES} lines"
    )
    assert (found[1].cells, found[-1].cells) == (("a",), ("b", "2"))


def test_lines_that_each_open_a_quote_are_read_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = 0
    reader = csv.reader

    def counted(lines: Iterator[str]) -> Iterator[str]:
        nonlocal looked
        for line in lines:
            looked += 1
            yield line

    def counting(lines: Iterator[str], **options: Any) -> Any:
        return reader(counted(lines), **options)

    monkeypatch.setattr("runtime.reconciliation.importers.text_records.csv.reader", counting)
    count = 500
    assert len(records(b'a","\n' * count)) == count
    assert looked <= count * (MAX_RECORD_LINES + 1)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'a\rb,"c"\n', "a carriage return stands in a cell without quotes"),
        (b'a,"b\n', "a quote is opened and never closed"),
    ],
)
def test_the_reason_of_an_unreadable_line_is_reported(body: bytes, why: str) -> None:
    assert [record.reason for record in records(body)] == [f"not readable as CSV: {why}"]
