"""Items in stream records: their hash, their differences, and what is shown of them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from runtime.streams.images import changed_attributes, image_hash, plain, shown

SECRET = b"\x00\xff"


def image(**more: Any) -> dict[str, Any]:
    return {"id": {"S": "acc_a"}, "version": {"N": "1"}, **more}


def test_the_hash_covers_the_items_typed_values_as_canonical_json() -> None:
    item = image(
        metadata={"M": {"note": {"S": "é"}, "more": {"L": [{"N": "1"}, {"BOOL": True}]}}},
        nothing={"NULL": True},
        features={"SS": ["a", "b"]},
        email={"B": base64.b64encode(SECRET).decode()},
    )
    text = json.dumps(item, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert image_hash(item) == hashlib.sha256(text.encode()).hexdigest()
    assert image_hash(None) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"SS": ["a", "b"]}, {"SS": ["b", "a"]}),
        ({"NS": ["1", "1.5"]}, {"NS": ["1.5", "1"]}),
        ({"BS": [b"a", b"b"]}, {"BS": ["Yg==", "YQ=="]}),
        ({"B": SECRET}, {"B": base64.b64encode(SECRET).decode()}),
        ({"L": [{"SS": ["a", "b"]}]}, {"L": [{"SS": ["b", "a"]}]}),
    ],
)
def test_values_equal_in_dynamodb_have_one_hash(one: Any, other: Any) -> None:
    assert image_hash(image(x=one)) == image_hash(image(x=other))
    assert changed_attributes(image(x=one), image(x=other)) == ()


@pytest.mark.parametrize("name", ["SS", "NS", "BS", "M", "S"])
def test_a_map_key_that_looks_like_a_type_is_a_key(name: str) -> None:
    one = image(metadata={"M": {name: {"S": "a"}, "k": {"S": "v"}}})
    other = image(metadata={"M": {name: {"S": "b"}, "k": {"S": "v"}}})
    assert image_hash(one) != image_hash(other)
    assert changed_attributes(one, other) == ("metadata",)
    assert shown(one, ())["metadata"] == {name: "a", "k": "v"}
    assert image_hash(image(**{name: {"S": "a"}})) != image_hash(image(**{name: {"S": "b"}}))


def test_an_added_or_removed_empty_attribute_is_a_change() -> None:
    assert changed_attributes(image(), image(x={"NULL": True})) == ("x",)
    assert changed_attributes(image(x={"NULL": True}), image()) == ("x",)


@pytest.mark.parametrize(
    ("value", "shown_as"),
    [
        ({"NS": ["10", "9", "1.5", "-1"]}, [-1, 9, 10, "1.5"]),
        ({"NS": ["1E+100", "1"]}, [1, "1E+100"]),
        ({"SS": ["b", "a"]}, ["a", "b"]),
        ({"BS": ["Yg=="]}, "changed"),
        ({"B": SECRET}, "changed"),
        ({"M": {"SS": {"S": "a"}}}, {"SS": "a"}),
        ({"L": [{"NULL": True}, {"BOOL": False}, {"N": "1.50"}]}, [None, False, "1.50"]),
    ],
)
def test_every_value_of_dynamodb_can_be_shown(value: Any, shown_as: Any) -> None:
    assert plain(value) == shown_as
