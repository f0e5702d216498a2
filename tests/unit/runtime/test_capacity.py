"""Sizes and units by AWS's published rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.domain.capacity import (
    IndexShape,
    index_write_units,
    item_size,
    read_units,
    table_write_units,
)

INDEX = IndexShape("by-owner", ("owner", "id"), frozenset({"owner", "id", "status"}))


def sized(size: int, **attributes: str) -> dict[str, dict[str, str]]:
    """An item of exactly `size` bytes."""
    item = {name: {"S": value} for name, value in attributes.items()}
    room = size - item_size(item) - len("pad")
    return {**item, "pad": {"S": "x" * room}}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "abc"}, 3),
        ({"S": "ü"}, 2),
        ({"N": "1"}, 2),
        ({"N": "12"}, 2),
        ({"N": "123"}, 3),
        ({"N": "100"}, 2),
        ({"N": "-12"}, 3),
        ({"N": "0.5"}, 2),
        ({"N": "12.50"}, 3),
        ({"B": b"abcd"}, 4),
        ({"B": "YWJjZA=="}, 4),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"L": []}, 3),
        ({"L": [{"S": "ab"}, {"S": "c"}]}, 3 + 3 + 2),
        ({"M": {"k": {"S": "ab"}}}, 3 + 1 + 1 + 2),
        ({"SS": ["a", "bc"]}, 3),
        ({"NS": ["1", "2"]}, 4),
    ],
)
def test_each_type_has_its_size(value: dict[str, object], size: int) -> None:
    assert item_size({"n": value}) == 1 + size


def test_a_type_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no type"):
        item_size({"n": {"X": 1}})


@given(st.integers(4, 400_000))
def test_writes_are_rounded_up_to_a_kilobyte_and_doubled_in_a_transaction(size: int) -> None:
    plain = table_write_units(None, sized(size), transactional=False)
    assert (plain - 1) * 1024 < size <= plain * 1024
    assert table_write_units(None, sized(size), transactional=True) == 2 * plain


def test_a_write_costs_the_larger_of_what_was_and_what_is() -> None:
    small, large = sized(10), sized(3000)
    for before, after in ((small, large), (large, small), (large, None), (None, large)):
        assert table_write_units(before, after, transactional=False) == 3
    assert table_write_units(None, None, transactional=True) == 2


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [
        (None, {}, 0),
        (None, {"owner": "a"}, 1),
        ({"owner": "a"}, None, 1),
        ({"owner": "a"}, {}, 1),
        ({"owner": "a"}, {"owner": "b"}, 2),
        ({"owner": "a"}, {"owner": "a", "status": "new"}, 1),
        ({"owner": "a", "status": "x"}, {"owner": "a", "status": "x", "other": "y"}, 0),
        ({}, {"other": "y"}, 0),
    ],
)
def test_an_index_is_written_only_where_its_entry_changes(
    before: dict[str, str] | None, after: dict[str, str] | None, units: int
) -> None:
    def typed(row: dict[str, str] | None) -> dict[str, dict[str, str]] | None:
        return None if row is None else {n: {"S": v} for n, v in {"id": "1", **row}.items()}

    assert index_write_units(typed(before), typed(after), INDEX) == units


def test_an_index_that_shows_all_is_written_with_every_change_and_by_its_size() -> None:
    everything = IndexShape("all", ("owner",), None)
    before, after = sized(2500, owner="a", x="1"), sized(2500, owner="a", x="2")
    assert index_write_units(before, after, everything) == 3
    moved = sized(2500, owner="b", x="1")
    assert index_write_units(before, moved, everything) == 6


@pytest.mark.parametrize(
    ("size", "consistent", "transactional", "units"),
    [
        (0, True, False, 1),
        (0, False, False, 0.5),
        (4096, True, False, 1),
        (4097, True, False, 2),
        (4097, False, False, 1),
        (4097, True, True, 4),
    ],
)
def test_reads_are_rounded_up_to_four_kilobytes(
    size: int, consistent: bool, transactional: bool, units: float
) -> None:
    assert read_units(size, consistent=consistent, transactional=transactional) == units
