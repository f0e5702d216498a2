"""Log lines of a simulated stage, by function, as CloudWatch Logs gets them."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runtime.core.observability import logger
from simulation.scheduler import Scheduler

_KINDS = ("operation", "status", "outcome", "replayed")
"""Fields that tell lines of one message apart."""


class LogLines(logging.Handler):
    """Keeps each line that a function logs, formatted as in Lambda.

    Lines of one kind differ in numbers alone, so `most` of each are enough.
    """

    def __init__(self, scheduler: Scheduler, most: int) -> None:
        super().__init__(logging.INFO)
        self._scheduler, self._most = scheduler, most
        self.by_function: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self._kept: dict[tuple[Any, ...], int] = defaultdict(int)
        self._outside: str | None = None
        self.setFormatter(logger.registered_formatter)

    def install(self) -> None:
        """Hear the log beside whatever hears it already."""
        logger.addHandler(self)
        logger.setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """One line of the function that is running."""
        function = self._function()
        if function is None:
            return
        values = (getattr(record, name, None) for name in _KINDS)
        kind = (function, record.getMessage(), *values)
        if self._kept[kind] < self._most:
            self._kept[kind] += 1
            self.by_function[function].append(json.loads(self.format(record)))

    @contextmanager
    def as_function(self, name: str) -> Iterator[None]:
        """Lines from outside of the simulated platform are those of the function `name`."""
        self._outside = name
        yield
        self._outside = None

    def _function(self) -> str | None:
        task = self._scheduler.current
        if task is None or task.environment is None:
            return self._outside
        return task.environment.name.partition("#")[0]
