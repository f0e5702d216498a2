"""The real external dependencies: the only module that reads clocks and starts threads."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar

from runtime.core.outside import Outside
from runtime.functions.composition import aws_clients

Result = TypeVar("Result")


class RealThreads(ThreadPoolExecutor):
    """Operating system threads."""

    def first_done(
        self, futures: Iterable[Future[Result]], seconds: float | None
    ) -> set[Future[Result]]:
        """Finished futures, as soon as there is one."""
        return set(wait(futures, seconds, return_when=FIRST_COMPLETED).done)


@cache
def real_outside() -> Outside:
    """The dependencies of a Lambda execution environment, created once."""
    return Outside(
        now=lambda: datetime.now(UTC),
        monotonic=time.monotonic,
        sleep=time.sleep,
        chance=random.Random(),  # noqa: S311 - jitter and sampling, never a secret
        entropy=os.urandom,
        threads=RealThreads,
        lock=threading.Lock,
        aws=aws_clients,
    )
