"""Starts requests at a rate that does not depend on how fast they are answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from threading import BoundedSemaphore
from typing import Final

LATE_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Pace:
    """`rate` requests per second for `seconds`, by `clients` at once."""

    rate: float
    seconds: float
    clients: int


@dataclass(frozen=True)
class Paced:
    """What was started: how much, how much of it late, and in how many seconds it ended."""

    started: int
    late: int
    seconds: float

    @property
    def rate(self) -> float:
        """Requests per second until the last answer."""
        return self.started / self.seconds if self.seconds else 0.0


def paced(pace: Pace, work: Callable[[Random], None], seed: str) -> Paced:
    """Run `work` once for each arrival of a Poisson process, and wait for all of it.

    Real clients do not wait for each other's answers: a slow stage does not lower the rate until
    all clients are busy. Each call gets its own source of randomness. An error of `work` stops the
    run and is raised.
    """
    arrivals = Random(seed)
    free = BoundedSemaphore(pace.clients)
    failed: list[Future[None]] = []

    def ended(future: Future[None]) -> None:
        if future.exception() is not None:
            failed.append(future)
        free.release()

    started = late = 0
    begun = time.monotonic()
    due = arrivals.expovariate(pace.rate)
    with ThreadPoolExecutor(pace.clients) as pool:
        while due < pace.seconds and not failed:
            time.sleep(max(begun + due - time.monotonic(), 0.0))
            free.acquire()
            late += time.monotonic() - begun - due > LATE_SECONDS
            started += 1
            future = pool.submit(work, Random(f"{seed}-{started}"))
            future.add_done_callback(ended)
            due += arrivals.expovariate(pace.rate)
    for future in failed:
        future.result()
    return Paced(started, late, time.monotonic() - begun)
