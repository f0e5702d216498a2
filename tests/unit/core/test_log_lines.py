"""A log line is the same JSON, whichever encoder writes it, and every line can be written."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.observability import json_line

_expected = json.JSONEncoder(default=str, separators=(",", ":"), ensure_ascii=False).encode

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class Colour(StrEnum):
    RED = "red"


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_a_line_is_compact_json_with_its_characters_unescaped(fields: dict[str, Any]) -> None:
    assert json.loads(json_line(fields)) == json.loads(_expected(fields))


@pytest.mark.parametrize(
    "value",
    [
        HTTPStatus.CONFLICT,
        Colour.RED,
        Decimal("1.50"),
        datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
        ("a", 1),
        {"b"},
        2**70,
        {1: "number as a name"},
        "Zürich \u2028 \x00",
        "lone \ud800",
        ValueError("wrong"),
    ],
    ids=repr,
)
def test_values_that_json_lacks_are_written_as_before(value: Any) -> None:
    assert json_line({"value": value}) == _expected({"value": value})
