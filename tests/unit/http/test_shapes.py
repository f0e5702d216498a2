"""Answers made of stored rows."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field, ValidationError

from runtime.http.shapes import Answer


class Row(BaseModel, frozen=True):
    """A stored row with an attribute that no answer shows."""

    id: str = "pay_1"
    capturable_minor: int = 5
    processor_secret: str = "hidden"


class Shown(Answer, frozen=True):
    """The public shape of a row, which names one attribute differently."""

    id: str
    amount_capturable: int = Field(validation_alias="capturable_minor")


class Detailed(Shown, frozen=True):
    """The same with a member that the row does not have."""

    parts: tuple[str, ...]


def test_an_answer_shows_only_the_attributes_that_it_declares() -> None:
    assert Shown.of(Row()).model_dump() == {"id": "pay_1", "amount_capturable": 5}


def test_members_that_the_row_does_not_have_are_given_beside_it() -> None:
    detailed = Detailed.with_members(Row(), parts=("a",))
    assert detailed.model_dump() == {"id": "pay_1", "amount_capturable": 5, "parts": ("a",)}


def test_a_missing_member_is_an_error() -> None:
    with pytest.raises(ValidationError, match="parts"):
        Detailed.with_members(Row())
