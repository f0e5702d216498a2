"""The outside world in tests: real threads and locks, a controlled clock, repeatable randomness."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any

from runtime.core.outside import Outside
from runtime.functions.composition import aws_clients
from runtime.functions.composition.real_outside import RealThreads

_COUNT_BYTES = 4
_drawn = count()


def entropy(size: int) -> bytes:
    """Unique bytes, each draw greater than the one before.

    So ids are in order of creation within one millisecond too, in which a test may create
    many.
    """
    if size <= _COUNT_BYTES:
        return os.urandom(size)
    return next(_drawn).to_bytes(_COUNT_BYTES, "big") + os.urandom(size - _COUNT_BYTES)


OUTSIDE = Outside(
    now=lambda: datetime.now(UTC),
    monotonic=time.monotonic,
    sleep=time.sleep,
    chance=Random(0),
    entropy=entropy,
    threads=RealThreads,
    lock=threading.Lock,
    aws=aws_clients,
)
"""The real clock."""


def outside(**changes: Any) -> Outside:
    """The outside of one test: it never really waits, unless `changes` say so."""
    return replace(OUTSIDE, **{"sleep": lambda _: None, "chance": Random(0), **changes})


def new_id(prefix: str, moment: datetime) -> str:
    """A fresh id of that time."""
    return OUTSIDE.new_id(prefix, moment)
