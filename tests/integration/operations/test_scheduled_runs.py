"""What operators see at a glance: the last run of each schedule, and what waits in dead letters."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.operations.models import RunOutcome, ScheduledRun
from runtime.operations.recording import RUN_NOT_RECORDED, recorded_run
from runtime.operations.repository import ScheduledRunRepository
from simulation.platform.settings import MINUTES
from tests.support.engines.faults import Fault, Faults, at_call
from tests.support.http import DEAD_LETTERS, Context, token_of
from tests.support.platform import Platform
from tests.support.stages.running_stage import Stage


def record(platform: Platform, runs: ScheduledRunRepository, work: Any = lambda: None) -> None:
    with recorded_run("holds", "run_1", lambda: runs, platform.clock):
        platform.clock.advance(2)
        work()


def fail() -> None:
    raise LookupError("nothing that everyone may read")


def test_a_run_is_recorded_with_its_times_and_the_next_one_replaces_it(platform: Platform) -> None:
    runs = ScheduledRunRepository(platform.store)
    began = platform.clock()
    with pytest.raises(LookupError):
        record(platform, runs, fail)
    (failed,) = runs.get_many(["holds", "resolver"]).values()
    assert (failed.name, failed.run_id) == ("holds", "run_1")
    assert (failed.outcome, failed.error) == (RunOutcome.FAILED, "LookupError")
    assert to_datetime(failed.started_at) >= began
    assert to_datetime(failed.ended_at) - to_datetime(failed.started_at) >= timedelta(seconds=2)
    record(platform, runs)
    run = runs.get_many(["holds"])["holds"]
    assert (run.outcome, run.error) == (RunOutcome.SUCCEEDED, None)
    assert run.started_at > failed.ended_at


def test_a_run_that_started_earlier_does_not_replace_a_later_one(platform: Platform) -> None:
    runs = ScheduledRunRepository(platform.store)
    now = platform.clock()
    later, earlier = (
        ScheduledRun(
            name="holds",
            run_id=f"run_{minutes}",
            started_at=to_timestamp(now + timedelta(minutes=minutes)),
            ended_at=to_timestamp(now + timedelta(hours=1)),
            outcome=RunOutcome.SUCCEEDED,
        )
        for minutes in (2, 1)
    )
    runs.record(later)
    runs.record(earlier)
    assert runs.get_many(["holds"]) == {"holds": later}


def test_a_run_whose_row_cannot_be_written_is_logged_and_not_failed(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    def impatient() -> ScheduledRunRepository:
        busy = Faults(at_call("UpdateItem", 1, Fault.THROTTLED)).attach(platform.engine.dynamodb())
        return ScheduledRunRepository(platform.store_on(busy, remaining_seconds=lambda: 0.0))

    record(platform, impatient())
    assert RUN_NOT_RECORDED in caplog.text
    with pytest.raises(LookupError):
        record(platform, impatient(), fail)
    assert ScheduledRunRepository(platform.store).get_many(["holds"]) == {}


def test_the_route_shows_runs_and_counts_dead_letters(stage: Stage) -> None:
    sqs = stage.aws.client("sqs")
    for name in DEAD_LETTERS:
        sqs.create_queue(QueueName=f"{stage.queue_url.rpartition('/')[2]}-{name}")
    sqs.send_message(QueueUrl=f"{stage.queue_url}-deliveries", MessageBody="given up")
    for name in MINUTES:
        stage.api.modules[name].handler({"schedule": name}, Context())
    answer = stage.api("GET", "/v1/operations")
    assert answer.status == 200, answer.text
    shown = {each["name"]: each for each in answer.body["schedules"]}
    assert set(shown) == set(MINUTES)
    for each in shown.values():
        assert (each["outcome"], each["error"], each["late"]) == ("succeeded", None, False), each
    waiting = {each["queue"]: each["messages"] for each in answer.body["dead_letters"]}
    assert waiting == {name: int(name == "deliveries") for name in DEAD_LETTERS}
    assert stage.api("GET", "/v1/operations", authorizer=token_of("mer_1")).status == 403
