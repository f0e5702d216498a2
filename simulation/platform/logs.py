"""What the platform logs as an error, kept instead of being written."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore.exceptions import BotoCoreError, ClientError

from runtime.errors import PlatformError, StaleWrite
from runtime.observability import logger
from runtime.services.reconciliation.dependencies import NoTimeLeft

EXPECTED = (PlatformError, BotoCoreError, ClientError, BatchProcessingError, NoTimeLeft)
"""What faults from outside end in. Any other exception is a defect of the platform."""
EXPECTED_OF_MESSAGES = (*EXPECTED, StaleWrite)
"""What leaves a message to come again: another worker has gone on with the same thing."""
NEVER_OF_FAULTS: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "IdempotentParameterMismatchException",
        "ResourceNotFoundException",
    }
)
"""Codes that AWS answers to mistakes alone, such as a token that is used for another commit."""
UNEXPECTED_FAILURE = "unexpected failure"
"""What a function of the API logs of what it answers as 500."""


@dataclass(eq=False)
class ErrorLog(logging.Handler):
    """Counts errors by what they say; `on_defect` is told of each exception that is a defect.

    Lines below ERROR are not even made: formatting them would take more time than the simulation.
    """

    on_defect: Callable[[BaseException], None]
    errors: Counter[str] = field(default_factory=Counter)
    defects: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.ERROR)

    def install(self) -> None:
        """Take the place of whatever else hears the platform's log."""
        logger.handlers.clear()
        logger.addHandler(self)
        logger.setLevel(logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        """One error."""
        said = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        self.errors[said if error is None else f"{said}: {type(error).__name__}"] += 1
        if error is not None and (said == UNEXPECTED_FAILURE or not _is_expected(error)):
            self._defect(error)

    def raised(self, function: str, error: BaseException) -> None:
        """A function ended in an exception."""
        self.errors[f"{function} raised {type(error).__name__}"] += 1
        if isinstance(error, BatchProcessingError):
            for _, each, _ in error.child_exceptions or ():
                if each is not None and not _is_expected(each, EXPECTED_OF_MESSAGES):
                    self._defect(each)
        elif not _is_expected(error):
            self._defect(error)

    def _defect(self, error: BaseException) -> None:
        self.defects.append(error)
        self.on_defect(error)


def _is_expected(
    error: BaseException, expected: tuple[type[BaseException], ...] = EXPECTED
) -> bool:
    code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
    return isinstance(error, expected) and code not in NEVER_OF_FAULTS
