"""Failing lines, lack of time, outages, and late or invalid messages."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core.errors import StaleWrite, Unavailable
from runtime.reconciliation.dependencies import NoTimeLeft
from runtime.reconciliation.files.chunks import NOT_PROCESSED
from runtime.reconciliation.files.models import (
    FileStatus,
)
from runtime.reconciliation.importers.canonical import CanonicalLayout
from runtime.reconciliation.settlements.models import (
    LineStatus,
)
from tests.support.reconciliation.engine import SettlementEngine
from tests.support.reconciliation.settlement_files import (
    CHUNK,
    KEY,
    file_of,
    line,
    some_file,
    the_file,
)

# ---------------------------------------------------------------- bugs, time, late messages


def test_a_line_on_which_the_code_fails_is_invalid_and_the_others_are_processed() -> None:
    engine = SettlementEngine()
    engine.matcher.poison = {5: ValueError("a bug"), 17: KeyError("another")}
    engine.drop(KEY, file_of([line(n) for n in range(25)]))
    engine.run()
    found = {row.line: (row.status, row.reason) for row in engine.tables.line_rows.values()}
    assert {n for n, (status, _) in found.items() if status is LineStatus.INVALID} == {5, 17}
    assert {found[5][1], found[17][1]} == {NOT_PROCESSED}
    assert the_file(engine).status is FileStatus.COMPLETED_WITH_EXCEPTIONS


def test_a_line_on_which_the_parser_fails_is_invalid_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parse = CanonicalLayout.parse

    def faulty(layout: CanonicalLayout, number: int, cells: Any) -> Any:
        assert number != 5, "a bug"
        return parse(layout, number, cells)

    monkeypatch.setattr(CanonicalLayout, "parse", faulty)
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(n) for n in range(5)]))
    engine.run()
    found = {row.line: row.reason for row in engine.tables.line_rows.values()}
    assert [n for n, reason in found.items() if reason == NOT_PROCESSED] == [5]


def test_a_chunk_of_only_failing_lines_ends_with_exceptions() -> None:
    engine = SettlementEngine()
    engine.matcher.poison = {n: ValueError("a bug") for n in range(100)}
    engine.drop(KEY, file_of([line(n) for n in range(25)]))
    engine.run()
    assert {row.status for row in engine.tables.line_rows.values()} == {LineStatus.INVALID}
    assert the_file(engine).status is FileStatus.COMPLETED_WITH_EXCEPTIONS


@pytest.mark.parametrize("error", [Unavailable("busy"), StaleWrite("x", "y")])
def test_a_transient_error_does_not_make_a_line_invalid(error: Exception) -> None:
    engine = SettlementEngine()
    engine.matcher.poison = {5: error}
    engine.drop(KEY, file_of([line(n) for n in range(5)]))
    engine.handle(engine.queue.waiting.popleft())
    with pytest.raises(type(error)):
        engine.run()
    assert engine.tables.line_rows == {}


def test_a_chunk_with_progress_before_an_outage_requests_a_continuation() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(n) for n in range(CHUNK)]))
    engine.handle(engine.queue.waiting.popleft())
    engine.matcher.poison = {10: Unavailable("throttled")}
    (body,) = engine.queue.waiting
    engine.handle(engine.queue.waiting.popleft())
    assert (list(engine.queue.waiting), len(engine.tables.line_rows)) == ([body], 7)
    engine.matcher.poison = {}
    engine.run()
    assert the_file(engine).status is FileStatus.COMPLETED


def test_a_chunk_almost_out_of_time_requests_a_continuation() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(n) for n in range(CHUNK)]))
    engine.handle(engine.queue.waiting.popleft())
    asked = iter([False, True])
    engine.must_stop = lambda: next(asked, False)
    (body,) = engine.queue.waiting
    engine.handle(engine.queue.waiting.popleft())
    assert list(engine.queue.waiting) == [body]
    assert len(engine.tables.line_rows) == 7
    engine.run()
    assert the_file(engine).status is FileStatus.COMPLETED


def test_a_run_without_progress_fails_instead_of_requesting_a_continuation() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(n) for n in range(CHUNK)]))
    engine.handle(engine.queue.waiting.popleft())
    engine.must_stop = lambda: True
    with pytest.raises(NoTimeLeft, match="no commit was made"):
        engine.run()
    assert not engine.queue.waiting


def test_a_file_that_cannot_be_read_in_time_fails_and_can_be_planned_later() -> None:
    engine = SettlementEngine()
    version = engine.drop(KEY, some_file())
    engine.must_stop = lambda: True
    with pytest.raises(NoTimeLeft, match="one invocation"):
        engine.run()
    engine.must_stop = lambda: False
    engine.announce(KEY, version)
    engine.run()
    assert the_file(engine).status is FileStatus.COMPLETED_WITH_EXCEPTIONS


def test_late_messages_of_a_closed_file_change_nothing() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, some_file())
    engine.handle(engine.queue.waiting.popleft())
    late = list(engine.queue.waiting)
    engine.run()
    before = engine.state()
    for body in [*late, f'{{"kind": "close", "file_id": "{the_file(engine).id}"}}']:
        engine.handle(body)
    assert engine.state() == before


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "[]",
        "{}",
        '{"kind": "other"}',
        '{"kind": "chunk", "file_id": "fil_1"}',
        '{"kind": "close", "file_id": "fil_1", "more": 1}',
        '{"detail": {"object": {}}}',
        '{"source": "aws.ec2", "detail": {"object": {"key": "a"}}}',
    ],
)
def test_any_other_message_is_an_error(body: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        SettlementEngine().handle(body)
