"""Names, trees and statements of the audit archive, as an auditor would recompute them."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.audit.archive.merkle import leaf_hash, merkle_root
from runtime.audit.archive.rules import (
    NO_ROOT,
    Segment,
    SignedRoot,
    fault_of_names,
    next_root,
    read_segment_name,
    root_name,
    root_number,
    segment_day,
    segment_name,
    tree_of,
)

DAY = date(2026, 3, 14)
NOW = datetime(2026, 3, 15, 0, 5, tzinfo=UTC)

# Public vectors of the Certificate Transparency project's reference implementation.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def segments(count: int, day: date = DAY) -> list[Segment]:
    made = []
    for number in range(count):
        name = segment_name(day, str(number), number + 1, str(number).encode())
        read = read_segment_name(name)
        assert read is not None
        made.append(read)
    return made


def signed(count: int) -> SignedRoot:
    found = segments(count)
    statement = next_root(None, found, NOW, "arn:key")
    return SignedRoot(statement=statement, signature="", names=tuple(s.name for s in found))


@pytest.mark.parametrize("size", range(1, 9))
def test_a_tree_is_a_certificate_transparency_tree(size: int) -> None:
    assert merkle_root(LEAVES[:size]).hex() == ROOTS[size - 1]
    assert merkle_root([]).hex() == hashlib.sha256(b"").hexdigest()


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, verbatim."""
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    left, right = by_definition(leaves[:half]), by_definition(leaves[half:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=70))
def test_a_tree_computed_in_one_pass_matches_the_definition(leaves: list[bytes]) -> None:
    assert merkle_root(iter(leaves)) == by_definition(leaves)


def test_a_name_contains_day_place_count_and_hash() -> None:
    body = b'{"a":1}\n'
    name = segment_name(DAY, "123456789012345678901", 1, body)
    assert name == (
        "rows/2026-03-14/0000000000000000000123456789012345678901-00001-"
        f"{hashlib.sha256(body).hexdigest()}.jsonl"
    )
    assert read_segment_name(name) == Segment(name, DAY, 1, hashlib.sha256(body).hexdigest())
    assert segment_name(DAY, "123456789012345678901", 1, b"{}\n") != name


@pytest.mark.parametrize(
    "name",
    [
        "rows/2026-03-14/1.jsonl",
        segment_name(DAY, "1", 1, b"").replace("2026-03-14", "2026-02-30"),
        segment_name(DAY, "1", 1, b"") + "x",
        "roots/000000000001.json",
    ],
)
def test_other_names_are_not_segments(name: str) -> None:
    assert read_segment_name(name) is None


def test_a_batch_belongs_to_the_day_of_its_first_row_within_the_streams_retention() -> None:
    late = datetime(2026, 3, 14, 23, 59, tzinfo=UTC)
    assert segment_day(late, NOW) == DAY
    assert segment_day(late, late + timedelta(hours=24)) == DAY
    assert segment_day(late, late + timedelta(days=9)) == date(2026, 3, 23)


def test_a_roots_object_is_named_by_its_number() -> None:
    assert root_name(7) == "roots/000000000007.json"
    assert root_number(root_name(7)) == 7
    assert root_number("roots/7.json") is None


def test_a_statement_is_numbered_and_follows_the_previous_one() -> None:
    first = next_root(None, segments(3), NOW, "arn:key")
    assert (first.number, first.previous, first.segments, first.rows) == (1, NO_ROOT, 3, 6)
    second = next_root(first, segments(1, date(2026, 3, 15)), NOW, "arn:key")
    assert (second.number, second.previous) == (2, first.hash)
    assert first.hash == hashlib.sha256(first.signed_bytes()).hexdigest()


def test_the_tree_covers_the_previous_statement_and_the_names() -> None:
    names = ["rows/a", "rows/b"]
    leaves = [bytes.fromhex("ab" * 32), b"rows/a", b"rows/b"]
    assert tree_of("ab" * 32, names) == merkle_root(leaves).hex()


def test_names_that_were_not_signed_are_found() -> None:
    root = signed(3)
    assert fault_of_names(root) is None
    swapped = root.model_copy(update={"names": root.names[::-1]})
    assert "tree" in str(fault_of_names(swapped))
    fewer = root.model_copy(update={"names": root.names[:2]})
    assert "tree" in str(fault_of_names(fewer))
    counted = root.statement.model_copy(update={"rows": 7})
    assert "counts" in str(fault_of_names(root.model_copy(update={"statement": counted})))
