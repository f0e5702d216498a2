"""Card numbers and security codes are found anywhere in a request."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.http.card_data import find_card_data

VISA = "4242424242424242"
NUMBERS = [
    VISA,
    "5555555555554444",
    "378282246310005",
    "6011111111111117",
    "30569309025904",
    "4222222222222",
    "6304000000000000000",
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "dress",
    [
        "{}",
        "card {} please",
        "x{}y",
        "({})",
        "{}.",
        "order 7 {}",
        "{} 12",
        "{} 123",
        "{} 12/27",
        "number:{}",
    ],
)
def test_a_card_number_is_found_in_any_text_around_it(number: str, dress: str) -> None:
    assert find_card_data({"description": dress.format(number)}) == "description"


@pytest.mark.parametrize(
    "text",
    [
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "3782 822463 10005",
        "4242.4242.4242.4242",
        "4242\u00a04242\u00a04242\u00a04242",
        "\uff14\uff12" * 8,
    ],
)
def test_a_card_number_in_groups_is_found(text: str) -> None:
    assert find_card_data({"a": text}) == "a"
    assert find_card_data({"a": f"1 {text} 123"}) == "a"


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424241",
        "424242424242",
        "12345",
        "",
        "pay_01KKNS5TM27YDJ43Y2ZGZA8BEN",
        "tok_approved",
        "2026-03-14T09:00:00.000Z",
        "+49 171 1234567",
        "42424242424242424242",
    ],
)
def test_other_texts_are_accepted(text: str) -> None:
    assert find_card_data({"a": text, "n": 1000, "b": True, "f": 1.5, "z": None}) is None


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"metadata": {"note": VISA}}, "metadata.note"),
        ({"list": ["x", {"deep": VISA}]}, "list.1.deep"),
        ({"amount": int(VISA)}, "amount"),
        ({"cvv": "123"}, "cvv"),
        ({"metadata": {"Security-Code": "1"}}, "metadata.Security-Code"),
        ({"card number": "x"}, "card number"),
        ({"cvc": None}, "cvc"),
    ],
)
def test_the_member_at_fault_is_identified_by_its_path(document: dict[str, Any], path: str) -> None:
    assert find_card_data(document) == path


def test_a_card_number_used_as_a_name_is_found_and_not_repeated() -> None:
    assert find_card_data({VISA: "x"}) == "body"
    assert find_card_data({"metadata": {VISA: "x"}}) == "metadata"


@given(st.integers(12, 18), st.integers(0))
def test_a_number_with_one_wrong_digit_is_not_a_card_number(length: int, seed: int) -> None:
    payload = str(seed)[:length].rjust(length, "4")
    check = next(c for c in "0123456789" if find_card_data({"a": payload + c}) == "a")
    wrong = str((int(check) + 1) % 10)
    assert find_card_data({"a": payload + wrong}) is None


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
)


@given(documents)
def test_any_document_is_searched_without_failing(document: Any) -> None:
    assert find_card_data(document) is None or isinstance(find_card_data(document), str)


@given(st.uuids())
def test_a_uuid_is_not_a_card_number(identifier: UUID) -> None:
    assert find_card_data({"order": str(identifier)}) is None


def test_digits_of_a_uuid_that_pass_the_check_are_not_a_card_number() -> None:
    assert find_card_data({"order": "aaaaaaaf-4242-4242-8424-242424242424"}) is None
    assert find_card_data({"order": "4242-4242-4242-4242 for order aaaaaaaf-1"}) == "order"


def test_an_international_telephone_number_is_not_a_card_number() -> None:
    luhn_valid = "+49 1512 3456 787"
    assert find_card_data({"note": luhn_valid}) == "note"
    assert find_card_data({"phone": luhn_valid}) is None
