"""Proofs of the books: the run that is under way, its segments' checkpoints, and the reports."""

from __future__ import annotations

from typing import Annotated, Final

from runtime.core.fields import EpochSeconds, Timestamp
from runtime.dynamodb.schema import Row, Ttl, partition, sort

OPEN_RUN = "open"
"""Id of the one run that is under way; its segments stand under the run's own id."""
LATEST = "latest"
"""Id of the last completed report."""
RUN_PART = "run"
REPORT_PART = "report"

BOOKS_CONTRADICT: Final = "the books contradict each other"
"""Log message: a completed proof does not hold. An alarm listens for it."""


class ProofRow(Row, table="proofs", frozen=True):
    """One piece of a proof: `open`/`run`, `prf_…`/`accounts#03`, `prf_…`/`report` or `latest`.

    `content` is compressed JSON, far below DynamoDB's 400 KB. Who writes names the `version` it has
    read, so of two workers on one segment only one goes on. A lease keeps them from trying.
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
