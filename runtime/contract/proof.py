"""Shapes of the proof of the books."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.contract.base import Answer
from runtime.models.fields import Instant


class ViolationAnswer(Answer, frozen=True):
    """One contradiction: amounts as integers in minor units, everything else as text."""

    id: Annotated[
        str, Field(description="An account's row (`acc_…#00`), an entry, a transfer, a currency.")
    ]
    expected: int | str
    found: int | str


class CheckAnswer(Answer, frozen=True):
    """One check; `violations` are the first hundred of `violated`."""

    name: str
    holds: bool
    counted: int
    violated: int
    violations: tuple[ViolationAnswer, ...]


class ProofAnswer(Answer, frozen=True):
    """The last completed run. Every operation until `as_of` is proved."""

    holds: bool
    as_of: Instant
    completed_at: Instant
    checks: tuple[CheckAnswer, ...]
