"""DynamoDB's typed JSON, judged by boto3's serializers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from runtime.dynamodb.typed_json import from_typed, to_typed

NUMBERS = st.integers(-(10**38) + 1, 10**38 - 1)
SETS = st.one_of(
    st.lists(st.text(), min_size=1, unique=True),
    st.lists(NUMBERS, min_size=1, unique=True),
    st.lists(st.binary(), min_size=1, unique=True),
).map(lambda members: dict.fromkeys(members).keys())
SCALARS = st.one_of(st.text(), NUMBERS, st.booleans(), st.binary(), st.none())
VALUES = st.recursive(
    SCALARS | SETS,
    lambda members: st.lists(members) | st.dictionaries(st.text(), members),
    max_leaves=12,
)


def without_wrappers(value: Any) -> Any:
    """boto3's bytes come wrapped, and all its numbers are decimals; both compare equal."""
    if isinstance(value, Binary):
        return value.value
    if isinstance(value, dict):
        return {name: without_wrappers(member) for name, member in value.items()}
    if isinstance(value, list):
        return [without_wrappers(member) for member in value]
    if isinstance(value, set):
        return {without_wrappers(member) for member in value}
    return value


@given(VALUES)
def test_values_are_serialized_as_boto3_does(value: Any) -> None:
    assert to_typed(value) == TypeSerializer().serialize(value)


@given(VALUES)
def test_values_are_read_as_boto3_does(value: Any) -> None:
    typed = to_typed(value)
    assert from_typed(typed) == without_wrappers(TypeDeserializer().deserialize(typed))


@pytest.mark.parametrize("text", ["0", "-7", "1.5", "1E+3", "-0.25", "12345678901234567890"])
def test_numbers_of_any_form_are_read(text: str) -> None:
    plain = from_typed({"N": text})
    assert plain == Decimal(text)
    assert isinstance(plain, Decimal) == (not text.lstrip("-").isdigit())
    assert from_typed({"NS": [text]}) == {Decimal(text)}


@pytest.mark.parametrize(
    "value", [1.5, Decimal(1), {"a"}, object(), {}.keys(), {"a": 1, 2: 3}.keys(), (1,)]
)
def test_what_no_row_has_is_refused_without_its_value(value: Any) -> None:
    with pytest.raises(TypeError) as refused:
        to_typed(value)
    assert "1.5" not in str(refused.value)


@pytest.mark.parametrize("value", [{}, {"S": "a", "N": "1"}, {"X": "a"}])
def test_what_is_not_one_typed_value_is_an_error(value: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        from_typed(value)
