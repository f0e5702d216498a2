"""Records how each run of a schedule ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from runtime.core.observability import logger
from runtime.core.timestamps import to_timestamp
from runtime.operations.models import RunOutcome, ScheduledRun
from runtime.operations.repository import ScheduledRunRepository

RUN_NOT_RECORDED: Final = "scheduled run not recorded"
"""Log message of a run that did its work, but could not say so."""


@contextmanager
def recorded_run(
    name: str, run_id: str, runs: Callable[[], ScheduledRunRepository], now: Callable[[], datetime]
) -> Iterator[None]:
    """Record the run in this block: when it started and ended, and how.

    A failure is recorded and goes on. A run whose row cannot be written is logged, and not failed:
    what it did is done.
    """
    started = now()

    def record(outcome: RunOutcome, error: str | None = None) -> None:
        run = ScheduledRun(
            name=name,
            run_id=run_id,
            started_at=to_timestamp(started),
            ended_at=to_timestamp(now()),
            outcome=outcome,
            error=error,
        )
        try:
            runs().record(run)
        except Exception:  # noqa: BLE001 - what the run did is done, whatever becomes of its row
            logger.warning(RUN_NOT_RECORDED, schedule=name, exc_info=True)

    try:
        yield
    except Exception as error:
        record(RunOutcome.FAILED, type(error).__name__)
        raise
    record(RunOutcome.SUCCEEDED)
