"""The random requests of the differential test cover everything that repositories build."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest

from runtime.dynamodb import expressions
from runtime.dynamodb.expressions import Update
from tests.support.differential.requests import Request, Requests

DRAWN = 3_000
NOT_IN_THE_EXPRESSION = {"schema", "key", "condition", "sealed", "row"}
"""Fields of an Update that identify its row and conditions, not its changes."""


@pytest.fixture(scope="module")
def drawn() -> list[Request]:
    requests = Requests("forms")
    return [requests.draw() for _ in range(DRAWN)]


def test_every_condition_and_every_change_of_an_update_is_drawn(drawn: list[Request]) -> None:
    conditions = {
        name
        for name, function in inspect.getmembers(expressions, inspect.isfunction)
        if inspect.get_annotations(function).get("return") == "Condition"
    }
    changes = {field.name for field in fields(Update)} - NOT_IN_THE_EXPRESSION
    assert len(conditions) > 8
    assert len(changes) > 5
    forms = {form for request in drawn for form in request.forms}
    assert conditions | changes <= forms


def test_the_same_seed_draws_the_same_requests(drawn: list[Request]) -> None:
    again = Requests("forms")
    assert [again.draw() for _ in range(DRAWN)] == drawn
    assert Requests("other").draw() != drawn[0]


def test_most_requests_are_well_formed(drawn: list[Request]) -> None:
    wrong = sum(any(form.startswith("wrong: ") for form in request.forms) for request in drawn)
    assert DRAWN // 20 < wrong < DRAWN // 5
