"""The overview of background work: when a schedule is late, and queues that do not answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from runtime.core.timestamps import to_timestamp
from runtime.operations.dead_letters import COUNT_UNKNOWN, DeadLetterQueues
from runtime.operations.models import RunOutcome, ScheduledRun, StreamProgress
from runtime.operations.overview import LATE_AFTER, OperationsReads, get_operations, schedule_answer
from runtime.settings import QuerySettings
from stacks.scheduled_workers import AUDIT, LEDGER, PAYMENTS, WEBHOOKS
from tests.support.outside import OUTSIDE

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
WORKERS = (*PAYMENTS, *LEDGER, *WEBHOOKS, *AUDIT)


def run(started: datetime, **more: Any) -> ScheduledRun:
    return ScheduledRun(
        name="holds",
        run_id="run_1",
        started_at=to_timestamp(started),
        ended_at=to_timestamp(started + timedelta(seconds=3)),
        **{"outcome": RunOutcome.SUCCEEDED, **more},
    )


@pytest.mark.parametrize(
    ("since", "late"), [(timedelta(0), False), (timedelta(milliseconds=1), True)]
)
def test_a_schedule_is_late_once_its_next_run_should_have_ended(
    since: timedelta, late: bool
) -> None:
    started = NOW - timedelta(minutes=5) - LATE_AFTER - since
    answer = schedule_answer("holds", 5, run(started), NOW)
    assert (answer.late, answer.every_seconds) == (late, 300)
    assert (answer.last_started_at, answer.outcome) == (to_timestamp(started), "succeeded")


def test_a_schedule_that_has_not_run_yet_has_no_run_and_is_not_called_late() -> None:
    answer = schedule_answer("holds", 5, None, NOW)
    assert answer.model_dump(exclude={"name", "every_seconds"}) == {
        "last_started_at": None,
        "last_ended_at": None,
        "outcome": None,
        "error": None,
        "run_id": None,
        "late": None,
    }


class Queues:
    """SQS with one message in each queue, but for one queue that does not exist."""

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> Any:
        if QueueUrl.endswith("/gone-dead-letters"):
            raise ClientError({"Error": {"Code": "x"}}, "GetQueueAttributes")
        return {"Attributes": dict.fromkeys(AttributeNames, "1")}


def test_a_queue_that_cannot_be_counted_hides_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    aws: Any = SimpleNamespace(sqs=Queues)
    outside = replace(OUTSIDE, aws=aws, now=lambda: NOW)
    queues = DeadLetterQueues(
        ["holds", "gone"], "https://sqs.invalid/1/{name}-dead-letters", outside
    )
    runs: Any = SimpleNamespace(get_many=lambda names: {"holds": run(NOW, error="E")})
    noted = StreamProgress(name="payments", noted_at=to_timestamp(NOW), record_at=to_timestamp(NOW))
    progress: Any = SimpleNamespace(get_many=lambda names: {"payments": noted})
    schedules, streams = {"proof": 5, "holds": 1}, {"payments": 0, "accounts": 0}
    answer = get_operations(OperationsReads(runs, progress, queues, schedules, streams, outside))
    assert [(each.queue, each.messages) for each in answer.dead_letters] == [
        ("gone", None),
        ("holds", 1),
    ]
    assert [(each.name, each.error) for each in answer.schedules] == [
        ("holds", "E"),
        ("proof", None),
    ]
    assert [(each.name, each.lag_seconds) for each in answer.streams] == [
        ("accounts", None),
        ("payments", 0),
    ]
    assert COUNT_UNKNOWN in caplog.text


@pytest.mark.parametrize("worker", WORKERS, ids=lambda worker: worker.name)
def test_each_schedule_may_write_its_own_row_and_no_other(worker: Any) -> None:
    use = worker.settings.TABLE_USES["scheduled_runs"]
    assert (use.actions, dict(use.by_key)) == ((), {"UpdateItem": (worker.name,)})


def test_the_settings_of_the_query_function_survive_the_environment() -> None:
    known = {
        "stage": "s",
        "service": "query",
        "tables": dict.fromkeys(QuerySettings.TABLE_USES, "t"),
        "export_bucket": "b",
        "pii_key_arn": "k",
        "index_key_arn": "k",
        "schedules": {"holds": 1},
        "streams": {"payments": 0, "audit_log": 30},
    }
    settings = QuerySettings.model_validate(known)
    assert QuerySettings.from_environment(settings.environment()) == settings
