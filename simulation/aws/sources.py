"""What invokes functions beside streams: queues, and schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from simulation.aws.sqs import Message, Queue
from simulation.aws.streams import Invokable
from simulation.scheduler import Scheduler
from simulation.tasks import LambdaDied

ASYNC_ATTEMPTS: Final = 2
"""One retry (stacks/constructs/schedule.py)."""
ASYNC_PAUSE_SECONDS: Final = 60.0
"""Before the first retry (Lambda Developer Guide, "asynchronous invocation")."""
LATE_SECONDS: Final = 20.0
"""How much later than its minute a schedule runs, at the most."""


class QueueSource:
    """Event source mapping of a queue: batches in any order, as many at once as it may.

    What the function does not name as failed is deleted; the rest is seen again when its visibility
    timeout is over, and goes to the dead letters after too many receives.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        queue: Queue,
        function: Invokable,
        *,
        batch_size: int = 10,
        max_concurrency: int = 20,
    ) -> None:
        self._scheduler, self._queue, self._function = scheduler, queue, function
        self._batch_size, self._most = batch_size, max_concurrency
        self._running = 0
        self._next_poll_at: float | None = None
        self.deliveries = 0
        queue.on_message.append(self._wake)

    def quiet(self) -> bool:
        """Nothing is in the queue, and nothing is being worked on."""
        return not self._queue.messages and self._running == 0

    def _wake(self) -> None:
        """Poll when there is something to receive, and room for it."""
        seen_at = self._queue.next_seen_at()
        if seen_at is None or self._running >= self._most:
            return
        scheduler = self._scheduler
        when = max(seen_at, scheduler.now) + 0.005 + scheduler.rng.random() * 0.05
        if self._next_poll_at is not None and self._next_poll_at <= when:
            return
        self._next_poll_at = when
        scheduler.at(when, self._poll, when)

    def _poll(self, when: float) -> None:
        if self._next_poll_at != when:
            return  # an earlier one has taken its place
        self._next_poll_at = None
        if self._running < self._most:
            most = self._scheduler.rng.randrange(1, self._batch_size + 1)
            messages = self._queue.receive(most)
            if messages:
                self._running += 1
                name = f"messages of {self._queue.name}"
                self._scheduler.spawn(lambda: self._deliver(messages), name)
        self._wake()

    def _deliver(self, messages: list[Message]) -> None:
        self.deliveries += 1
        records = [self._queue.record(message) for message in messages]
        failed: set[Any] | None = None
        try:
            answer = self._function.invoke({"Records": records})
        except (LambdaDied, Exception):  # noqa: BLE001 - Lambda takes any for a failure
            self._scheduler.injected["messages failed"] += len(messages)
        else:
            failures = (answer or {}).get("batchItemFailures") or []
            failed = {each.get("itemIdentifier") for each in failures}
        if failed is not None and failed <= {message.id for message in messages}:
            for message in messages:
                if message.id not in failed:
                    self._queue.delete(message)
        self._running -= 1
        self._wake()


class Schedule:
    """Invokes a function every so many seconds, at least once for each time; runs may overlap.

    `on_given_up` gets its name, and when its last attempt began, of each run that failed twice.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        every_seconds: float,
        function: Invokable,
        *,
        name: str,
        on_given_up: Callable[[str, float], None] = lambda _name, _began: None,
    ) -> None:
        self._scheduler, self._function = scheduler, function
        self._on_given_up = on_given_up
        self.every_seconds = every_seconds
        self.event = {"schedule": name}
        self.runs = self.running = 0
        self.given_up = 0
        """Runs that failed twice."""
        self._starts = 0
        self.start()

    def start(self) -> None:
        """Begin runs from now on."""
        self._starts += 1
        first = self._scheduler.now + self._scheduler.rng.uniform(0, self.every_seconds)
        self._scheduler.at(first, self._tick, self._starts)

    def stop(self) -> None:
        """Begin no more runs."""
        self._starts += 1

    def run_now(self, **asked: str) -> Any:
        """Run it once, with `asked` in its event, and wait for its end.

        Raises what the function raises.
        """
        return self._function.invoke({**self.event, **asked})

    def _tick(self, start: int) -> None:
        if start != self._starts:
            return  # it was stopped since
        scheduler, rng = self._scheduler, self._scheduler.rng
        scheduler.at(scheduler.now + self.every_seconds, self._tick, start)
        doubled = scheduler.rates.schedule_doubled
        twice = bool(doubled) and rng.random() < doubled
        scheduler.injected["schedule doubled"] += twice
        late = min(LATE_SECONDS, self.every_seconds / 2)
        for _ in range(2 if twice else 1):
            name = f"schedule {self.event['schedule']}"
            scheduler.spawn(self._run, name, delay=rng.random() * late)

    def _run(self) -> None:
        self.runs += 1
        self.running += 1
        began = self._scheduler.now
        for attempt in range(ASYNC_ATTEMPTS):
            if attempt:
                self._scheduler.sleep(ASYNC_PAUSE_SECONDS)
                began = self._scheduler.now
            if self._succeeds():
                break
        else:
            self.given_up += 1
            self._on_given_up(self.event["schedule"], began)
        self.running -= 1

    def _succeeds(self) -> bool:
        try:
            self._function.invoke(self.event)
        except (LambdaDied, Exception):  # noqa: BLE001 - Lambda takes any for a failure
            return False
        return True
