"""Shapes of the proof of the books."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer


class ViolationAnswer(Answer, frozen=True):
    """One contradiction: amounts as integers in minor units, everything else as text."""

    id: str
    expected: int | str
    found: int | str


class CheckAnswer(Answer, frozen=True):
    """One check: how many things it has looked at, and what contradicts it."""

    name: str
    holds: bool
    counted: int
    violated: int = Field(description="All violations; the first 100 are listed.")
    violations: tuple[ViolationAnswer, ...]


class ProofAnswer(Answer, frozen=True):
    """The last completed run over the books."""

    holds: bool
    as_of: Timestamp = Field(description="Every operation until then has been proved.")
    completed_at: Timestamp
    checks: tuple[CheckAnswer, ...]


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="getProof",
        method="GET",
        path="/v1/proof",
        function="query",
        summary="The last completed proof of the books",
        tag="proof",
        permission=Permission.ADMIN,
        answers={HTTPStatus.OK: ProofAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
