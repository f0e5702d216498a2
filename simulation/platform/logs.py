"""What the platform logs as an error, kept instead of being written."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore.exceptions import BotoCoreError, ClientError

from runtime.core.change_context import AUDIT_TAMPERED, OUT_OF_BAND
from runtime.core.errors import KeysUnavailable, PlatformError, StaleWrite, Unavailable
from runtime.core.observability import logger
from runtime.reconciliation.dependencies import NoTimeLeft
from runtime.reporting.exports.jobs import ExportBusy
from runtime.reporting.exports.models import EXPORT_GIVEN_UP
from runtime.verification.models import LEDGER_VERIFICATION_FAILED
from simulation.platform.run_state import Phase

EXPECTED = (PlatformError, BotoCoreError, ClientError, BatchProcessingError, NoTimeLeft)
"""What faults from outside end in. Any other exception is a defect of the platform."""
EXPECTED_OF_MESSAGES = (*EXPECTED, StaleWrite)
"""What leaves a message to come again: another worker has gone on with the same thing."""
EXPECTED_OF_CALM_MESSAGES = (ExportBusy, StaleWrite)
"""The same once faults have ended: a worker that has died has its lease for some time yet, and one
message may have been handed out twice before."""
NEVER_OF_FAULTS: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "IdempotentParameterMismatchException",
        "ResourceNotFoundException",
    }
)
"""Codes that AWS answers to mistakes alone, such as a token that is used for another commit."""
ANSWER_NOT_KEPT: Final = "the answer could not be encrypted and is not kept"
"""Log message of a payment's outcome that was committed while KMS was unavailable."""
UNEXPECTED_FAILURE = "unexpected failure"
"""What a function of the API logs of what it answers as 500."""


_OF_ANY_LINE: Final = frozenset(vars(logging.makeLogRecord({})))
"""Attributes that every record has."""


_HAND_MADE: Final[Mapping[str, str]] = {
    OUT_OF_BAND: "a description was edited by hand",
}
EXPECTED_LINES: Final[Mapping[Phase, Mapping[str, str]]] = {
    Phase.FAULTS: {
        **_HAND_MADE,
        Unavailable.code: "503: DynamoDB, a queue, a bucket or a processor did not answer",
        KeysUnavailable.code: "503: KMS did not answer",
        ANSWER_NOT_KEPT: "KMS did not answer after a processor had",
        "events were rejected": "EventBridge took some entries of a request",
        EXPORT_GIVEN_UP: "each of its workers died",
    },
    Phase.CALM: {
        **_HAND_MADE,
        Unavailable.code: "an event about what is not known yet; any other 503 is a wrong answer",
        EXPORT_GIVEN_UP: "its workers had died while there were faults; one that fails now raises",
    },
    Phase.TAMPERED: {
        OUT_OF_BAND: "balances, captures and audit rows were edited by hand",
        AUDIT_TAMPERED: "audit rows were edited and deleted",
        LEDGER_VERIFICATION_FAILED: "balances, entries, captures, postings and holds were edited",
    },
}
"""Lines that are expected in each phase, with the reason. Of a line with an exception, while things
go wrong, the exception is judged instead."""


@dataclass(eq=False)
class ErrorLog(logging.Handler):
    """Counts errors by what they say, and judges them.

    `on_defect` gets each exception that no fault explains, `on_line` each line that is not expected
    in the `phase` that the world is in; `unexpected` are those lines.
    Lines below ERROR are not even made: formatting them would take more time than the simulation.
    """

    on_defect: Callable[[BaseException], None]
    on_line: Callable[[str], None] = lambda _line: None
    phase: Callable[[], Phase] = lambda: Phase.FAULTS
    errors: Counter[str] = field(default_factory=Counter)
    defects: list[BaseException] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

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
        phase = self.phase()
        if phase is Phase.FAULTS and error is not None:
            return  # the exception says whether a fault explains it
        if said not in EXPECTED_LINES[phase]:
            self._unexpected(f"{phase.value}: {said}{_details(record, error)}")

    def raised(self, function: str, error: BaseException) -> None:
        """A function ended in an exception."""
        self.errors[f"{function} raised {type(error).__name__}"] += 1
        of_messages = isinstance(error, BatchProcessingError)
        calm = self.phase() is not Phase.FAULTS
        for each in _causes(error):
            if not _is_expected(each, EXPECTED_OF_MESSAGES if of_messages else EXPECTED):
                self._defect(each)
            if calm and not (of_messages and isinstance(each, EXPECTED_OF_CALM_MESSAGES)):
                self._unexpected(f"{function} raised {type(each).__name__}: {each}")

    def _unexpected(self, line: str) -> None:
        self.unexpected.append(line)
        self.on_line(line)

    def _defect(self, error: BaseException) -> None:
        self.defects.append(error)
        self.on_defect(error)


def _causes(error: BaseException) -> list[BaseException]:
    """What the messages of a batch have failed with; or the error itself."""
    if isinstance(error, BatchProcessingError):
        return [each for _, each, _ in error.child_exceptions or () if each is not None]
    return [error]


def _details(record: logging.LogRecord, error: BaseException | None) -> str:
    """What else a line says, and the error that it is about."""
    more = {name: value for name, value in vars(record).items() if name not in _OF_ANY_LINE}
    return f" {more}" + (f": {type(error).__name__}: {error}" if error is not None else "")


def _is_expected(
    error: BaseException, expected: tuple[type[BaseException], ...] = EXPECTED
) -> bool:
    code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
    return isinstance(error, expected) and code not in NEVER_OF_FAULTS
