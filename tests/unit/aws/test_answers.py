"""Requests and answers as JSON."""

from __future__ import annotations

import json

import pytest

from runtime.aws.answers import parsed, request_body


def test_binary_values_are_sent_in_the_standard_alphabet_of_base64() -> None:
    assert request_body({"B": b"\xfb\xff\xbf"}) == b'{"B":"+/+/"}'


def test_text_is_sent_as_utf_8() -> None:
    assert request_body({"S": "Grüße 😀 \n"}) == '{"S":"Grüße 😀 \\n"}'.encode()


def test_half_of_a_surrogate_pair_is_sent_as_python_escapes_it() -> None:
    assert request_body({"S": "\ud83d", "B": b"\xff"}) == b'{"S":"\\ud83d","B":"/w=="}'


@pytest.mark.parametrize("value", [object(), {1, 2}, 1.5j])
def test_what_no_request_has_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be sent to AWS"):
        request_body({"N": value})


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1,]", '{"a": 1} x', "\ufeff{}", "[" * 100_000])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        parsed(text.encode())
    with pytest.raises((ValueError, RecursionError)):
        parsed(text.encode() + b'null,"B"')


def test_answers_with_and_without_binary_values_are_read_alike() -> None:
    answer = {"Item": {"id": {"S": "Grüße \U0001f600"}, "n": {"N": "-1.5"}, "l": {"L": []}}}
    assert parsed(json.dumps(answer).encode()) == answer
    with_binary = {**answer, "Old": {"b": {"B": "/w=="}, "none": None}}
    assert parsed(json.dumps(with_binary).encode()) == {**answer, "Old": {"b": {"B": b"\xff"}}}
