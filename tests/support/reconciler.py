"""The engine of settlement files over a shop's own tables; the bucket and the queue are fakes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from typing import Any

from runtime.errors import StaleWrite
from runtime.gateways.settlement_objects import SettlementObjects
from runtime.gateways.settlement_queue import SettlementQueue
from runtime.repositories.alerts import AlertRepository
from runtime.repositories.merchants import MerchantRepository
from runtime.repositories.settlement_chunks import SettlementChunkRepository
from runtime.services.merchant_profiles import MerchantProfiles
from runtime.services.reconciliation.batch import BatchDependencies, record_batch
from runtime.services.reconciliation.dependencies import ReconciliationDependencies
from tests.support.faults import ProcessKilled
from tests.support.settlement_engine import SettlementEngine
from tests.support.world import World

WORKERS = 2


class Reconciler(SettlementEngine):
    """Plans, works and closes files on the tables of a world."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.clock = self.bucket.clock = world.clock

    def dependencies(self) -> ReconciliationDependencies:
        world = self.world
        bucket: Any = self.bucket
        queue: Any = self.queue
        batches = BatchDependencies(world.store, world.clock)
        record = partial(record_batch, dependencies=batches)
        return ReconciliationDependencies(
            objects=SettlementObjects(bucket, "settlements"),
            queue=SettlementQueue(queue, "queue"),
            chunks=SettlementChunkRepository(world.store),
            merchants=MerchantProfiles(MerchantRepository(world.store), 0),
            alerts=AlertRepository(world.store),
            record=lambda *given: self.steps(lambda: record(*given)),
            must_stop=self.must_stop,
            clock=world.clock,
        )

    def work(self, dice: Random) -> None:
        """Handle all messages by several workers at once: some twice, some by one that dies."""
        while self.queue.waiting:
            bodies = [self.queue.waiting.popleft() for _ in range(len(self.queue.waiting))]
            bodies += dice.sample(bodies, len(bodies) // 3)
            dice.shuffle(bodies)
            if dice.random() < 0.3:
                self.steps.kill_at = self.steps.made + dice.randrange(1, 12)
                self.steps.after = dice.random() < 0.5
            with ThreadPoolExecutor(WORKERS) as pool:
                again = list(pool.map(self._handled, bodies))
            self.steps.kill_at = None
            self.queue.waiting.extend(body for body in again if body is not None)

    def _handled(self, body: str) -> str | None:
        """The message, if it must come again: its worker died, or another one was faster."""
        try:
            self.handle(body)
        except (ProcessKilled, StaleWrite):
            return body
        return None
