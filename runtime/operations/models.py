"""The last run of each schedule, and the progress of each consumer of a change stream."""

from enum import StrEnum
from typing import Annotated

from runtime.core.fields import Timestamp
from runtime.dynamodb.schema import Row, partition


class RunOutcome(StrEnum):
    """How a run ended. A run that was killed, as at its timeout, leaves no outcome."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class ScheduledRun(Row, table="scheduled_runs", frozen=True):
    """The last run of a schedule that ended: one row for each schedule, written once per run.

    `error` is the class of the exception that ended it; its message is in the log under `run_id`,
    because it may name what not every operator may see.
    """

    name: Annotated[str, partition()]
    run_id: str
    started_at: Timestamp
    ended_at: Timestamp
    outcome: RunOutcome
    error: str | None = None


class StreamProgress(Row, table="stream_progress", frozen=True):
    """How far the consumer of a table's change stream has come: one row for each table.

    Written at the end of a batch. `record_at` is the creation time, to the second, of the oldest
    record of the batch, or of the first one that failed: `failed_record` is its sequence number.
    """

    name: Annotated[str, partition()]
    noted_at: Timestamp
    record_at: Timestamp
    failed_record: str | None = None
