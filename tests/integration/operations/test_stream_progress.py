"""The rows of stream progress: which batch replaces which, and what the route shows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from runtime.core.errors.internal import Unavailable
from runtime.core.timestamps import to_timestamp
from runtime.functions.composition.projector import Projector
from runtime.operations.models import StreamProgress
from runtime.operations.repository import FAILURE_KEPT, StreamProgressRepository
from runtime.operations.stream_progress import PROGRESS_NOT_NOTED
from runtime.streams.records import Failed, StreamRecord
from simulation.platform.settings import STREAM_WINDOWS
from tests.support.engines.engine import Engine
from tests.support.http import Context
from tests.support.platform import Platform
from tests.support.stages.running_stage import Stage


class Row:
    """The row of the stream of payments, with times in seconds from now."""

    def __init__(self, platform: Platform) -> None:
        self.repository = StreamProgressRepository(platform.store)
        self._began = platform.clock()

    def note(
        self, begins_with: str, *, at: float, record: float, failed: str | None = None
    ) -> None:
        progress = StreamProgress(
            name="payments",
            noted_at=self.time(at),
            record_at=self.time(record),
            failed_record=failed,
        )
        self.repository.note(progress, begins_with)

    def time(self, seconds: float) -> str:
        return to_timestamp(self._began + timedelta(seconds=seconds))

    def must_be(self, *, at: float, record: float, failed: str | None = None) -> None:
        row = self.repository.get_many(["payments", "transfers"])["payments"]
        shown = (row.noted_at, row.record_at, row.failed_record)
        assert shown == (self.time(at), self.time(record), failed)


@pytest.fixture
def platform(dynamodb_local_engine: Engine) -> Iterator[Platform]:
    """On AWS's own engine, whatever ENGINE says: the rules are conditions of a write."""
    platform = Platform(dynamodb_local_engine)
    yield platform
    platform.drop()


@pytest.fixture
def row(platform: Platform) -> Row:
    return Row(platform)


def test_a_good_batch_replaces_a_good_one(row: Row) -> None:
    assert row.repository.get_many(["payments"]) == {}
    row.note("1", at=0, record=-9)
    row.note("2", at=1, record=0)
    row.must_be(at=1, record=0)


def test_a_failed_batch_replaces_a_good_one_and_its_retry_replaces_it(row: Row) -> None:
    row.note("1", at=0, record=-1)
    row.note("2", at=1, record=0, failed="3")
    row.must_be(at=1, record=0, failed="3")
    row.note("3", at=2, record=0, failed="3")
    row.must_be(at=2, record=0, failed="3")
    row.note("3", at=3, record=0)
    row.must_be(at=3, record=0)


def test_a_retry_that_comes_further_and_fails_again_replaces_the_failure(row: Row) -> None:
    row.note("2", at=1, record=0, failed="3")
    row.note("3", at=2, record=1, failed="5")
    row.must_be(at=2, record=1, failed="5")


def test_a_good_batch_of_another_shard_does_not_hide_a_failure(row: Row) -> None:
    row.note("2", at=0, record=-1, failed="3")
    row.note("20", at=FAILURE_KEPT.total_seconds(), record=0)
    row.must_be(at=0, record=-1, failed="3")
    after = FAILURE_KEPT.total_seconds() + 0.001
    row.note("20", at=after, record=0)
    row.must_be(at=after, record=0)


def test_of_two_shards_that_fail_the_older_record_is_kept(row: Row) -> None:
    row.note("2", at=0, record=-5, failed="3")
    row.note("20", at=1, record=-4, failed="30")
    row.must_be(at=0, record=-5, failed="3")
    row.note("200", at=2, record=-60, failed="300")
    row.must_be(at=2, record=-60, failed="300")


def shown(stage: Stage) -> dict[str, Any]:
    answer = stage.api("GET", "/v1/operations")
    assert answer.status == 200, answer.text
    return {each["name"]: each for each in answer.body["streams"]}


def test_the_route_shows_a_stream_with_a_batch_that_fails_and_its_retry(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.shop()
    batch = seen_by_project(stage, monkeypatch)
    streams = shown(stage)
    assert set(streams) == set(STREAM_WINDOWS)
    merchants = streams["merchants"]
    assert (merchants["failing"], merchants["late"]) == (False, False)
    assert merchants["lag_seconds"] >= 0
    never = {"last_batch_at": None, "lag_seconds": None, "failing": None, "late": None}
    assert streams["settlements"] == {"name": "settlements", **never}
    with monkeypatch.context() as patched:
        patched.setattr(Projector, "apply", first_fails)
        assert stage.api.project(*batch)["batchItemFailures"]
    failing = shown(stage)["merchants"]
    assert (failing["failing"], failing["late"]) == (True, True)
    assert stage.api.project(*batch) == {"batchItemFailures": []}
    assert (shown(stage)["merchants"]["failing"], shown(stage)["merchants"]["late"]) == (False,) * 2


def test_a_redrive_is_not_noted_as_a_batch_of_the_stream(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.shop()
    batch = seen_by_project(stage, monkeypatch)
    before = shown(stage)["merchants"]
    with monkeypatch.context() as patched:
        patched.setattr(Projector, "apply", first_fails)
        again = {"redriven": True, "Records": batch}
        assert stage.api.modules["project"].handler(again, Context())["batchItemFailures"]
    assert shown(stage)["merchants"] == before


def test_a_batch_whose_row_cannot_be_written_is_done_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unwritable(*_: Any) -> None:
        raise Unavailable("the table is busy")

    monkeypatch.setattr(StreamProgressRepository, "note", unwritable)
    stage.shop()
    batch = seen_by_project(stage, monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(Projector, "apply", first_fails)
        assert stage.api.project(*batch)["batchItemFailures"], (
            "noted at once, whenever the last was"
        )
    assert PROGRESS_NOT_NOTED in caplog.text
    assert stage.api.project(*batch) == {"batchItemFailures": []}


def seen_by_project(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What waits in the streams is projected; returns the records of merchants."""
    seen = list[Any]()
    module = stage.api.modules["project"]
    handler = module.handler

    def noting(event: Any, context: Any) -> Any:
        seen.extend(event["Records"])
        return handler(event, context)

    with monkeypatch.context() as patched:
        patched.setattr(module, "handler", noting)
        stage.project()
    table = f":table/{stage.tables['merchants']}/"
    return [each for each in seen if table in each["eventSourceARN"]]


def first_fails(_: Projector, records: Sequence[StreamRecord]) -> Failed:
    return frozenset({records[0].sequence_number})
