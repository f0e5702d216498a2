"""Settings of the canary, and the log messages that its metrics are made from."""

from typing import Annotated, Final

from pydantic import Field

from runtime.core.fields import ProcessorMode
from runtime.settings.base import Settings

CANARY_SUCCEEDED: Final = "canary succeeded"
CANARY_FAILED: Final = "canary failed"
CANARY_MILLISECONDS: Final = "milliseconds"
"""Field of the line CANARY_SUCCEEDED: how long the run's first answer took."""

CANARY_AMOUNT_MINOR: Final = 1
"""What a run pays, and the largest payment that the canary's merchant may take."""
LONGEST_RUN_SECONDS: Final = 120
"""The function's timeout."""


def canary_secret_name(stage: str) -> str:
    """Name of the secret with the canary's API key, which an operator makes."""
    return f"payments/{stage}/canary"


class CanarySettings(Settings, frozen=True):
    """The scheduled function that uses the API as a client does. It uses no table.

    `processors` is the stage's mode: with `live` it only reads.
    """

    canary_secret_arn: str
    """Where its API key is (runtime/canary/credentials.py)."""
    processors: ProcessorMode = "test"
    latest_seconds: Annotated[int, Field(ge=60, le=3_600)] = 900
    """A run that begins later after its time than this does nothing. Far below the 24 hours for
    which the API repeats the answer of an idempotency key."""
    ledger_seconds: Annotated[float, Field(ge=0, le=90)] = 60
    """How long it waits until the ledger's statement shows what it did."""
    retry_seconds: Annotated[float, Field(ge=0, le=30)] = 2
    """Between two attempts."""
