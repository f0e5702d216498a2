"""Stored state of ledger verification: the current run, its checkpoints and the reports."""

from typing import Annotated, Final

from runtime.core.fields import EpochSeconds, Timestamp
from runtime.dynamodb.schema import Row, Ttl, partition, sort

OPEN_RUN = "open"
"""Id of the row of the current run. Its segments are stored under the run's own id."""
LATEST = "latest"
"""Id of the last completed report."""
RUN_PART = "run"
REPORT_PART = "report"

LEDGER_VERIFICATION_FAILED: Final = "ledger verification failed"
"""Log message: a completed run found violations. It triggers an alarm."""


class VerificationRow(Row, table="proofs", frozen=True):
    """Stored state of a run: `open`/`run`, `prf_…`/`accounts#03`, `prf_…`/`report` or `latest`.

    `content` is compressed JSON, far below DynamoDB's limit of 400 KB. Each write requires the
    `version` that was read, so only one of two concurrent workers on a segment continues. The lease
    usually prevents concurrent workers.
    """

    id: Annotated[str, partition()]
    part: Annotated[str, sort()]
    version: int = 1
    updated_at: Timestamp
    content: bytes
    lease_owner: str | None = None
    lease_expires_at: Timestamp | None = None
    expires_at: Annotated[EpochSeconds | None, Ttl()] = None


def segment_part(phase: str, segment: int) -> str:
    """Sort key of the checkpoint of one segment of one phase."""
    return f"{phase}#{segment:02d}"
