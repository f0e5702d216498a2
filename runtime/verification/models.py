"""Stored state of ledger verification: the current run, its checkpoints and the reports."""

from typing import Annotated, Final

from runtime.core.fields import EpochSeconds, Timestamp
from runtime.dynamodb.schema import Row, Ttl, partition, sort

OPEN_RUN = "open"
"""Id of the row of the current run. Its segments are stored under the run's own id."""
LATEST = "latest"
"""Id of the last completed report."""
BASELINE = "baseline"
"""Id of the row with the last verified state, which incremental runs continue."""
RUN_PART = "run"
REPORT_PART = "report"
BASELINE_PART = "verified"
CHECKPOINT_PART = "checkpoints"

LEDGER_VERIFICATION_FAILED: Final = "ledger verification failed"
"""Log message: a completed run found violations. It triggers an alarm."""


class VerificationRow(Row, table="proofs", frozen=True):
    """Stored state of a run: `open`/`run`, `prf_…`/`accounts#03`, `prf_…`/`report` or `latest`.

    Incremental runs also have `baseline`, `prf_…`/`changes#…` (ids of changed rows, by segment) and
    `acc_…#07`/`checkpoints` (how far the entries of an account's row have been added up).

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


def changes_prefix(target: int) -> str:
    """Beginning of the sort keys of ids noted for a segment."""
    return f"changes#{target:02d}#"


def changes_part(target: int, phase: str, note_id: str) -> str:
    """Sort key of ids noted for the segment `target` in a phase. Each `note_id` is new.

    So a worker that was overtaken cannot replace what another one noted.
    """
    return f"{changes_prefix(target)}{phase}#{note_id}"
