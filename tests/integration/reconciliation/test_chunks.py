"""Files, chunks and closing: every expression once, and the refusal of stale rows."""

from __future__ import annotations

import pytest

from runtime.core.change_context import ChangeContext
from runtime.core.errors import StaleWrite
from runtime.reconciliation.files.chunks_repository import SettlementChunkRepository, stepped_chunk
from runtime.reconciliation.files.models import (
    FileStatus,
    SettlementChunk,
    SettlementFile,
    chunk_id,
    merchant_status,
)
from runtime.reconciliation.settlements.line_keys import line_partition
from runtime.reconciliation.settlements.models import (
    CurrencyTotal,
    LineStatus,
    Settlement,
    SettlementDelta,
    SettlementLine,
    SettlementStatus,
    TypeTotal,
)
from runtime.reconciliation.settlements.writes import SettlementWrites
from tests.support.outside import new_id
from tests.support.platform import Platform

AT = "2026-03-14T09:00:00.000Z"
CONTEXT = ChangeContext(changed_by="reconcile", request_id="message", cause="chk_1")
STAMP = {"created_at": AT, "updated_at": AT, **CONTEXT.stamp()}


def fresh(platform: Platform) -> str:
    return new_id("tst", platform.clock())


def a_file(status: FileStatus = FileStatus.RECEIVED) -> SettlementFile:
    return SettlementFile(
        id="fil_1",
        merchant_id="mer_1",
        merchant_status=merchant_status("mer_1", status),
        name="x.csv",
        key="reconciliation/mer_1/x.csv",
        status=status,
        chunks=2,
        **STAMP,
    )


def a_chunk(number: int = 0, **changes: object) -> SettlementChunk:
    chunk = SettlementChunk(
        id=chunk_id("fil_1", number),
        file_id="fil_1",
        merchant_id="mer_1",
        number=number,
        start=0,
        end=10,
        first_line=2,
        lines=1,
        repeats={"5": 2},
        duplicates=(5,),
        updated_at=AT,
        cause="plan",
    )
    return chunk.model_copy(update=changes)


def a_settlement() -> Settlement:
    return Settlement(
        id="set_1",
        merchant_id="mer_1",
        date="2026-03-15",
        status=SettlementStatus.PROCESSING,
        source="k",
        sha256="s",
        **STAMP,
    )


def writes(*lines: tuple[SettlementLine, SettlementLine]) -> SettlementWrites:
    return SettlementWrites(lines=lines)


def test_a_file_is_created_once_and_advances_by_version(either_world: Platform) -> None:
    platform = either_world
    rows = SettlementChunkRepository(platform.store)
    first = a_file()
    assert rows.put_new_file(first) == first
    assert rows.put_new_file(first.model_copy(update={"name": "y.csv"})) == first
    second = first.model_copy(update={"version": 2, "status": FileStatus.PROCESSING})
    rows.advance(first, second, token=fresh(platform))
    with pytest.raises(StaleWrite, match="taken further"):
        rows.advance(first, second, token=fresh(platform))
    assert rows.file("fil_1") == second
    assert rows.file("fil_2") is None


def test_chunks_are_replaced_only_while_their_file_is_unchanged_since_planning(
    platform: Platform,
) -> None:
    rows = SettlementChunkRepository(platform.store)
    file = rows.put_new_file(a_file())
    rows.put_chunks(file, [a_chunk(0), a_chunk(1)], token=fresh(platform))
    rows.put_chunks(file, [a_chunk(0, end=11), a_chunk(1)], token=fresh(platform))
    assert [chunk.end for chunk in rows.chunks(file)] == [11, 10]
    working = file.model_copy(update={"version": 2, "status": FileStatus.PROCESSING})
    rows.advance(file, working, token=fresh(platform))
    with pytest.raises(StaleWrite):
        rows.put_chunks(file, [a_chunk(0)], token=fresh(platform))
    assert rows.chunk("fil_1", 0) == a_chunk(0, end=11)
    assert rows.chunk("fil_1", 7) is None


def test_a_completed_chunk_is_counted_once_by_its_file(platform: Platform) -> None:
    rows = SettlementChunkRepository(platform.store)
    rows.put_new_file(a_file(FileStatus.PROCESSING))
    total = TypeTotal(amount=5, net=5, count=1)
    delta = SettlementDelta(
        counts={LineStatus.MATCHED: 1},
        totals={"USD": CurrencyTotal(amount=5, net=5)},
        by_type={"capture": {"USD": total}},
        buckets=(0,),
    )
    chunk = a_chunk(deltas={"set_1": delta})
    platform.put(chunk)
    done = stepped_chunk(chunk, AT, "chk_1")
    rows.finish(chunk, done, CONTEXT, fresh(platform))
    with pytest.raises(StaleWrite):
        rows.finish(chunk, done, CONTEXT, fresh(platform))
    assert rows.chunk("fil_1", 0) == done
    file = rows.file("fil_1")
    assert file is not None
    assert (file.chunks_done, file.version, file.cause) == (1, 2, "chk_1")


def test_a_chunk_is_finished_only_while_its_file_is_in_progress(platform: Platform) -> None:
    rows = SettlementChunkRepository(platform.store)
    rows.put_new_file(a_file(FileStatus.COMPLETED))
    platform.put(a_chunk())
    with pytest.raises(StaleWrite):
        rows.finish(a_chunk(), stepped_chunk(a_chunk(), AT, "chk_1"), CONTEXT, fresh(platform))
    assert rows.chunk("fil_1", 0) == a_chunk()


def test_a_settlement_and_its_payout_line_are_closed_together_or_not_at_all(
    platform: Platform,
) -> None:
    rows = SettlementChunkRepository(platform.store)
    before = a_settlement()
    rows.put_new_settlement(before)
    rows.put_new_settlement(before.model_copy(update={"source": "other"}))
    line = SettlementLine(
        settlement_bucket=line_partition("set_1", 7),
        line=7,
        settlement_id="set_1",
        merchant_id="mer_1",
        status=LineStatus.MATCHED,
        **STAMP,
    )
    platform.put(line)
    assert rows.settlement("set_1") == before
    assert rows.settlement("set_2") is None
    assert rows.lines("set_1", [7]) == [line]
    assert rows.lines("set_1", []) == []
    after = before.model_copy(update={"version": 2, "added_files": ("fil_1",)})
    changed = line.model_copy(update={"version": 2, "status": LineStatus.AMOUNT_MISMATCH})
    stale = line.model_copy(update={"version": 5})
    with pytest.raises(StaleWrite):
        rows.close(before, after, writes((stale, changed)), token=fresh(platform))
    assert rows.settlement("set_1") == before
    rows.close(before, after, writes((line, changed)), token=fresh(platform))
    assert rows.settlement("set_1") == after
    assert rows.lines("set_1", [7]) == [changed]
    with pytest.raises(StaleWrite):
        rows.close(before, after, writes(), token=fresh(platform))
