"""What an incremental run notes, and which objects of the archive it reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime.audit.archive.bucket import AuditArchive
from runtime.audit.archive.rules import segment_name
from runtime.core.timestamps import to_timestamp
from runtime.verification.accounts.checkpoints import RowCheckpoints
from runtime.verification.accounts.rules import Checkpoint
from runtime.verification.changes.feed import ArchiveFeed
from runtime.verification.changes.notes import NotedIds, Notes, Subject, merged, segment_of
from runtime.verification.rules import Baseline, FullRun, LedgerVerificationReport, RunKind, Window
from simulation.aws.objects import ObjectStore
from simulation.aws.s3 import _Pages

SEGMENTS = 4
NOW = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)

ids = st.text("abc#", min_size=1, max_size=3)
notes_taken = st.lists(
    st.tuples(st.sampled_from(Subject), ids, st.booleans(), st.booleans()), max_size=40
)


@given(notes_taken)
def test_noted_ids_are_read_once_each_however_they_are_stored(
    taken: Sequence[tuple[Subject, str, bool, bool]],
) -> None:
    stored: dict[int, list[NotedIds]] = {}

    def store(target: int, noted: NotedIds) -> None:
        again = NotedIds.model_validate_json(noted.model_dump_json(exclude_defaults=True))
        stored.setdefault(target, []).append(again)

    notes = Notes(SEGMENTS, store)
    for subject, identifier, suspect, flushes in taken:
        notes.note(subject, identifier, suspect=suspect)
        if flushes:
            notes.flush()
    notes.flush()
    for target in range(SEGMENTS):
        read = merged(stored.get(target, ()))
        for subject in Subject:
            mine = [
                (each, suspect)
                for kind, each, suspect, _ in taken
                if kind is subject and segment_of(each, SEGMENTS) == target
            ]
            expected = {
                each: any(suspect for other, suspect in mine if other == each) for each, _ in mine
            }
            assert read[subject] == expected


def test_the_rows_of_an_account_are_in_its_segment() -> None:
    names = [f"acc_{number}" for number in range(20)]
    assert all(segment_of(f"{each}#00", 8) == segment_of(each, 8) for each in names)
    assert len({segment_of(each, 8) for each in names}) > 1


class PagedStore(ObjectStore):
    """Objects with the pages of a client."""

    def get_paginator(self, operation: str) -> _Pages:
        return _Pages(getattr(self, operation), operation)


def change(entity: str) -> dict[str, object]:
    return {
        "entity_id": entity,
        "sequence": "000000000001",
        "entity_type": "transfer",
        "timestamp": to_timestamp(NOW),
        "new_values": {"created_at": to_timestamp(NOW)},
        "hash": "x",
    }


def test_the_feed_reads_segments_written_since_whatever_day_they_are_named_after() -> None:
    clock = [NOW]
    s3: Any = PagedStore("feed", lambda: clock[0])
    s3.create("audit", locked=True)
    archive = AuditArchive(s3, "audit")

    def write(entity: str, days_ago: int) -> str:
        body = json.dumps(change(entity)).encode() + b"\n" + b'{"unreadable":{}}\n'
        day = (clock[0] - timedelta(days=days_ago)).date()
        name = segment_name(day, "1" * 20, 1, body)
        assert archive.add_segment(name, body)
        return name

    write("trf_old", 0)
    clock[0] += timedelta(hours=1)
    since = to_timestamp(clock[0])
    clock[0] += timedelta(hours=1)
    late, new = write("trf_late", 1), write("trf_new", 0)
    feed = ArchiveFeed(archive)
    assert list(feed.names(since)) == [late, new]
    (read,) = feed.changes(late)
    assert (read.entity_id, read.is_irregular, read.is_of_new_row) == ("trf_late", False, True)


def test_a_checkpoint_is_used_once_its_cut_is_verified() -> None:
    early, late = Checkpoint(sequence="1", balance=5), Checkpoint(sequence="2", balance=9)
    kept = RowCheckpoints().adding("2026-03-01T00:00:00.000Z", early)
    kept = kept.adding("2026-03-02T00:00:00.000Z", late)
    assert kept.until("2026-02-28T00:00:00.000Z") is None
    assert kept.until("2026-03-01T12:00:00.000Z") == early
    assert kept.until("2026-03-02T00:00:00.000Z") == late
    assert kept.adding("2026-03-03T00:00:00.000Z", None) == kept
    assert len(kept.adding("2026-03-03T00:00:00.000Z", late).kept) == 2


def test_each_operation_is_in_the_window_of_one_run() -> None:
    runs = [Window("B"), Window("D", "B"), Window("F", "D")]
    for time in "ABCDEFG":
        including = [run for run in runs if run.includes(f"trf_{time}")]
        assert len(including) == (time != "G")


DAYS = [f"2026-03-0{day}T00:00:00.000Z" for day in range(1, 4)]


def report(kind: RunKind, as_of: str, *, holds: bool) -> LedgerVerificationReport:
    return LedgerVerificationReport(
        run_id="prf_x",
        holds=holds,
        as_of=as_of,
        completed_at=as_of,
        kind=kind,
        since=None if kind is RunKind.FULL else DAYS[0],
        checks=(),
    )


def test_only_a_run_that_holds_advances_the_verified_state() -> None:
    full, incremental = RunKind.FULL, RunKind.INCREMENTAL
    first = Baseline().after(report(full, DAYS[0], holds=True))
    assert first == Baseline(
        verified_until=DAYS[0],
        last_full=FullRun(run_id="prf_x", holds=True, as_of=DAYS[0], completed_at=DAYS[0]),
    )
    second = first.after(report(incremental, DAYS[1], holds=True))
    assert (second.verified_until, second.last_full) == (DAYS[1], first.last_full)
    assert second.after(report(incremental, DAYS[2], holds=False)) == second
    failed = second.after(report(full, DAYS[2], holds=False))
    assert failed.verified_until is None
    assert failed.last_full is not None
    assert not failed.last_full.holds
