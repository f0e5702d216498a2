"""Planning, processing and closing settlement files: the same result whatever happens."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from functools import partial
from random import Random
from typing import Any

import pytest

from runtime.alerts.models import AlertType
from runtime.core.errors import StaleWrite, Unavailable
from runtime.reconciliation.dependencies import NoTimeLeft
from runtime.reconciliation.files import planning
from runtime.reconciliation.files.chunks import NOT_PROCESSED
from runtime.reconciliation.files.models import (
    MAX_SETTLEMENT_BUCKETS,
    MAX_SETTLEMENT_FILES,
    FileStatus,
    SettlementFile,
    merchant_status,
)
from runtime.reconciliation.importers.canonical import HEADER, CanonicalLayout
from runtime.reconciliation.importers.text_records import MAX_RECORD_BYTES
from runtime.reconciliation.matching.identities import settlement_id
from runtime.reconciliation.settlements.models import (
    LineStatus,
    Settlement,
    SettlementDelta,
    SettlementFormat,
    SettlementStatus,
)
from tests.support.engines.faults import ProcessKilled
from tests.support.fakes import START
from tests.support.outside import new_id
from tests.support.platform import at_once
from tests.support.reconciliation.engine import AT, SHOP, SettlementEngine
from tests.support.reconciliation.fakes import LONGEST_KEY, Steps
from tests.support.reconciliation.render import PAYPAL_HEADER
from tests.support.reconciliation.workbooks import Cell, workbook

KEY = f"reconciliation/{SHOP}/2026-03-15.csv"
TYPED = (*HEADER, "type")
CHUNK = 10
"""Lines of a chunk in these tests."""


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.reconciliation.files.plan.CHUNK_LINES", CHUNK)


def line(number: int, amount: int = 1000, kind: str = "capture", **cells: Any) -> str:
    values = {
        "payment_id": f"pay_{number}",
        "transaction_id": f"txn_{number}",
        "status": "settled",
        "amount": amount,
        "fee": 0,
        "net": amount,
        "currency": "USD",
        "processed_date": "2026-03-14",
        "settlement_date": "2026-03-15",
        "type": kind,
        **cells,
    }
    return ",".join(str(values[name]) for name in TYPED)


def file_of(lines: list[str], header: tuple[str, ...] = TYPED) -> bytes:
    return "\n".join([",".join(header), *lines, ""]).encode()


def some_file(count: int = 35, *, payout: int | None = None) -> bytes:
    """Captures of 1,000 each, with an unreadable one, a repeated one, quotes, and the payout."""
    lines = [line(n) for n in range(count)]
    lines[3] = "broken"
    lines[CHUNK] = lines[1]
    lines[CHUNK - 1] = (
        lines[CHUNK - 1].replace("pay_9", '"pay_9"').replace("settled", '"set\ntled"')
    )
    paid = 1000 * (count - 1) if payout is None else payout
    lines.append(line(count, -paid, "payout", payment_id="", transaction_id="po_1"))
    return file_of(lines)


def the_file(engine: SettlementEngine) -> SettlementFile:
    (file,) = engine.tables.files.values()
    return file


# ---------------------------------------------------------------- one file


def test_a_file_is_split_into_chunks_processed_and_closed() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, some_file())
    engine.run()
    file = the_file(engine)
    assert file.status is FileStatus.COMPLETED_WITH_EXCEPTIONS
    assert (file.lines, file.chunks, file.chunks_done) == (36, 4, 4)
    assert file.sha256 == hashlib.sha256(some_file()).hexdigest()
    assert (file.date, file.name) == ("2026-03-15", "2026-03-15.csv")
    (settlement,) = engine.tables.settlements.values()
    assert settlement.status is SettlementStatus.COMPLETED_WITH_EXCEPTIONS
    assert settlement.counts == {"matched": 34, "invalid": 1, "duplicate": 1}
    assert settlement.open_exceptions == 2
    assert (settlement.payout, settlement.remainder) == ({"USD": 34_000}, {"USD": 0})
    assert settlement.lines_done == 36
    assert file.settlement_ids == (settlement.id,)


def test_a_file_without_exceptions_is_completed() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(1), line(2)]))
    engine.run()
    assert the_file(engine).status is FileStatus.COMPLETED
    assert [each.status for each in engine.tables.settlements.values()] == ["completed"]


def test_a_files_status_depends_only_on_its_own_settlements() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(n) for n in range(3)]))
    engine.handle(engine.queue.waiting.popleft())
    tables = engine.tables
    (chunk,) = tables.rows.values()
    found = SettlementDelta(
        counts={LineStatus.MISSING: -1, LineStatus.MATCHED: 1}, open_exceptions=-1
    )
    tables.rows[chunk.id] = chunk.model_copy(update={"deltas": {"set_unsettled": found}})
    tables.settlements["set_unsettled"] = Settlement(
        id="set_unsettled",
        merchant_id=SHOP,
        date="2026-03-10",
        status=SettlementStatus.COMPLETED_WITH_EXCEPTIONS,
        source="unsettled",
        sha256="",
        counts={LineStatus.MISSING: 2},
        open_exceptions=2,
        created_at=AT,
        updated_at=AT,
        changed_by="test",
        request_id="test",
        cause="test",
    )
    engine.run()
    assert tables.settlements["set_unsettled"].open_exceptions == 1
    file = the_file(engine)
    assert file.status is FileStatus.COMPLETED
    assert "set_unsettled" not in file.settlement_ids


def test_a_file_with_only_a_header_is_completed_without_lines() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, file_of([]))
    engine.run()
    assert (the_file(engine).status, the_file(engine).lines) == (FileStatus.COMPLETED, 0)


def test_the_first_line_of_an_id_counts_and_the_others_are_duplicates() -> None:
    engine = SettlementEngine()
    lines = [line(n) for n in range(3 * CHUNK)]
    lines[25] = lines[12] = lines[4]
    engine.drop(KEY, file_of(lines))
    engine.handle(engine.queue.waiting.popleft())
    engine.queue.waiting.reverse()  # the last chunk is processed first
    engine.run()
    found = {row.line: row.status for row in engine.tables.line_rows.values()}
    assert [n for n, status in found.items() if status is LineStatus.DUPLICATE] == [27, 14]
    identities = Counter(row.identity for row in engine.tables.line_rows.values())
    assert set(identities.values()) == {1}


def test_an_id_similar_to_a_repetition_is_an_id_of_its_own() -> None:
    engine = SettlementEngine()
    lines = [line(n) for n in range(3 * CHUNK)]
    lines[12] = lines[4]
    lines[25] = lines[20] = line(20, transaction_id="txn_4#2")
    lines[26] = line(26, transaction_id="txn_4#2#1")
    engine.drop(KEY, file_of(lines))
    engine.run()
    rows = engine.tables.line_rows.values()
    assert len({row.identity for row in rows}) == len(rows) == len(lines)


def test_identical_lines_without_an_id_are_numbered() -> None:
    engine = SettlementEngine()
    fee = line(1, -50, "fee", payment_id="", transaction_id="")
    engine.drop(KEY, file_of([fee] * 25))
    engine.run()
    rows = engine.tables.line_rows.values()
    assert {row.status for row in rows} == {LineStatus.MATCHED}
    ordinals = sorted(int((row.identity or "").partition("#")[2] or 1) for row in rows)
    assert ordinals == list(range(1, 26))


def test_a_quoted_line_break_at_a_chunk_boundary_stays_in_one_record() -> None:
    engine = SettlementEngine()
    lines = [line(n, settlement_date='"2026-03-15\n"') for n in range(3 * CHUNK)]
    engine.drop(KEY, file_of(lines))
    engine.run()
    assert [row.line for row in engine.tables.line_rows.values()] == list(range(2, 62, 2))
    assert {row.status for row in engine.tables.line_rows.values()} == {LineStatus.MATCHED}


def test_three_megabytes_in_one_line_are_one_invalid_line() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(1), "x" * 3_000_000, line(2)]))
    engine.run()
    found = {row.line: (row.status, row.reason) for row in engine.tables.line_rows.values()}
    assert found[3] == (LineStatus.INVALID, f"longer than {MAX_RECORD_BYTES} bytes")
    assert (found[2][0], found[4][0]) == (LineStatus.MATCHED, LineStatus.MATCHED)


def test_a_chunk_has_at_most_as_many_payouts_as_fit_into_its_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runtime.reconciliation.files.plan.CHUNK_BYTES", 500)
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(n) for n in range(2 * CHUNK)]))
    engine.run()
    assert the_file(engine).chunks > 2
    assert engine.bucket.most_read < 2_500
    assert len(engine.tables.line_rows) == 2 * CHUNK


def test_utf_16_is_converted_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = SettlementEngine()
    body = some_file().decode().replace(",", ";").encode("utf-16")
    engine.drop(KEY, body)
    engine.run()
    file = the_file(engine)
    assert file.sha256 == hashlib.sha256(body).hexdigest()
    assert file.read_key == f"converted/{file.id}.csv"
    assert engine.bucket.objects[file.read_key] == some_file().replace(b",", b";")
    (settlement,) = engine.tables.settlements.values()
    assert settlement.counts == {"matched": 34, "invalid": 1, "duplicate": 1}


def test_the_columns_of_a_paypal_report_are_found_after_preceding_records() -> None:
    engine = SettlementEngine()
    names = ",".join(f'"{name}"' for name in PAYPAL_HEADER)
    lines = [_paypal_line(f"7{n // 2}") for n in range(2 * CHUNK)]
    body = "\r\n".join(['"RH","2026/01/07","A"', "SH,2026/01/06", names, *lines, "SF,USD,1", ""])
    engine.drop(KEY, body.encode())
    engine.run()
    assert the_file(engine).format == "paypal"
    (settlement,) = engine.tables.settlements.values()
    assert settlement.counts == {"matched": CHUNK, "duplicate": CHUNK}


def _paypal_line(own: str) -> str:
    cells = {
        "CH": "SB",
        "Transaction ID": own,
        "Transaction Event Code": "T0006",
        "Transaction Debit or Credit": "CR",
        "Gross Transaction Amount": "5200",
        "Gross Transaction Currency": "USD",
    }
    return ",".join(cells.get(name, "") for name in PAYPAL_HEADER)


def test_a_workbook_is_converted_and_read() -> None:
    engine = SettlementEngine()
    rows: list[list[Cell]] = [[*cells.split(",")] for cells in (line(1), line(2, 990))]
    body = workbook({"Report": [[*TYPED], *rows]})
    engine.drop(f"reconciliation/{SHOP}/report.xlsx", body)
    engine.run()
    file = the_file(engine)
    assert (file.sha256, file.lines) == (hashlib.sha256(body).hexdigest(), 2)
    assert file.date == "2026-03-15", "of its first line"
    assert [row.amount for row in engine.tables.line_rows.values()] == [1000, 990]


def test_a_workbook_with_a_rounded_number_is_rejected() -> None:
    engine = SettlementEngine()
    rows: list[list[Cell]] = [[*line(1).split(",")]]
    rows[0][0] = 12345678901234567890.0
    engine.drop(f"reconciliation/{SHOP}/report.xlsx", workbook({"Report": [[*TYPED], *rows]}))
    engine.run()
    assert the_file(engine).status is FileStatus.REJECTED
    assert engine.tables.line_rows == {}


# ---------------------------------------------------------------- crashes, repetitions, concurrency


def _calls_of_a_whole_run() -> tuple[int, Any]:
    engine = SettlementEngine()
    engine.drop(KEY, some_file())
    engine.run()
    return engine.steps.made, engine.state()


@pytest.mark.parametrize("seed", range(20))
def test_processing_killed_at_a_random_call_gives_the_same_result(seed: int) -> None:
    calls, expected = _calls_of_a_whole_run()
    dice = Random(seed)
    engine = SettlementEngine(Steps(dice.randint(1, calls), after=dice.random() < 0.5))
    engine.drop(KEY, some_file())
    engine.run(crashes=1)
    assert engine.state() == expected
    assert len(engine.matcher.seen) >= 36


@pytest.mark.parametrize("after", [False, True])
def test_processing_killed_at_any_call_gives_the_same_result(after: bool) -> None:
    calls, expected = _calls_of_a_whole_run()
    for number in range(1, calls + 1):
        engine = SettlementEngine(Steps(number, after=after))
        engine.drop(KEY, some_file())
        engine.run(crashes=1)
        assert engine.state() == expected, f"killed at call {number}"


def test_repeating_every_message_changes_nothing() -> None:
    _, expected = _calls_of_a_whole_run()
    engine = SettlementEngine()
    engine.drop(KEY, some_file())
    engine.run(each_twice=True)
    assert engine.state() == expected


def test_repeating_every_message_concurrently_changes_nothing() -> None:
    _, expected = _calls_of_a_whole_run()
    engine = SettlementEngine()
    engine.drop(KEY, some_file())
    while engine.queue.waiting:
        both = [engine.queue.waiting.popleft()] * 2
        results = at_once(*[partial(engine.handle, body) for body in both])
        assert {type(each) for each in results if each is not None} <= {StaleWrite}
        if any(isinstance(each, StaleWrite) for each in results):
            engine.queue.waiting.append(both[0])
    assert engine.state() == expected


def test_the_event_of_a_finished_file_changes_nothing() -> None:
    engine = SettlementEngine()
    version = engine.drop(KEY, some_file())
    engine.run()
    before = engine.state()
    engine.announce(KEY, version)
    engine.run()
    assert engine.state() == before


def test_the_event_of_a_file_in_progress_queues_what_is_not_done() -> None:
    engine = SettlementEngine()
    version = engine.drop(KEY, some_file())
    for _ in range(2):  # plan, and one chunk
        engine.handle(engine.queue.waiting.popleft())
    engine.queue.waiting.clear()
    engine.announce(KEY, version)
    engine.run()
    _, expected = _calls_of_a_whole_run()
    assert engine.state() == expected


def test_messages_that_sqs_refuses_are_sent_again() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, some_file())
    engine.queue.refuse = 2
    engine.run()
    assert the_file(engine).status is FileStatus.COMPLETED_WITH_EXCEPTIONS


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_concurrent_files_of_one_settlement_are_both_in_its_sums(
    order: tuple[int, int],
) -> None:
    engine = SettlementEngine()
    _announced_upload(engine, 1, [line(n) for n in range(15)])
    _announced_upload(engine, 2, [line(n) for n in range(10, 30)])
    bodies = [engine.queue.waiting.popleft() for _ in range(2)]
    for position in order:
        engine.handle(bodies[position])
    while engine.queue.waiting:
        both = [engine.queue.waiting.popleft() for _ in range(2) if engine.queue.waiting]
        results = at_once(*[partial(engine.handle, body) for body in both])
        for body, result in zip(both, results, strict=True):
            assert result is None or isinstance(result, StaleWrite)
            if result is not None:
                engine.queue.waiting.append(body)
    (settlement,) = engine.tables.settlements.values()
    assert settlement.counts == {"matched": 30}
    assert settlement.by_type["capture"]["USD"].net == 30_000
    assert set(settlement.added_files) == set(engine.tables.files)
    assert settlement.status is SettlementStatus.COMPLETED


def _announced_upload(
    engine: SettlementEngine, number: int, lines: list[str], sha256: str | None = None
) -> SettlementFile:
    """A file whose row the API has created before."""
    file_id = new_id("fil", START)
    key = f"reconciliation/{SHOP}/{file_id}/2026-03-15.csv"
    row = SettlementFile(
        id=file_id,
        merchant_id=SHOP,
        merchant_status=merchant_status(SHOP, FileStatus.RECEIVED),
        name="2026-03-15.csv",
        key=key,
        status=FileStatus.RECEIVED,
        expected_sha256=sha256,
        created_at=AT,
        updated_at=AT,
        changed_by=f"user {number}",
        request_id="test",
        cause="test",
    )
    engine.tables.files[file_id] = row
    engine.drop(key, file_of(lines))
    return row


# ---------------------------------------------------------------- corrections and payouts


def test_an_unexplained_payout_is_a_mismatch_with_the_sum_of_its_lines() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, some_file(payout=33_990))
    engine.run()
    (settlement,) = engine.tables.settlements.values()
    assert settlement.remainder == {"USD": -10}
    assert settlement.counts["amount_mismatch"] == 1
    assert settlement.open_exceptions == 3
    row = engine.tables.line_rows[settlement.id, 38]
    assert row.status is LineStatus.AMOUNT_MISMATCH
    assert row.expected is not None
    assert row.expected.amount == -34_000
    assert row.reason == (
        "the lines of this payout add up to 340.00 USD, the payout is 339.90 USD: "
        "-0.10 USD is not explained"
    )
    assert row.exception_key == f"amount_mismatch#2026-03-15#{settlement.id}#{38:016d}"


def test_a_corrected_file_makes_the_payout_match_again() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(1), line(2), line(9, -1990, "payout")]))
    engine.run()
    (settlement,) = engine.tables.settlements.values()
    assert (settlement.remainder, settlement.open_exceptions) == ({"USD": -10}, 1)
    engine.drop(KEY, file_of([line(1), line(2, 990), line(9, -1990, "payout")]))
    engine.run()
    (settlement,) = engine.tables.settlements.values()
    assert (settlement.remainder, settlement.open_exceptions) == ({"USD": 0}, 0)
    assert settlement.counts == {"matched": 3}
    assert settlement.status is SettlementStatus.COMPLETED
    row = engine.tables.line_rows[settlement.id, 4]
    assert (row.status, row.expected, row.exception_key) == (LineStatus.MATCHED, None, None)
    assert len(engine.tables.files) == 2
    assert len(settlement.added_files) == 2


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


# ---------------------------------------------------------------- objects and rows


def test_an_announced_file_keeps_its_row() -> None:
    engine = SettlementEngine()
    row = _announced_upload(engine, 1, [line(1)])
    engine.run()
    file = the_file(engine)
    assert (file.id, file.status, file.created_at) == (row.id, FileStatus.COMPLETED, AT)
    assert file.merchant_status == f"{SHOP}#completed"


def test_a_second_version_of_an_announced_file_is_a_separate_file() -> None:
    engine = SettlementEngine()
    row = _announced_upload(engine, 1, [line(1)])
    engine.drop(row.key, file_of([line(1), line(2)]))
    engine.run()
    assert sorted(file.lines for file in engine.tables.files.values()) == [1, 2]
    assert engine.tables.files[row.id].lines == 1


def test_an_object_replaced_while_it_is_read_is_never_mixed_with_its_replacement() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(n) for n in range(25)]))
    replaced: list[str] = []

    def replace(key: str) -> None:
        if not replaced:
            replaced.append(engine.drop(KEY, file_of([line(n, 7) for n in range(100, 103)])))

    engine.bucket.on_read = replace
    engine.run()
    assert sorted(file.lines for file in engine.tables.files.values()) == [3, 25]
    amounts = Counter(row.amount for row in engine.tables.line_rows.values())
    assert amounts == {1000: 25, 7: 3}


def test_an_event_of_a_deleted_object_is_ignored() -> None:
    engine = SettlementEngine()
    engine.announce(KEY, "v9")
    engine.run()
    assert engine.tables.files == {}


@pytest.mark.parametrize("key", ["rejected/x.csv", "converted/fil_1.csv", "reconciliation/"])
def test_the_functions_own_objects_and_empty_folders_are_ignored(key: str) -> None:
    engine = SettlementEngine()
    engine.drop(key, b"")
    engine.run()
    assert engine.tables.files == {}
    assert engine.bucket.objects == {key: b""}


# ---------------------------------------------------------------- rejections

UNKNOWN_MERCHANT = "mer_01KKMT9200XCDX7SXNA4CE7V99"
REJECTED = [
    (KEY, b"", "The file is empty"),
    (KEY, b"id;amount\n1;2\n", "begins with the columns id"),
    (KEY, b"%PDF-1.7 ...", "This is a PDF"),
    (KEY, b",".join(n.encode() for n in HEADER[1:]) + b"\n", "without the column payment_id"),
    (KEY, b"a" * 100_000, "."),
    (
        f"reconciliation/{UNKNOWN_MERCHANT}/2026-03-15.csv",
        file_of([]),
        "in the folder of an unknown merchant",
    ),
    ("somewhere.csv", file_of([]), "not in a merchant's folder"),
    (f"reconciliation/{SHOP}/a/b/c.csv", file_of([]), "not in a merchant's folder"),
]


@pytest.mark.parametrize(("key", "body", "reason"), REJECTED, ids=[r for _, _, r in REJECTED])
def test_other_objects_are_rejected_alerted_and_moved(key: str, body: bytes, reason: str) -> None:
    engine = SettlementEngine()
    engine.drop(key, body)
    engine.run()
    file = the_file(engine)
    assert file.status is FileStatus.REJECTED
    assert reason in (file.reason or "")
    assert engine.bucket.objects == {f"rejected/{key}": body}
    (alert,) = engine.tables.alerts.values()
    assert (alert.type, alert.entity_id) == (AlertType.SETTLEMENT_FILE_REJECTED, file.id)
    assert alert.detail["reason"] == file.reason
    assert engine.tables.line_rows == {}
    shown = [(s.status, s.rejection_reason) for s in engine.tables.settlements.values()]
    whose = file.merchant_id
    assert shown == ([("rejected", file.reason)] if whose == SHOP else [])
    assert alert.merchant_id == whose


@pytest.mark.parametrize(
    "name", ["a" * 1_000, "ä" * 500, "../../x", "a\nb", "%2e%2e#?&+ .csv", "\u202e\ufeff"]
)
@pytest.mark.parametrize("folder", ["", "reconciliation/", f"reconciliation/{SHOP}x/"])
def test_an_object_of_any_name_is_moved_once_and_listed(folder: str, name: str) -> None:
    engine = SettlementEngine()
    key = (folder + name).encode()[:LONGEST_KEY].decode(errors="ignore")
    engine.drop(key, b"no header\n")
    engine.run(each_twice=True)
    assert (the_file(engine).status, the_file(engine).key) == (FileStatus.REJECTED, key)
    (moved,) = engine.bucket.objects
    assert moved.startswith("rejected/")


def test_the_longest_key_is_moved_under_a_shorter_one() -> None:
    engine = SettlementEngine()
    key = f"reconciliation/{SHOP}/".ljust(LONGEST_KEY, "a")
    engine.drop(key, b"no header\n")
    engine.drop(key[:-1] + "b", b"no header\n")
    engine.run()
    assert len(engine.bucket.objects) == 2
    assert {file.status for file in engine.tables.files.values()} == {FileStatus.REJECTED}


@pytest.mark.parametrize("blank", ["\n", '"\n"\n', " \r\n"])
def test_a_file_with_more_physical_lines_than_line_numbers_is_rejected(
    blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.reconciliation.files.plan.LATER_FILE_LINES", 20)
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(1)]) + (blank * 20 + line(2)).encode())
    engine.run()
    assert the_file(engine).status is FileStatus.REJECTED
    assert "20 physical lines" in (the_file(engine).reason or "")


def test_a_file_that_differs_from_the_announced_one_is_rejected() -> None:
    engine = SettlementEngine()
    row = _announced_upload(engine, 1, [line(1)], sha256="ab" * 32)
    engine.run()
    file = engine.tables.files[row.id]
    assert file.status is FileStatus.REJECTED
    assert "was announced" in (file.reason or "")


def test_an_oversized_file_is_rejected_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAX_FILE_BYTES", 100)
    engine = SettlementEngine()
    engine.drop(KEY, some_file())
    engine.run()
    assert "at most 100 are read" in (the_file(engine).reason or "")
    assert engine.bucket.most_read == 0


@pytest.mark.parametrize(
    ("limit", "reason"),
    [("MAX_FILE_LINES", "more than 5 lines"), ("MAX_FILE_PAYOUTS", "more than 5 payouts")],
)
def test_a_file_above_a_limit_is_rejected(
    limit: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"runtime.reconciliation.files.plan.{limit}", 5)
    engine = SettlementEngine()
    header = "automatic_payout_id,balance_transaction_id,currency,gross,fee,net,reporting_category"
    lines = [f"po_{n},txn_{n},usd,1.00,0,1.00,charge,ch_{n}" for n in range(8)]
    engine.drop(KEY, file_of(lines, (*header.split(","), "source_id")))
    engine.run()
    assert reason in (the_file(engine).reason or "")


@pytest.mark.parametrize(
    "full",
    [
        {"file_ids": tuple(f"fil_{n}" for n in range(MAX_SETTLEMENT_FILES))},
        {"line_buckets": tuple(range(MAX_SETTLEMENT_BUCKETS))},
    ],
    ids=["files", "lines"],
)
def test_a_file_name_reused_forever_is_refused_before_its_settlement_is_too_large(
    full: dict[str, Any],
) -> None:
    engine = SettlementEngine()
    key = f"reconciliation/{SHOP}/settlement.csv"
    known = settlement_id(SHOP, SettlementFormat.CANONICAL, None, "settlement.csv")
    engine.tables.settlements[known] = Settlement(
        id=known,
        merchant_id=SHOP,
        date="2026-03-14",
        status=SettlementStatus.COMPLETED,
        source=key,
        sha256="",
        created_at=AT,
        updated_at=AT,
        changed_by="test",
        request_id="test",
        cause="test",
        **full,
    )
    engine.drop(key, file_of([line(1)]))
    engine.run()
    assert the_file(engine).status is FileStatus.REJECTED
    assert "a name of its own" in (the_file(engine).reason or "")


def test_a_rejection_killed_at_any_call_gives_the_same_result() -> None:
    whole = SettlementEngine()
    whole.drop(KEY, b"no header\n")
    whole.run()
    for number in range(1, whole.steps.made + 1):
        for after in (False, True):
            engine = SettlementEngine(Steps(number, after=after))
            engine.drop(KEY, b"no header\n")
            engine.run(crashes=1)
            assert engine.state() == whole.state(), f"killed at call {number}"


def test_a_replacement_of_a_rejected_object_is_not_moved() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, b"no header\n")
    good = file_of([line(1)])
    engine.drop(KEY, good)
    engine.run()
    statuses = Counter(file.status for file in engine.tables.files.values())
    assert statuses == {"rejected": 1, "completed": 1}
    assert engine.bucket.objects[KEY] == good


def test_a_crash_is_not_caught_by_the_code_under_test() -> None:
    engine = SettlementEngine(dataclasses.replace(Steps(), kill_at=3))
    engine.drop(KEY, some_file())
    with pytest.raises(ProcessKilled):
        engine.handle(engine.queue.waiting.popleft())
