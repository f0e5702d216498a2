"""The console reads and writes JSON as the runtime does: exact integers, one canonical text."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.core.canonical_json import canonical_json
from tests.support.console.javascript import run_in_node

_IMPORTS: Final = 'import { canonical } from "./json.js";'
_TEXTS: Final = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(2**53 - 2, 2**80) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_VALUES, min_size=20, max_size=20))
def test_canonical_json_is_the_runtimes(values: list[Any]) -> None:
    assert run_in_node(_IMPORTS, "return given.map(canonical);", values) == [
        canonical_json(value).decode() for value in values
    ]


def test_names_sort_by_utf16_code_units_and_escapes_are_the_runtimes() -> None:
    value = {
        "\ufb33": 1,
        "\U0001f600": 2,
        "\u20ac": 3,
        "10": 4,
        "9": 5,
        "__proto__": "\x7f\x1f\u2028/",
    }
    assert (
        run_in_node(_IMPORTS, "return canonical(given);", value) == canonical_json(value).decode()
    )


@pytest.mark.parametrize("text", ["1.5", "1e400", "0.1"])
def test_a_fraction_has_no_canonical_form(text: str) -> None:
    body = "try { return canonical(exact(given)); } catch (error) { return error.name; }"
    assert run_in_node(_IMPORTS, body, text) == "TypeError"


@pytest.mark.parametrize("text", ["", "{", "01", "1 2", '{"a" 1}', "[1,]", "-", '"', "\\u0031"])
def test_what_is_not_json_is_refused(text: str) -> None:
    body = "try { return exact(given); } catch (error) { return error.name; }"
    assert run_in_node(_IMPORTS, body, text) == "SyntaxError"


def test_numbers_in_texts_and_names_stay_texts() -> None:
    value = {"1": '"12345678901234567890"', "n": "-1", "s": ["\\", '\\"9', 9007199254740993]}
    body = "return exact(given).s[2] === 9007199254740993n ? canonical(exact(given)) : null;"
    assert json.loads(run_in_node(_IMPORTS, body, json.dumps(value))) == value
