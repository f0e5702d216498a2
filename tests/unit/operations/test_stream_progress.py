"""When the progress of a change stream is noted, what the note says, and when a stream is late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime.core.timestamps import to_timestamp
from runtime.operations.models import StreamProgress
from runtime.operations.overview import LAG_LIMIT, LATE_FOR, stream_answer
from runtime.operations.stream_progress import (
    MAX_FAILED,
    NOTED_EVERY,
    PROGRESS_NOT_NOTED,
    ProgressNotes,
)
from runtime.settings import ArchiveSettings, ProjectSettings
from runtime.streams.records import Failed, Kind, StreamRecord

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
NOTHING: Failed = frozenset()


def record(number: int, *, age: float = 0.0, table: str = "payments") -> StreamRecord:
    raw = {"dynamodb": {"ApproximateCreationDateTime": (NOW.timestamp() - age)}}
    return StreamRecord(table, Kind.MODIFY, str(number), {}, {}, raw)


class Consumer:
    """One execution environment, with a clock and the rows that it has written."""

    def __init__(self) -> None:
        self.now = NOW
        self.written: list[tuple[StreamProgress, str]] = []
        self.broken = False
        self.notes = ProgressNotes(self._rows, lambda: self.now)

    def _rows(self) -> Any:
        if self.broken:
            raise TimeoutError("the table does not answer")
        return self

    def note(self, progress: StreamProgress, begins_with: str) -> None:
        self.written.append((progress, begins_with))

    def process(self, *records: StreamRecord, failed: Failed = NOTHING) -> None:
        assert self.notes.noted({}, records, lambda given: failed) == failed

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


def test_a_good_batch_is_noted_with_its_oldest_record(consumer: Consumer) -> None:
    consumer.process(record(7, age=3), record(8, age=5), record(9))
    ((noted, begins_with),) = consumer.written
    assert noted == StreamProgress(
        name="payments",
        noted_at=to_timestamp(NOW),
        record_at=to_timestamp(NOW - timedelta(seconds=5)),
    )
    assert begins_with == "7"


def test_a_failed_batch_is_noted_with_its_first_failed_record(consumer: Consumer) -> None:
    batch = record(7, age=9), record(8, age=5), record(9, age=7)
    consumer.process(*batch, failed=frozenset({"9", "8"}))
    ((noted, begins_with),) = consumer.written
    assert (noted.failed_record, begins_with) == ("8", "7")
    assert noted.record_at == to_timestamp(NOW - timedelta(seconds=5))


def test_good_batches_are_noted_every_ten_seconds_and_each_stream_for_itself(
    consumer: Consumer,
) -> None:
    for number in range(50):
        consumer.process(record(number))
        consumer.process(record(number, table="transfers"))
        consumer.wait(0.5)
    assert [progress.name for progress, _ in consumer.written] == ["payments", "transfers"] * 3
    times = {progress.noted_at for progress, _ in consumer.written}
    assert times == {to_timestamp(NOW + number * NOTED_EVERY) for number in range(3)}


def test_a_clock_that_goes_back_does_not_stop_the_notes(consumer: Consumer) -> None:
    consumer.process(record(1))
    consumer.wait(-3600)
    consumer.process(record(2))
    assert len(consumer.written) == 2


def test_each_failure_is_noted_at_once_and_so_is_the_retry_that_succeeds(
    consumer: Consumer,
) -> None:
    consumer.process(record(1))
    consumer.process(record(2), record(3), failed=frozenset({"3"}))
    consumer.process(record(3), failed=frozenset({"3"}))
    consumer.process(record(30))  # of another shard: its turn comes later
    consumer.process(record(3), record(4))
    consumer.process(record(5))
    shown = [(progress.failed_record, begins) for progress, begins in consumer.written]
    assert shown == [(None, "1"), ("3", "2"), ("3", "3"), (None, "3")]


def test_a_function_that_raises_has_failed_on_its_whole_batch(consumer: Consumer) -> None:
    def work(_: Sequence[StreamRecord]) -> Failed:
        raise LookupError("a table without a model")

    with pytest.raises(LookupError):
        consumer.notes.noted({}, (record(1, age=4), record(2)), work)
    ((noted, _),) = consumer.written
    assert noted.failed_record == "1"


def test_a_row_that_cannot_be_written_fails_no_batch_and_is_not_tried_again_at_once(
    consumer: Consumer, caplog: pytest.LogCaptureFixture
) -> None:
    consumer.broken = True
    consumer.process(record(1))
    consumer.process(record(2))
    assert caplog.text.count(PROGRESS_NOT_NOTED) == 1
    consumer.broken = False
    consumer.wait(10)
    consumer.process(record(3))
    assert [begins for _, begins in consumer.written] == ["3"]


def test_a_redrive_is_not_noted(consumer: Consumer) -> None:
    batch = (record(1, age=3600),)
    redrive = {"redriven": True}
    assert consumer.notes.noted(redrive, batch, lambda given: frozenset({"1"})) == {"1"}
    assert consumer.written == []


def test_failures_that_are_given_up_do_not_pile_up(consumer: Consumer) -> None:
    for number in range(MAX_FAILED + 1):
        consumer.process(record(number), failed=frozenset({str(number)}))
    consumer.written.clear()
    consumer.process(record(0))
    assert consumer.written == [], "it was forgotten with the others"
    consumer.process(record(MAX_FAILED))
    assert [begins for _, begins in consumer.written] == [str(MAX_FAILED)]


def test_a_stream_without_a_batch_has_no_lag() -> None:
    assert stream_answer("payments", 0, None, NOW).model_dump() == {
        "name": "payments",
        "last_batch_at": None,
        "lag_seconds": None,
        "failing": None,
        "late": None,
    }


def progress(lag: timedelta, *, ago: timedelta, failed: str | None = None) -> StreamProgress:
    noted = NOW - ago
    return StreamProgress(
        name="payments",
        noted_at=to_timestamp(noted),
        record_at=to_timestamp(noted - lag),
        failed_record=failed,
    )


@pytest.mark.parametrize(
    ("window", "more", "ago", "late"),
    [
        (0, 0, timedelta(0), False),
        (0, 1, timedelta(0), True),
        (30, 30, timedelta(0), False),
        (30, 31, LATE_FOR, True),
        (0, 3600, LATE_FOR + timedelta(milliseconds=1), False),
    ],
)
def test_a_stream_is_late_whose_last_batch_was_behind_and_is_recent(
    window: int, more: int, ago: timedelta, late: bool
) -> None:
    lag = LAG_LIMIT + timedelta(seconds=more)
    answer = stream_answer("payments", window, progress(lag, ago=ago), NOW)
    assert (answer.lag_seconds, answer.late, answer.failing) == (60 + more, late, False)
    assert answer.last_batch_at == to_timestamp(NOW - ago)


def test_the_lag_of_a_failing_stream_grows_until_a_batch_succeeds() -> None:
    failing = progress(timedelta(seconds=2), ago=timedelta(0), failed="7")
    for waited in (0, 1, 3600):
        answer = stream_answer("payments", 0, failing, NOW + timedelta(seconds=waited))
        assert (answer.lag_seconds, answer.failing, answer.late) == (2 + waited, True, True)


def test_a_record_from_a_clock_that_is_ahead_has_no_lag() -> None:
    early = progress(timedelta(seconds=-1), ago=timedelta(0))
    assert stream_answer("payments", 0, early, NOW).lag_seconds == 0


@pytest.mark.parametrize(
    ("settings", "streams"),
    [
        (ArchiveSettings, {"audit_log"}),
        (
            ProjectSettings,
            {
                "accounts",
                "alerts",
                "customers",
                "exports",
                "merchants",
                "payments",
                "settlements",
                "transactions",
                "transfers",
            },
        ),
    ],
)
def test_each_consumer_may_write_the_rows_of_its_own_streams_and_no_other(
    settings: Any, streams: set[str]
) -> None:
    use = settings.TABLE_USES["stream_progress"]
    assert use.actions == ()
    assert {action: set(names) for action, names in use.by_key.items()} == {"UpdateItem": streams}
