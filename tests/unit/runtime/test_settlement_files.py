"""Lines of a stream: the same however it is cut, and never more of one than its bound."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateways.settlement_files import (
    MAX_LINE_BYTES,
    FileVersion,
    SettlementFiles,
    split_lines,
)
from tests.support.fakes import FakeS3, FakeSqs

BOM = b"\xef\xbb\xbf"


def reference(body: bytes) -> list[str | None]:
    """What splitting the whole file at once gives."""
    pieces = body.split(b"\n")
    if pieces[-1] == b"":
        pieces.pop()
    lines: list[str | None] = []
    for number, piece in enumerate(pieces):
        text = piece.rstrip(b"\r").decode("utf-8", "replace")
        text = text.removeprefix("\ufeff") if number == 0 else text
        lines.append(None if len(piece) > MAX_LINE_BYTES else text)
    return lines


def cut(body: bytes, places: list[int]) -> Iterator[bytes]:
    edges = sorted({min(place, len(body)) for place in places})
    for start, end in zip([0, *edges], [*edges, len(body)], strict=True):
        yield body[start:end]


bodies = st.lists(
    st.one_of(
        st.binary(max_size=8),
        st.sampled_from(
            [
                b"\n",
                b"\r\n",
                b"\r",
                BOM,
                b"a,b",
                "ü€".encode(),
                b"x" * 4096,
                b"x" * 4097,
                b"y" * 5000,
            ]
        ),
    ),
    max_size=12,
).map(b"".join)


@given(bodies, st.lists(st.integers(0, 20_000), max_size=8))
def test_lines_are_the_same_however_the_stream_is_cut(body: bytes, places: list[int]) -> None:
    assert list(split_lines(cut(body, places))) == reference(body)


@given(
    st.lists(st.sampled_from([b"\n", b"\r\n", b"ab", "é".encode(), BOM]), max_size=12).map(b"".join)
)
def test_lines_are_the_same_byte_by_byte(body: bytes) -> None:
    single = (body[n : n + 1] for n in range(len(body)))
    assert list(split_lines(single)) == reference(body)


def test_a_mark_at_the_very_start_is_dropped_and_nowhere_else() -> None:
    assert list(split_lines([BOM + b"a\n" + BOM + b"b"])) == ["a", "\ufeffb"]


@pytest.mark.parametrize("chunk", [1, 7, 4096, 100_000])
def test_a_line_at_the_bound_is_read_and_one_above_is_not(chunk: int) -> None:
    body = b"a" * MAX_LINE_BYTES + b"\n" + b"b" * (MAX_LINE_BYTES + 1) + b"\nc\n"
    chunks = (body[n : n + chunk] for n in range(0, len(body), chunk))
    assert list(split_lines(chunks)) == ["a" * MAX_LINE_BYTES, None, "c"]


def test_an_endless_line_does_not_fill_the_memory() -> None:
    tracemalloc.start()
    try:
        assert list(split_lines(b"x" * 65_536 for _ in range(800))) == [None]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000, "50 MB came, some hundred KB may be held"


def files(body: bytes) -> SettlementFiles:
    return SettlementFiles(FakeS3({"k": body}), FakeSqs(), "bucket", "queue")  # type: ignore[arg-type]


def test_a_file_is_read_twice_and_is_the_same_both_times() -> None:
    store = files(b"a\nb\n")
    digest = store.digest(FileVersion("k"))
    assert digest.sha256 == hashlib.sha256(b"a\nb\n").hexdigest()
    assert list(store.lines(FileVersion("k"), digest)) == ["a", "b"]


def test_a_version_is_asked_for_by_name_where_one_is_known() -> None:
    assert FileVersion("k").arguments() == {"Key": "k"}
    assert FileVersion("k", "v1").arguments() == {"Key": "k", "VersionId": "v1"}


def test_a_continuation_repeats_the_very_message_that_came() -> None:
    store = files(b"")
    store.ask_to_continue('{"a": 1}')
    assert store.sqs.sent == ['{"a": 1}']  # type: ignore[attr-defined]
