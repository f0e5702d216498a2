"""The in-memory engine, for tests with threads."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from simulation.dynamodb import InMemoryClient, InMemoryDynamoDB, InMemoryStreams
from tests.support.engines.engine import Engine

NAME = "in-memory"


class Turns:
    """A lock that lets other threads go first, before and after: a call takes no time of its own.

    Otherwise one thread would make dozens of calls before another one makes any, and they would
    never interleave.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        _let_others_go_first()
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
        _let_others_go_first()


def _let_others_go_first() -> None:
    # Giving up the processor takes longer than a call: only where another thread may take it.
    if threading.active_count() > 1:
        time.sleep(0)


@dataclass(frozen=True)
class InMemoryEngine(Engine):
    """All tables of one run of tests."""

    database: InMemoryDynamoDB = field(
        default_factory=lambda: InMemoryDynamoDB(now=time.monotonic, epoch=_monotonic_began())
    )
    turns: Turns = field(default_factory=Turns)

    def client(self, service: str = "dynamodb") -> Any:
        """A client of DynamoDB or of its streams."""
        kinds = {"dynamodb": InMemoryClient, "dynamodbstreams": InMemoryStreams}
        return kinds[service](self.database, self.turns)


def _monotonic_began() -> float:
    return time.time() - time.monotonic()


def in_memory() -> InMemoryEngine:
    """An engine with no tables."""
    return InMemoryEngine(NAME, None)
