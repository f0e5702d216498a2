"""Shapes of the route that processors call."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from runtime.contract.base import Answer, Identifier


class EventResult(StrEnum):
    """What became of a notification."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"


class EventQuery(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """Whose processor calls: the merchant is part of the URL that it was given."""

    merchant_id: Annotated[
        Identifier | None, Field(description="The merchant whose secret signs.")
    ] = None


class EventAnswer(Answer, frozen=True):
    """The notification is understood; it need not be sent again."""

    id: str
    result: EventResult
