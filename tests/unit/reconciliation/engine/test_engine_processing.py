"""Processing settlement files: chunks, lines, encodings, corrections and payouts."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from runtime.reconciliation.files.models import (
    FileStatus,
)
from runtime.reconciliation.importers.text_records import MAX_RECORD_BYTES
from runtime.reconciliation.settlements.models import (
    LineStatus,
    Settlement,
    SettlementDelta,
    SettlementStatus,
)
from tests.support.reconciliation.engine import AT, SHOP, SettlementEngine
from tests.support.reconciliation.render import PAYPAL_HEADER
from tests.support.reconciliation.settlement_files import (
    CHUNK,
    KEY,
    TYPED,
    file_of,
    line,
    some_file,
    the_file,
)
from tests.support.reconciliation.workbooks import Cell, workbook

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
