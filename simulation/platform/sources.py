"""What invokes functions besides requests: change streams, queues and schedules.

Filters, batch sizes and windows are those of the stacks, which the simulation cannot import; a
test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from simulation.aws.sources import QueueSource, Schedule
from simulation.aws.sqs import Queue
from simulation.aws.streams import StreamSettings, StreamSource
from simulation.dynamodb import InMemoryDynamoDB
from simulation.platform.functions import Functions
from simulation.platform.settings import DELIVERIES, EXPORT_JOBS, MINUTES, SETTLEMENT_FILES
from simulation.scheduler import Scheduler

LANES: Final = 4
"""Two shards of a table, two batches of each at once."""
PROJECTED: Final[Mapping[str, Mapping[str, Any] | None]] = {
    "accounts": None,
    "alerts": {"eventName": ["INSERT"]},
    "customers": None,
    "exports": {"eventName": ["INSERT", "MODIFY"]},
    "merchants": None,
    "payments": None,
    "settlements": None,
    "transactions": None,
    "transfers": None,
}
"""Tables whose streams feed the projector, and which of their records do (stacks/ledger.py)."""
BATCH_RECORDS: Final = 100
SEGMENT_ROWS: Final = 5_000
ARCHIVE_WINDOW_SECONDS: Final = 30.0
BATCH_SIZES: Final[Mapping[str, int]] = {DELIVERIES: 10, EXPORT_JOBS: 1, SETTLEMENT_FILES: 1}
CONCURRENCY: Final[Mapping[str, int]] = {DELIVERIES: 20, EXPORT_JOBS: 5, SETTLEMENT_FILES: 20}


class Sources:
    """All of them, from the first commit on.

    `on_given_up` gets the name of each schedule whose run failed twice, and when its last attempt
    began.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        database: InMemoryDynamoDB,
        tables: Mapping[str, str],
        functions: Functions,
        queues: Mapping[str, Queue],
        on_given_up: Callable[[str, float], None],
    ) -> None:
        projected = {
            tables[name]: StreamSettings(only=only, batch_records=BATCH_RECORDS, lanes=LANES)
            for name, only in PROJECTED.items()
        }
        archived = StreamSettings(
            batch_records=SEGMENT_ROWS, window_seconds=ARCHIVE_WINDOW_SECONDS, lanes=1
        )
        self.streams = (
            StreamSource(scheduler, database, projected, functions["project"]),
            StreamSource(
                scheduler, database, {tables["audit_log"]: archived}, functions["archive"]
            ),
        )
        consumers = {DELIVERIES: "deliver", EXPORT_JOBS: "export", SETTLEMENT_FILES: "reconcile"}
        self.queues = {
            name: QueueSource(
                scheduler,
                queue,
                functions[consumers[name]],
                batch_size=BATCH_SIZES[name],
                max_concurrency=CONCURRENCY[name],
            )
            for name, queue in queues.items()
        }
        self.schedules = {
            name: Schedule(
                scheduler, 60 * minutes, functions[name], name=name, on_given_up=on_given_up
            )
            for name, minutes in MINUTES.items()
        }

    def quiet(self) -> bool:
        """Nothing waits to be delivered, and nothing is being worked on."""
        return (
            all(stream.quiet() for stream in self.streams)
            and all(queue.quiet() for queue in self.queues.values())
            and not any(schedule.running for schedule in self.schedules.values())
        )
