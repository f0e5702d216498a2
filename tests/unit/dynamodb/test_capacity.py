"""The cost of writes and reads, from the sizes of items and index entries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.dynamodb.capacity import (
    Consistency,
    IndexLayout,
    TableLayout,
    WriteUnits,
    item_size,
    number_size,
    read_units,
    value_size,
    write_units,
)
from runtime.ledger.accounts.models import Account

LAYOUT = TableLayout(
    key_names=("id",),
    indexes=(
        IndexLayout("by-owner", ("owner", "id"), frozenset({"owner", "id", "status"})),
        IndexLayout("everything", ("status",), None),
        IndexLayout("keys", ("queue", "due"), frozenset({"queue", "due", "id"})),
    ),
)
BARE = TableLayout(key_names=("id",))


def item(**values: str) -> dict[str, dict[str, Any]]:
    return {name: {"S": value} for name, value in values.items()}


def of_size(size: int) -> dict[str, dict[str, Any]]:
    return item(id="x", body="b" * (size - len("idxbody")))


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": ""}, 0),
        ({"S": "abc"}, 3),
        ({"S": "é€😀"}, 2 + 3 + 4),
        ({"B": b"\x00\x01"}, 2),
        ({"B": "AAEC"}, 3),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["a", "bcd"]}, 4),
        ({"NS": ["1", "100", "-7"]}, 2 + 2 + 3),
        ({"BS": [b"ab", b"c"]}, 3),
        ({"L": []}, 3),
        ({"M": {}}, 3),
        ({"L": [{"S": "ab"}, {"N": "1"}]}, 3 + (1 + 2) + (1 + 2)),
        ({"M": {"name": {"S": "ab"}, "n": {"N": "1"}}}, 3 + (1 + 4 + 2) + (1 + 1 + 2)),
        ({"L": [{"M": {"a": {"L": []}}}]}, 3 + 1 + 3 + 1 + 1 + 3),
    ],
)
def test_a_value_has_the_size_of_its_type(value: dict[str, Any], size: int) -> None:
    assert value_size(value) == size


@pytest.mark.parametrize(
    ("number", "size"),
    [
        ("0", 1),
        ("-0", 1),
        ("0.00", 1),
        ("7", 2),
        ("07", 2),
        ("12", 2),
        ("123", 3),
        ("1234", 3),
        ("100", 2),  # one pair: 1 hundred
        ("1000", 2),  # 10 hundreds
        ("12300", 3),  # 1, 23 hundreds
        ("0.5", 2),
        ("0.05", 2),
        ("1.5", 3),  # the pairs are counted from the point: 1 | 50
        ("-1", 3),
        ("-1234", 4),
        ("1e6", 2),
        ("1E-3", 2),
        ("12345678901234567890123456789012345678", 20),
    ],
)
def test_a_number_has_a_byte_per_two_significant_digits(number: str, size: int) -> None:
    assert number_size(number) == size


@given(st.integers(-(10**37), 10**37), st.integers(0, 20))
def test_the_notation_of_a_number_does_not_change_its_size(number: int, zeroes: int) -> None:
    sign, digits = ("-" if number < 0 else ""), str(abs(number))
    spellings = {
        number_size(spelled)
        for spelled in (
            f"{number}",
            f"{sign}{'0' * zeroes}{digits}",
            f"{number}.{'0' * zeroes}",
            f"{number}{'0' * zeroes}e-{zeroes}",
        )
    }
    assert len(spellings) == 1
    assert spellings.pop() <= 21


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="type X"):
        value_size({"X": "?"})


def test_the_size_of_an_item_is_the_sum_of_its_names_and_values() -> None:
    assert item_size({"id": {"S": "abc"}, "größe": {"N": "10"}}) == 2 + 3 + 7 + 2


@pytest.mark.parametrize(
    ("size", "units"), [(10, 1), (1023, 1), (1024, 1), (1025, 2), (2048, 2), (2049, 3)]
)
def test_a_write_costs_a_unit_per_kilobyte_and_two_in_a_transaction(size: int, units: int) -> None:
    written = of_size(size)
    assert item_size(written) == size
    assert write_units(None, written, BARE, transactional=False) == WriteUnits(units)
    assert write_units(None, written, BARE, transactional=True) == WriteUnits(2 * units)


def test_a_write_is_charged_by_the_larger_of_before_and_after() -> None:
    large, small = of_size(3000), of_size(100)
    for before, after in ((large, small), (small, large), (large, None)):
        assert write_units(before, after, BARE, transactional=False).table == 3


def test_deleting_or_checking_a_missing_item_costs_the_smallest_write() -> None:
    assert write_units(None, None, LAYOUT, transactional=False) == WriteUnits(1)
    assert write_units(None, None, LAYOUT, transactional=True) == WriteUnits(2)


def test_a_check_costs_a_write_of_its_item_and_nothing_in_the_indexes() -> None:
    looked_at = {**of_size(1500), **item(owner="o", status="s")}
    assert write_units(looked_at, looked_at, LAYOUT, transactional=True) == WriteUnits(4)


def test_an_index_entry_is_put_deleted_or_unchanged_with_its_item() -> None:
    whole = item(id="1", owner="o", status="s")
    put = write_units(None, whole, LAYOUT, transactional=False)
    assert put == WriteUnits(1, {"by-owner": 1, "everything": 1})
    assert write_units(whole, None, LAYOUT, transactional=False) == put
    assert write_units(whole, whole, LAYOUT, transactional=False) == WriteUnits(1)


def test_an_index_costs_the_same_inside_and_outside_of_a_transaction() -> None:
    whole = item(id="1", owner="o", status="s")
    written = write_units(None, whole, LAYOUT, transactional=True)
    assert written == WriteUnits(2, {"by-owner": 1, "everything": 1})
    assert written.total == 4


def test_an_index_is_sparse() -> None:
    half = item(id="1", queue="q")
    assert write_units(None, half, LAYOUT, transactional=False) == WriteUnits(1)
    due = {**half, **item(due="now")}
    assert write_units(half, due, LAYOUT, transactional=False).indexes == {"keys": 1}
    assert write_units(due, half, LAYOUT, transactional=False).indexes == {"keys": 1}


def test_a_changed_key_moves_the_entry_for_two_writes() -> None:
    before, after = item(id="1", queue="q", due="1"), item(id="1", queue="q", due="2")
    assert write_units(before, after, LAYOUT, transactional=False).indexes == {"keys": 2}


def test_a_changed_attribute_costs_only_in_indexes_that_project_it() -> None:
    before = item(id="1", owner="o", status="s", queue="q", due="1", note="a")
    after = {**before, **item(note="b")}
    assert write_units(before, after, LAYOUT, transactional=False).indexes == {"everything": 1}
    listed = {**before, **item(status="t")}
    assert write_units(before, listed, LAYOUT, transactional=False).indexes == {
        "by-owner": 1,
        "everything": 2,
    }


def test_an_entry_has_the_size_of_its_projection() -> None:
    large = {**of_size(2500), **item(owner="o", status="s")}
    assert write_units(None, large, LAYOUT, transactional=False) == WriteUnits(
        3, {"by-owner": 1, "everything": 3}
    )


@pytest.mark.parametrize(
    ("size", "units"), [(0, 1), (1, 1), (4096, 1), (4097, 2), (8192, 2), (8193, 3)]
)
def test_a_read_costs_a_unit_per_four_kilobytes_by_its_consistency(size: int, units: int) -> None:
    assert read_units(size, Consistency.STRONG) == units
    assert read_units(size, Consistency.EVENTUAL) == units / 2
    assert read_units(size, Consistency.TRANSACTIONAL) == units * 2


def test_a_layout_is_the_same_declared_and_described() -> None:
    arguments = Account.table_schema.create_table_arguments("any")
    layout = TableLayout.of(Account.table_schema)
    assert TableLayout.described(arguments) == layout
    assert layout.index("status-index").key_names == ("status_bucket", "account_type")


def test_a_described_index_that_projects_everything_is_recognized() -> None:
    described = TableLayout.described(
        {
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "LocalSecondaryIndexes": [
                {
                    "IndexName": "all",
                    "KeySchema": [
                        {"AttributeName": "id", "KeyType": "HASH"},
                        {"AttributeName": "due", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        }
    )
    assert described == TableLayout(("id",), (IndexLayout("all", ("id", "due"), None),))
