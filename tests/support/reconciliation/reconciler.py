"""Concurrent workers on a world's settlement files; some messages twice, some workers die."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from random import Random

from runtime.core.errors import StaleWrite
from runtime.reconciliation.dependencies import ReconciliationDependencies
from runtime.reconciliation.messages import handle_message
from tests.support.engines.faults import ProcessKilled
from tests.support.platform import Platform
from tests.support.reconciliation.fakes import Steps

WORKERS = 2


@dataclass
class Reconciler:
    """Process the world's queue until it is empty."""

    platform: Platform
    steps: Steps = field(default_factory=Steps)

    def __post_init__(self) -> None:
        self.platform.s3.steps = self.platform.sqs.steps = self.steps

    def work(self, dice: Random) -> None:
        """Handle all messages by concurrent workers: some twice, some by one that dies."""
        queue = self.platform.sqs.waiting
        while queue:
            bodies = [queue.popleft() for _ in range(len(queue))]
            bodies += dice.sample(bodies, len(bodies) // 3)
            dice.shuffle(bodies)
            if dice.random() < 0.3:
                self.steps.kill_at = self.steps.made + dice.randrange(1, 12)
                self.steps.after = dice.random() < 0.5
            with ThreadPoolExecutor(WORKERS) as pool:
                again = list(pool.map(self._handled, bodies))
            self.steps.kill_at = None
            queue.extend(body for body in again if body is not None)

    def _handled(self, body: str) -> str | None:
        """The message, if it must be delivered again: its worker died, or another was faster."""
        try:
            handle_message(body, "message", self._dependencies())
        except (ProcessKilled, StaleWrite):
            return body
        return None

    def _dependencies(self) -> ReconciliationDependencies:
        """As in the world; a worker may also die before and after each commit of lines."""
        usual = self.platform.reconciliation()
        record = usual.record
        return replace(usual, record=lambda *given: self.steps(lambda: record(*given)))
