"""Errors of a request are explained in the terms of the API, for all fields at once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from runtime.api.endpoints import ENDPOINTS
from runtime.core.errors import PlatformError
from runtime.http.field_errors import MAX_FIELD_ERRORS, MONEY_FIELDS, OTHERWISE, Flaw, flaws_of
from runtime.http.forms import form_of
from runtime.http.responses import problem
from runtime.reporting.exports.api import FILTERS
from tests.support.http import OPERATOR, http_event, request_of

BY_NAME = {endpoint.operation: endpoint for endpoint in ENDPOINTS}
BODIES = {e.body for e in ENDPOINTS if e.body is not None}
QUERIES = {e.query for e in ENDPOINTS if e.query is not None} | set(FILTERS.values())
PAYMENT: Final = {"amount": 500, "currency": "USD", "payment_method": "tok_approved"}


def refused(operation: str, body: Any = None, *, query: str = "", raw: str = "") -> dict[str, Any]:
    """The problem document of a request that must be refused."""
    endpoint = BY_NAME[operation]
    sent: dict[str, Any] = {"raw": raw} if raw else {"body": body}
    if endpoint.method == "GET":
        sent = {}
    event = http_event(
        endpoint.method,
        endpoint.path,
        authorizer=OPERATOR,
        headers={"idempotency-key": "k"},
        query=query,
        **sent,
    )
    members = dict.fromkeys(re.findall(r"{(\w+)}", endpoint.path), "x")
    with pytest.raises(PlatformError) as error:
        request_of(endpoint, event, members)
    answer = problem(error.value, instance=endpoint.path, request_id="r")
    document: dict[str, Any] = json.loads(answer.body)
    return document


def payment_but(**changes: Any) -> dict[str, Any]:
    return {**PAYMENT, **changes}


WHOLE = "amount must be a whole number of minor units"
BODY_TEXTS: list[tuple[dict[str, Any], str, str]] = [
    ({"amount": "500"}, "amount", f'{WHOLE} (500 = 5.00 USD); got the text "500"'),
    ({"amount": "x" * 33}, "amount", f"{WHOLE} (500 = 5.00 USD)"),
    ({"amount": 19.99}, "amount", "amount is in minor units: send 1999 for 19.99 USD"),
    ({"amount": 5.0}, "amount", "amount is in minor units: send 500 for 5.00 USD"),
    ({"amount": 1e-7}, "amount", f"{WHOLE} (500 = 5.00 USD); got 1e-07"),
    ({"amount": -1.5}, "amount", f"{WHOLE} (500 = 5.00 USD); got -1.5"),
    (
        {"amount": 1.234, "currency": "KWD"},
        "amount",
        "amount is in minor units: send 1234 for 1.234 KWD",
    ),
    ({"amount": 1.5, "currency": "JPY"}, "amount", f"{WHOLE} (500 = 500 JPY); got 1.5"),
    ({"amount": None}, "amount", f"{WHOLE} (500 = 5.00 USD); got null"),
    ({"amount": [1]}, "amount", f"{WHOLE} (500 = 5.00 USD); got a list"),
    ({"amount": 0}, "amount", "amount must be at least 1; got 0"),
    ({"currency": "usd"}, "currency", "Write the currency in capitals: USD"),
    ({"currency": "XXX"}, "currency", 'currency must be an ISO 4217 code such as USD; got "XXX"'),
    ({"currency": "x" * 33}, "currency", "currency must be an ISO 4217 code such as USD; got …"),
    ({"currency": 840}, "currency", "currency must be text, not a number"),
    ({"payment_method": ""}, "payment_method", "payment_method must have at least 3 characters"),
    ({"payment_method": 7}, "payment_method", "payment_method must be text, not a number"),
    ({"payment_method": None}, "payment_method", "payment_method is required"),
    (
        {"reference": "a\tb"},
        "reference",
        "reference must be 1 to 64 characters without line breaks and other control characters",
    ),
    ({"description": "x" * 501}, "description", "description must have at most 500 characters"),
    (
        {"capture_method": "late"},
        "capture_method",
        'capture_method must be automatic or manual; got "late"',
    ),
    ({"metadata": []}, "metadata", "metadata must be a JSON object, not a list"),
    ({"metadata": {"k": 1}}, "metadata.k", "metadata.k must be text, not a number"),
    ({"metadata": {"": "v"}}, "metadata.", "metadata.: the key must not be empty"),
    (
        {"metadata": {str(n): "v" for n in range(51)}},
        "metadata",
        "metadata must have at most 50 items",
    ),
    (
        {"order_id": "7"},
        "order_id",
        "Unknown field order_id; put your own references in metadata",
    ),
    (
        {"customer_id": "cus/1"},
        "customer_id",
        "customer_id must be an id: at most 64 letters, digits and underscores",
    ),
]


@pytest.mark.parametrize(("changes", "param", "text"), BODY_TEXTS)
def test_a_wrong_field_of_a_payment_is_explained(
    changes: dict[str, Any], param: str, text: str
) -> None:
    reported = refused("createPayment", payment_but(**changes))
    assert (reported["param"], reported["detail"]) == (param, text)
    assert reported["errors"] == [{"param": param, "detail": text}]


OTHER_TEXTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("refundPayment", {"amount": "5"}, "amount", f'{WHOLE} (500 = 5.00 USD); got the text "5"'),
    ("refundPayment", {"order_id": 5}, "order_id", "Unknown field order_id"),
    ("refundPayment", {"amount": None}, "amount", "amount must not be null; leave it out instead"),
    ("capturePayment", {"final": "no"}, "final", 'final must be true or false; got the text "no"'),
    (
        "createTransfer",
        {
            "currency": "EUR",
            "legs": [{"from_account_id": "a", "to_account_id": "b", "amount": 2.5}],
        },
        "legs.0.amount",
        "legs.0.amount is in minor units: send 250 for 2.50 EUR",
    ),
    (
        "createTransfer",
        {"currency": "EUR", "legs": [{"from_account_id": "a", "to_account_id": "b"}]},
        "legs.0.amount",
        "legs.0.amount is required",
    ),
    ("createTransfer", {"currency": "EUR", "legs": []}, "legs", "legs must not be empty"),
    (
        "createTransfer",
        {"currency": "EUR", "legs": [{"x": 1, "from_account_id": "a"}]},
        "legs.0.x",
        "Unknown field legs.0.x",
    ),
    (
        "createMerchant",
        {"name": "S", "email": "s@x.example", "rate_limits": {"payments_per_day": 0}},
        "rate_limits.payments_per_day",
        "rate_limits.payments_per_day must be at least 1; got 0",
    ),
    (
        "changeMerchant",
        {"version": 1, "rate_limits": {"payments_per_day": "9"}},
        "rate_limits.payments_per_day",
        'rate_limits.payments_per_day must be a whole number; got the text "9"',
    ),
    (
        "changeMerchant",
        {"version": 1, "features": 3},
        "features",
        "features must be a list, not a number",
    ),
    (
        "createMerchant",
        {"name": "S", "email": "hidden.example"},
        "email",
        "email must be an email address such as shop@example.com",
    ),
    (
        "createApiKey",
        {"name": "k", "permissions": ["admin"]},
        "permissions.0",
        "permissions.0 must be payments, refunds, customers, accounts, transfers, reports or "
        'merchant; got "admin"',
    ),
    (
        "resolveException",
        {"action": "accept", "note": "n", "transaction_id": "txn_1"},
        "transaction_id",
        "transaction_id is required for the action link, and allowed for no other action",
    ),
    (
        "resolveException",
        {"action": "link", "note": "n"},
        "transaction_id",
        "transaction_id is required for the action link, and allowed for no other action",
    ),
]


@pytest.mark.parametrize(("operation", "body", "param", "text"), OTHER_TEXTS)
def test_a_wrong_field_of_other_requests_is_explained(
    operation: str, body: dict[str, Any], param: str, text: str
) -> None:
    reported = refused(operation, body)
    assert (reported["param"], reported["detail"]) == (param, text)


QUERY_TEXTS: list[tuple[str, str, str, str]] = [
    (
        "listPayments",
        "start_date=yesterday",
        "start_date",
        'start_date must look like 2026-11-29 or 2026-11-29T10:00:00Z (UTC); got "yesterday"',
    ),
    ("listPayments", "limit=0", "limit", 'limit must be at least 1; got "0"'),
    ("listPayments", "limit=5.0", "limit", 'limit must be a whole number; got "5.0"'),
    ("listPayments", "limit=+5", "limit", 'limit must be a whole number; got " 5"'),
    (
        "listPayments",
        "min_amount=19.99",
        "min_amount",
        'min_amount must be a whole number of minor units (500 = 5.00 USD); got "19.99"',
    ),
    ("listPayments", "colour=red", "colour", "Unknown query parameter colour"),
    (
        "getBalance",
        "at=2026-11-29",
        "at",
        'at must look like 2026-11-29T10:00:00Z (UTC); got "2026-11-29"',
    ),
    ("getBalance", "", "at", "at is required"),
    (
        "listExceptions",
        "status=matched",
        "status",
        "status must be an open status: matched lines need no decision; list them with "
        "/v1/settlements/{id}/lines",
    ),
]


@pytest.mark.parametrize(("operation", "query", "param", "text"), QUERY_TEXTS)
def test_a_wrong_query_is_explained(operation: str, query: str, param: str, text: str) -> None:
    reported = refused(operation, query=query)
    assert (reported["param"], reported["detail"]) == (param, text)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (" ", "The request body is empty; send a JSON object"),
        ("{'a': 1}", "The request body is not valid JSON: see line 1, column 2"),
        (
            '{"a": 1, "a": 2}',
            "The request body is not valid JSON: an object has the same field twice",
        ),
        ('{"a": NaN}', "The request body is not valid JSON: NaN is not a JSON number"),
        ('{"description": "\\ud800"}', "The request body is not valid JSON"),
        ("[]", "The request body must be a JSON object, not a list"),
    ],
)
def test_a_body_that_cannot_be_read_is_explained(raw: str, text: str) -> None:
    assert refused("createPayment", raw=raw)["detail"] == text


# ------------------------------------------------------------ all fields at once


def test_all_invalid_fields_are_listed_in_the_order_of_the_body() -> None:
    body = {"payment_method": 1, "currency": "usd", "metadata": {"a": 1, "b": 2}, "customer_id": ""}
    reported = refused("createPayment", body)
    params = [each["param"] for each in reported["errors"]]
    assert params == [
        "payment_method",
        "currency",
        "metadata.a",
        "metadata.b",
        "customer_id",
        "amount",
    ]
    assert reported["errors"][0] == {"param": reported["param"], "detail": reported["detail"]}
    assert reported["errors"][-1]["detail"] == "amount is required"


def test_unknown_fields_come_first_and_give_the_code() -> None:
    reported = refused("createPayment", payment_but(amount="5", colour="red", size=3))
    assert (reported["status"], reported["code"], reported["param"]) == (
        400,
        "unknown_field",
        "colour",
    )
    assert [each["param"] for each in reported["errors"]] == ["colour", "size", "amount"]


def test_all_invalid_parameters_of_a_query_are_listed() -> None:
    reported = refused("listPayments", query="limit=x&status=paid&start_date=today")
    assert [each["param"] for each in reported["errors"]] == ["limit", "status", "start_date"]


def test_an_amount_that_is_too_large_keeps_its_code() -> None:
    reported = refused("createPayment", payment_but(amount=10**12 + 1, currency="usd"))
    assert (reported["code"], reported["param"]) == ("amount_too_large", "amount")
    assert reported["detail"] == "amount must be at most 1000000000000; got 1000000000001"
    assert [each["param"] for each in reported["errors"]] == ["amount", "currency"]


def test_the_list_of_invalid_fields_is_bounded() -> None:
    reported = refused("createPayment", payment_but(**{f"x{n}": n for n in range(30)}))
    assert len(reported["errors"]) == MAX_FIELD_ERRORS == 20


# ------------------------------------------------------------ no terms of the validator


FOREIGN: Final = re.compile(
    r"Input should|String should|Value error|should match|should have|should be a valid|"
    r"pydantic|constrained|Extra inputs|Field required|Tuple|tuple|frozenset|Frozenset|"
    r"Dictionary|dictionary|unable to parse|_type\b|literal|enum\b|[\^$\\]|\[[^\]]*\]|\{\d",
)
"""Terms of pydantic's messages, and the syntax of regular expressions."""

simple_text = st.text("abcXYZ019 @.-_äé", max_size=40)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | simple_text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abxyz_", min_size=1, max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def _schemas(node: Any) -> Any:
    if isinstance(node, dict):
        yield node
        for each in node.values():
            yield from _schemas(each)
    if isinstance(node, list):
        for each in node:
            yield from _schemas(each)


def _names(shape: type[BaseModel]) -> list[str]:
    """Names of fields of a model and its nested models, and an unknown one."""
    found = {"unknown"}
    for node in _schemas(shape.model_json_schema()):
        properties = node.get("properties")
        if isinstance(properties, dict):
            found |= set(properties)
    return sorted(found)


def _documents(shape: type[BaseModel], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Bodies with the names of the model on every level, and mostly unsuitable values."""
    names = _names(shape)
    inner = st.dictionaries(st.sampled_from(names), values, max_size=4)
    members = values | inner | st.lists(inner, max_size=2)
    outer = st.sampled_from([*shape.model_fields, "unknown"])
    return st.dictionaries(outer, members, max_size=6)


def flaws(shape: type[BaseModel], document: Any, *, in_query: bool) -> tuple[Flaw, ...]:
    try:
        if in_query:
            shape.model_validate(document)
        else:
            shape.model_validate_json(json.dumps(document))
    except ValidationError as error:
        return flaws_of(error, document, shape, in_query=in_query)
    return ()


def must_be_ours(found: tuple[Flaw, ...], document: Mapping[str, Any], *, exact: bool) -> None:
    for flaw in found:
        words = flaw.field.detail.replace(flaw.field.param, "…").replace("/{id}/", "/")
        assert not FOREIGN.search(words), flaw.field
        assert "{" not in words, flaw.field
        assert OTHERWISE.template not in words, flaw.field
        assert flaw.field.detail[-1] != ".", flaw.field
        # Names with a dot or of more than 32 characters are ambiguous in a path.
        assert not exact or _is_path(document, flaw.field.param.split(".")), flaw.field
    assert len({flaw.field.param for flaw in found}) == len(found)


def _is_path(document: Any, parts: list[str]) -> bool:
    """Whether a param is a member of the request, or of one that a container in it lacks."""
    here = document
    for position, part in enumerate(parts):
        if isinstance(here, dict):
            if part not in here:
                return position == len(parts) - 1
            here = here[part]
        elif isinstance(here, list) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            return False
    return True


@given(st.data())
def test_no_error_of_a_body_contains_terms_of_the_validator(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from(sorted(BODIES, key=lambda each: each.__name__)))
    document = data.draw(_documents(shape, json_values))
    must_be_ours(flaws(shape, document, in_query=False), document, exact=True)


@given(st.data())
def test_no_error_of_a_query_contains_terms_of_the_validator(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from(sorted(QUERIES, key=lambda each: each.__name__)))
    names = st.sampled_from([*shape.model_fields, "unknown"])
    document = data.draw(st.dictionaries(names, simple_text, max_size=6))
    must_be_ours(flaws(shape, document, in_query=True), document, exact=True)


WRONG: Final[list[Any]] = [
    None,
    True,
    0,
    -1,
    10**13,
    2.5,
    "",
    "usd",
    "ÄÖ/",
    "x" * 600,
    [],
    [1],
    ["x"],
    {},
]


@pytest.mark.parametrize("shape", sorted(BODIES | QUERIES, key=lambda each: each.__name__))
def test_every_field_of_every_request_explains_every_kind_of_wrong_value(
    shape: type[BaseModel],
) -> None:
    in_query = shape in QUERIES
    wrong = [each for each in WRONG if isinstance(each, str)] if in_query else WRONG
    for name in shape.model_fields:
        for value in wrong:
            document = {name: value}
            must_be_ours(flaws(shape, document, in_query=in_query), document, exact=True)


def test_every_pattern_of_a_request_has_an_explanation() -> None:
    patterns = {
        node["pattern"]
        for shape in BODIES | QUERIES
        for node in _schemas(shape.model_json_schema())
        if isinstance(node.get("pattern"), str) and node["pattern"] != "^[A-Z]{3}$"
    }
    assert len(patterns) > 10
    for pattern in patterns:
        assert form_of(pattern).expected.startswith("must "), pattern


def test_every_field_in_minor_units_is_explained_as_such() -> None:
    named = {
        name
        for shape in BODIES | QUERIES
        for name in _names(shape)
        if re.search(r"amount|balance|limit$|minor", name)
    }
    assert named - {"limit"} == MONEY_FIELDS
