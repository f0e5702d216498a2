"""The search for card numbers matches its definition, in time linear in the text's length."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.core.card_numbers import holds_card_number
from runtime.functions.json_body import MAX_BODY_BYTES
from runtime.http.card_data import find_card_data
from tests.support.oracles.card_bodies import ORDINARY, worst_bodies
from tests.support.oracles.card_definition import holds_card_number_by_definition

MOST_CALLS_PER_BYTE = 3
"""Calls of functions, builtin ones too. The definition needs 90 for a text of single digits."""

PARTS = ["4242", "42", "1", "0", "18", " ", "-", ".", "_", "/", "\u2013", ",", "a", "f", "x", "A"]
ODD_PARTS = ["\u0301", "\u0327", "\u00a0", "\u2028", "\uff14\uff12", "\u2488", "\u246f", "\u00bd"]
CARD = "4539148803436467"

texts = st.lists(st.sampled_from([*PARTS, *PARTS, *ODD_PARTS]), max_size=40).map("".join)
around_a_card = st.tuples(texts, st.sampled_from([CARD, f"{CARD[:4]}-{CARD[4:]}"]), texts).map(
    "".join
)


@given(texts | around_a_card | st.text(alphabet="0123456789 -a\u0301", max_size=60))
@example(f"{CARD}a\u0301")
@example(f"{CARD}-e\u0327\u0301")
@example(f"a\u0301-{CARD}")
@example("1" * 19 + " " + "1" * 19)
def test_the_search_matches_the_definition(text: str) -> None:
    assert holds_card_number(text) == holds_card_number_by_definition(text)


@pytest.mark.parametrize("gap", [" ", ",", "x"])
def test_long_runs_of_digits_match_the_definition(gap: str, dice: random.Random) -> None:
    found = 0
    for _ in range(200):
        groups = ("".join(dice.choices("0123456789", k=dice.randint(1, 7))) for _ in range(30))
        text = "".join(group + dice.choice([" ", gap, "-"]) for group in groups)
        found += holds_card_number(text)
        assert holds_card_number(text) == holds_card_number_by_definition(text), text
    assert found > 0


class Calls:
    """Counts calls of functions in Python and in C, which do not depend on the machine's speed."""

    def __init__(self) -> None:
        self.made = 0
        self.of: Counter[str] = Counter()
        """Those in C, by name."""

    def __enter__(self) -> Calls:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, _frame: FrameType, event: str, argument: object) -> None:
        self.made += event in {"call", "c_call"}
        if event == "c_call":
            self.of[getattr(argument, "__name__", "")] += 1


@pytest.mark.parametrize("name", worst_bodies())
def test_the_cost_of_a_body_is_linear_in_its_length(name: str) -> None:
    body = worst_bodies()[name]
    size = len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
    assert size <= MAX_BODY_BYTES
    with Calls() as calls:
        assert find_card_data(body) is None
    assert calls.made <= MOST_CALLS_PER_BYTE * size


def test_combining_marks_are_never_reordered_all_at_once() -> None:
    """Each distinct character is normalized by itself: n marks together would take n² steps."""
    marks = "\u0345" * 5_000 + "\u0327" * 5_000 + "\u0301"
    with Calls() as calls:
        assert not holds_card_number(marks)
    assert calls.of["normalize"] == len(set(marks))


def test_an_ordinary_body_needs_few_calls() -> None:
    with Calls() as calls:
        assert find_card_data(ORDINARY) is None
    assert calls.made <= 150


def test_our_own_ids_are_not_card_numbers_whatever_their_digits() -> None:
    digits = f"acc_01KKNS5TMZ{CARD}"
    assert holds_card_number(digits)
    document: dict[str, Any] = {"from_account_id": digits, "legs": [{"to_account_id": digits}]}
    assert find_card_data(document) is None
    assert find_card_data({"note": f"{digits}."}) == "note"


TEXTS = st.lists(
    st.one_of(
        st.sampled_from([CARD, CARD[:8], CARD[8:], f"{CARD[:13]}-", "b", f"{CARD}a", "1", "é"]),
        st.text(alphabet=f"0123456789 -ab{chr(0)}", max_size=20),
    ),
    max_size=12,
)


@given(TEXTS)
def test_texts_are_searched_together_and_evaluated_separately(texts: list[str]) -> None:
    """The first text with a card number is reported; no number spans two texts."""
    holding = (str(at) for at, text in enumerate(texts) if holds_card_number_by_definition(text))
    assert find_card_data(texts) == next(holding, None)
    named = {f"n{at}": text for at, text in enumerate(texts)}
    first = find_card_data({**named, "cvv": "123"})
    assert first == next((name for name, text in named.items() if find_card_data(text)), "cvv")
