"""Response shapes of ledger verification."""

from http import HTTPStatus
from typing import Final

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer
from runtime.verification.rules import RunKind


class ViolationAnswer(Answer, frozen=True):
    """One violation: amounts as integers in minor units, everything else as text."""

    id: str
    expected: int | str
    found: int | str


class CheckAnswer(Answer, frozen=True):
    """One check: how many items it counted, and its violations."""

    name: str
    holds: bool
    counted: int
    violated: int = Field(description="All violations; the first 100 are listed.")
    violations: tuple[ViolationAnswer, ...]


class FullRunAnswer(Answer, frozen=True):
    """The last completed full verification."""

    holds: bool
    as_of: Timestamp
    completed_at: Timestamp


class ProofAnswer(Answer, frozen=True):
    """The last completed ledger verification. Before the first one all is null, without checks."""

    holds: bool | None = Field(description="Whether every check holds.")
    as_of: Timestamp | None = Field(description="Operations up to this time were verified.")
    completed_at: Timestamp | None = Field(description="When the run was completed, in UTC.")
    kind: RunKind | None = Field(
        description="`full`: everything was read. `incremental`: what changed after `since`, the "
        "last verified state."
    )
    since: Timestamp | None = Field(description="Null for a full verification.")
    last_full: FullRunAnswer | None = Field(description="It may be this one.")
    checks: tuple[CheckAnswer, ...]


NOTHING_VERIFIED: Final = ProofAnswer(
    holds=None, as_of=None, completed_at=None, kind=None, since=None, last_full=None, checks=()
)
"""The answer before the first completed run."""


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="getProof",
        method="GET",
        path="/v1/proof",
        function="query",
        summary="Read the last completed ledger verification",
        tag="proof",
        permission=Permission.ADMIN,
        answers={HTTPStatus.OK: ProofAnswer},
    ),
)
