"""Response shapes of operations."""

from http import HTTPStatus
from typing import Final

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer
from runtime.operations.models import RunOutcome


class ScheduleAnswer(Answer, frozen=True):
    """A schedule with its last run that ended. Before the first one all of the run is null."""

    name: str = Field(description="As `make tick` and the log lines name it.")
    every_seconds: int = Field(description="Time between the starts of two runs.")
    last_started_at: Timestamp | None = Field(description="When the last run started, in UTC.")
    last_ended_at: Timestamp | None = Field(description="When the last run ended, in UTC.")
    outcome: RunOutcome | None = Field(
        description="How the last run ended: `succeeded` or `failed`."
    )
    error: str | None = Field(
        description="The class of the exception that ended the run; the log has its message."
    )
    run_id: str | None = Field(description="The run's log lines have it as `run_id`.")
    late: bool | None = Field(
        description="Whether the next run should have ended by now, as when runs are killed at "
        "their timeout. Null until a run has ended."
    )


class DeadLettersAnswer(Answer, frozen=True):
    """A dead-letter queue: work that failed repeatedly, and waits for a person."""

    queue: str = Field(description="The schedule or work queue whose dead letters it has.")
    messages: int | None = Field(
        description="Messages that wait, approximately; null if SQS did not answer."
    )


class StreamAnswer(Answer, frozen=True):
    """How far the consumer of a change stream has come. Before its first batch all is null."""

    name: str = Field(description="The table whose changes the stream has.")
    last_batch_at: Timestamp | None = Field(
        description="When the last batch that was noted ended, in UTC. A busy consumer notes one "
        "every 10 seconds, and each that fails."
    )
    lag_seconds: int | None = Field(
        description="How old the oldest change of that batch was when the batch ended. While the "
        "batch fails: how old the first change that could not be processed is now. Creation times "
        "of changes are whole seconds."
    )
    failing: bool | None = Field(
        description="Whether that batch failed. It is tried again, and what comes after it waits."
    )
    late: bool | None = Field(
        description="Whether it fails, or a batch of the last five minutes was more than a minute "
        "behind, not counting the time for which batches wait to fill."
    )


class OperationsAnswer(Answer, frozen=True):
    """The state of the stage's background work."""

    as_of: Timestamp = Field(description="When it was read, in UTC.")
    schedules: tuple[ScheduleAnswer, ...] = Field(
        description="All schedules but the canary's, by name."
    )
    streams: tuple[StreamAnswer, ...] = Field(
        description="All change streams that are consumed, by name."
    )
    dead_letters: tuple[DeadLettersAnswer, ...] = Field(
        description="All dead-letter queues, by name, empty ones too."
    )


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="getOperations",
        method="GET",
        path="/v1/operations",
        function="query",
        summary="Read runs of schedules, lags of change streams, and counts of dead letters",
        tag="operations",
        permission=Permission.ADMIN,
        answers={HTTPStatus.OK: OperationsAnswer},
    ),
)
