"""From an HTTP event to a validated request: checks in a fixed order, one refusal at a time."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.api.endpoints import ENDPOINTS
from runtime.core.errors import Forbidden, PlatformError
from runtime.functions.form_body import FORM, MAX_FORM_BYTES
from runtime.functions.http.request import MAX_NOTIFICATION_BYTES, Request
from runtime.functions.json_body import MAX_BODY_BYTES
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.event import HttpEvent
from runtime.merchants.api import MerchantRequest
from runtime.payments.api import PaymentRequest
from tests.support.http import EVERYTHING, OPERATOR, http_event, request_of, token_of

BY_NAME = {endpoint.operation: endpoint for endpoint in ENDPOINTS}
PAY = BY_NAME["createPayment"]
MERCHANT = token_of("mer_1")
GOOD = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}
KEY = {"idempotency-key": "key-1"}
_MISSING: Any = object()


def read(endpoint: Endpoint = PAY, body: Any = _MISSING, path_id: str = "", **more: Any) -> Request:
    more.setdefault("authorizer", MERCHANT)
    if endpoint.method == "POST":
        more.setdefault("headers", KEY)
        if "raw" not in more:
            more["body"] = GOOD if body is _MISSING else body
    event = http_event(endpoint.method, endpoint.path, **more)
    members = {"processor": "sandbox"} if endpoint.signed else {}
    return request_of(endpoint, event, {"id": path_id} if path_id else members)


def refusal(*args: Any, **more: Any) -> tuple[int, str, str | None]:
    with pytest.raises(PlatformError) as refused:
        read(*args, **more)
    error = refused.value
    return int(error.status), error.code, error.param


def but(**changes: Any) -> dict[str, Any]:
    return {k: v for k, v in {**GOOD, **changes}.items() if v is not _MISSING}


def test_a_valid_request_is_parsed_completely() -> None:
    request = read(body=but(metadata={"order": "7"}))
    call = request.authenticated
    assert (call.method, call.path, call.idempotency_key) == ("POST", "/v1/payments", "key-1")
    assert (call.caller.subject, call.caller.merchant_id) == ("user", "mer_1")
    assert call.caller.permissions == frozenset(EVERYTHING.split())
    assert (call.caller.ip_address, call.caller.user_agent) == ("192.0.2.1", "tests")
    assert request.body(PAY.body).metadata == {"order": "7"}  # type: ignore[arg-type,attr-defined]


LADDER: list[tuple[str, dict[str, Any], tuple[int, str]]] = [
    ("anonymous", {"authorizer": None}, (401, "unauthorized")),
    ("no sub", {"authorizer": token_of("mer_1", sub="")}, (401, "unauthorized")),
    ("permission", {"authorizer": token_of("mer_1", "reports")}, (403, "forbidden")),
    ("query acting", {"query": "merchant_id=mer_2"}, (403, "forbidden")),
    ("too large", {"raw": "x" * (MAX_BODY_BYTES + 1)}, (413, "payload_too_large")),
    (
        "media type",
        {"headers": {**KEY, "content-type": "text/plain"}},
        (415, "unsupported_media_type"),
    ),
    ("no JSON", {"raw": "{"}, (400, "malformed_json")),
    ("body acting", {"body": but(merchant_id="mer_2")}, (403, "forbidden")),
    ("unknown parameter", {"query": "x=1"}, (400, "unknown_parameter")),
    ("no key", {"headers": {}}, (400, "missing_idempotency_key")),
    ("card data", {"body": but(description="4242424242424242")}, (422, "card_data_refused")),
    ("unknown field", {"body": but(colour="red")}, (400, "unknown_field")),
    ("wrong value", {"body": but(amount=0)}, (422, "invalid_value")),
]


@pytest.mark.parametrize(("flaw", "more", "expected"), LADDER, ids=[flaw for flaw, *_ in LADDER])
def test_each_flaw_has_its_own_refusal(
    flaw: str, more: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert refusal(**more)[:2] == expected


WORST_BODY = but(merchant_id="mer_2", colour="red", amount="x", description="4242424242424242")


def test_with_every_error_the_refusals_come_in_the_documented_order() -> None:
    worst: dict[str, Any] = {
        "authorizer": None,
        "body": WORST_BODY,
        "query": "x=1&x=2",
        "headers": {"content-type": "text/plain"},
    }
    assert refusal(**worst)[0] == 401
    worst["authorizer"] = token_of("mer_1", "reports")
    assert refusal(**worst)[0] == 403
    worst["authorizer"] = MERCHANT
    assert refusal(**worst)[0] == 415
    worst["headers"] = {}
    assert refusal(**worst)[:2] == (403, "forbidden")
    worst["body"] = {k: v for k, v in WORST_BODY.items() if k != "merchant_id"}
    assert refusal(**worst)[:2] == (400, "invalid_parameter")
    worst["query"] = ""
    assert refusal(**worst)[:2] == (400, "missing_idempotency_key")


def test_a_merchant_that_names_a_merchant_is_forbidden_whatever_else_is_wrong() -> None:
    for other in ({"amount": -1}, {"colour": "red"}, {"amount": _MISSING}, {}):
        body = but(merchant_id="mer_1", **other)
        assert refusal(body=body) == (403, "forbidden", "merchant_id")


def test_a_card_number_is_refused_before_it_could_be_repeated() -> None:
    body = but(**{"4242424242424242": "x"})
    with pytest.raises(PlatformError) as refused:
        read(body=body)
    assert "4242" not in refused.value.detail
    assert "4242" not in (refused.value.param or "")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"amount": "100"}, "amount"),
        ({"amount": 1.0}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": None}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": 10**12 + 1}, "amount"),
        ({"amount": [1]}, "amount"),
        ({"amount": _MISSING}, "amount"),
        ({"currency": "usd"}, "currency"),
        ({"currency": "XXX"}, "currency"),
        ({"currency": 840}, "currency"),
        ({"currency": _MISSING}, "currency"),
        ({"payment_method": ""}, "payment_method"),
        ({"payment_method": _MISSING}, "payment_method"),
        ({"payment_method": None}, "payment_method"),
        ({"payment_method": _MISSING, "customer_id": None}, "payment_method"),
        ({"payment_method": _MISSING, "customer_id": "cus/1"}, "customer_id"),
        ({"reference": ""}, "reference"),
        ({"reference": "x" * 65}, "reference"),
        ({"reference": "order\n17"}, "reference"),
        ({"reference": 17}, "reference"),
        ({"customer_id": "cus/1"}, "customer_id"),
        ({"customer_id": ""}, "customer_id"),
        ({"customer_id": 7}, "customer_id"),
        ({"description": "x" * 501}, "description"),
        ({"metadata": {str(n): "v" for n in range(51)}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"metadata": {"k": "v" * 501}}, "metadata.k"),
        ({"metadata": []}, "metadata"),
        ({"capture_method": "sometimes"}, "capture_method"),
        ({"statement_descriptor": "x" * 23}, "statement_descriptor"),
        ({"idempotency_key": 7}, "idempotency_key"),
    ],
)
def test_an_invalid_value_is_refused_with_the_name_of_its_field(
    changes: dict[str, Any], param: str
) -> None:
    status, code, named = refusal(body=but(**changes), headers=KEY)
    if param == "idempotency_key":
        assert (status, code, named) == (400, "invalid_idempotency_key", param)
    else:
        too_large = changes == {"amount": 10**12 + 1}
        expected = "amount_too_large" if too_large else "invalid_value"
        assert (status, code, named) == (422, expected, param)


@pytest.mark.parametrize("method", [_MISSING, None])
def test_a_customer_alone_stands_for_its_default_method(method: Any) -> None:
    request = read(body=but(payment_method=method, customer_id="cus_1"))
    assert request.body(PaymentRequest).payment_method is None


@pytest.mark.parametrize("reference", ["1", "2026/0017 #3", "Bestellung für Zoë", "単" * 64])
def test_a_reference_is_any_text_that_a_shop_uses(reference: str) -> None:
    assert read(body=but(reference=reference)).body(PaymentRequest).reference == reference


@pytest.mark.parametrize("amount", [1, 10**12])
def test_the_limits_of_the_range_of_amounts_are_allowed(amount: int) -> None:
    assert read(body=but(amount=amount)).body(PAY.body).amount == amount  # type: ignore[arg-type,attr-defined]


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "7",
        '{"amount": 1, "amount": 2}',
        '{"metadata": {"a": "1", "a": "2"}}',
        '{"amount": NaN}',
        '{"amount": Infinity}',
        '{"amount": -Infinity}',
        '{"description": "\\ud800"}',
        '{"a": "\x00"}',
        "{'amount': 1}",
        '{"amount": 1,}',
        '{"amount": 01}',
        '{"a":' * 30 + "1" + "}" * 30,
        "[" * 30_000,
        '{"a":' + "[" * 30_000,
        '{"a": ' + "9" * 5_000 + "}",
        b"\xff\xfe{}",
        b'{"a": "\xff"}',
    ],
    ids=lambda raw: repr(raw)[:24],
)
def test_a_body_that_is_not_a_json_object_in_utf8_is_malformed(raw: str | bytes) -> None:
    assert refusal(raw=raw)[:2] == (400, "malformed_json")


def test_a_number_with_too_many_digits_is_refused_in_the_terms_of_the_api() -> None:
    with pytest.raises(PlatformError) as refused:
        read(raw='{"a": ' + "9" * 5_000 + "}")
    assert (
        refused.value.detail
        == "The request body is not valid JSON: a number has 5000 digits; the limit is 4300"
    )


@pytest.mark.parametrize("depth", [1, 10, 19, 20, 21, 100, 400, 900, 985, 1_000, 2_000])
def test_no_depth_of_nesting_crashes_the_parser(depth: int) -> None:
    raw = '{"metadata":' + '{"a":' * depth + "1" + "}" * depth + "}"
    assert refusal(raw=raw)[0] in (400, 422)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=10,
)
names = st.sampled_from([*(PAY.body.model_fields if PAY.body else ()), "x", "metadata"])


@given(st.dictionaries(names, json_values, max_size=6))
def test_any_object_is_accepted_or_refused_with_a_documented_status(body: dict[str, Any]) -> None:
    status, detail = _judged(json.dumps(body).replace("Infinity", "1"))
    assert status in (200, 400, 403, 422)
    assert len(detail) < 2_000


def _judged(raw: str) -> tuple[int, str]:
    try:
        read(raw=raw)
    except PlatformError as error:
        return int(error.status), error.detail
    return 200, ""


@given(st.text(max_size=100) | st.binary(max_size=100))
def test_any_bytes_are_refused_without_a_crash(raw: str | bytes) -> None:
    assert refusal(raw=raw)[0] in (400, 422)


def test_a_base64_body_is_parsed_like_any_other() -> None:
    assert read(raw=json.dumps(GOOD).encode()).raw_body == read().raw_body


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"]
)
def test_every_json_content_type_is_accepted(kind: str) -> None:
    assert read(headers={**KEY, "content-type": kind}).raw_body


@pytest.mark.parametrize(
    ("header", "member", "expected"),
    [
        ("a", None, "a"),
        (None, "a", "a"),
        ("a", "a", "a"),
        ("!~" * 127 + "x", None, "!~" * 127 + "x"),
    ],
)
def test_the_key_may_be_in_the_header_or_in_the_body(
    header: str | None, member: str | None, expected: str
) -> None:
    headers = {} if header is None else {"idempotency-key": header}
    body = GOOD if member is None else but(idempotency_key=member)
    assert read(body=body, headers=headers).authenticated.idempotency_key == expected


@pytest.mark.parametrize(
    ("header", "member"),
    [("a", "b"), ("", None), ("x" * 256, None), ("a b", None), ("ä", None), (None, ""), ("a", "")],
)
def test_different_keys_or_an_invalid_key_are_refused(
    header: str | None, member: str | None
) -> None:
    headers = {} if header is None else {"idempotency-key": header}
    body = GOOD if member is None else but(idempotency_key=member)
    assert refusal(body=body, headers=headers) == (
        400,
        "invalid_idempotency_key",
        "idempotency_key",
    )


def test_the_fingerprint_does_not_depend_on_where_the_key_is() -> None:
    one = read(headers={"idempotency-key": "k"}).authenticated.fingerprint
    other = read(body=but(idempotency_key="k"), headers={}).authenticated.fingerprint
    assert one == other
    assert read(body=but(amount=2)).authenticated.fingerprint != one


LIST = BY_NAME["listPayments"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("colour=red", (400, "unknown_parameter", "colour")),
        ("limit=1&limit=2", (400, "invalid_parameter", "limit")),
        ("limit=1&%6cimit=2", (400, "invalid_parameter", "limit")),
        ("limit=0", (422, "invalid_value", "limit")),
        ("limit=101", (422, "invalid_value", "limit")),
        ("limit=x", (422, "invalid_value", "limit")),
        ("status=paid", (422, "invalid_value", "status")),
        ("min_amount=-1", (422, "invalid_value", "min_amount")),
        ("start_date=yesterday", (422, "invalid_value", "start_date")),
        ("start_date=2026-1-1", (422, "invalid_value", "start_date")),
        ("end_date=2026-01-01T00:00:00%2B02:00", (422, "invalid_value", "end_date")),
        ("merchant_id=mer_2", (403, "forbidden", "merchant_id")),
        ("merchant_id=", (403, "forbidden", "merchant_id")),
    ],
)
def test_a_query_is_checked_by_the_same_rules(
    query: str, expected: tuple[int, str, str | None]
) -> None:
    assert refusal(LIST, query=query) == expected


def test_a_valid_query_is_parsed_with_its_defaults() -> None:
    query = read(LIST, query="status=failed&min_amount=5&start_date=2026-01-01").raw_query
    assert query is not None
    shown = query.model_dump(exclude_none=True)
    assert shown == {"limit": 20, "status": "failed", "min_amount": 5, "start_date": "2026-01-01"}


def test_an_operator_names_a_merchant_in_body_or_query_but_not_two_different_ones() -> None:
    acting = {"authorizer": OPERATOR}
    assert read(body=but(merchant_id="mer_2"), **acting).authenticated.acting_for == "mer_2"
    assert read(query="merchant_id=mer_2", **acting).authenticated.acting_for == "mer_2"
    body = but(merchant_id="mer_2")
    assert read(body=body, query="merchant_id=mer_2", **acting).authenticated.acting_for == "mer_2"
    assert refusal(body=body, query="merchant_id=mer_3", **acting)[0] == 400


@pytest.mark.parametrize("path_id", ["a b", "number#1", "../x", "x" * 65, "é", "%00"])
def test_a_malformed_id_is_not_found(path_id: str) -> None:
    assert refusal(BY_NAME["getPayment"], path_id=path_id)[:2] == (404, "not_found")


PROTECTED = [e for e in ENDPOINTS if not e.public]


@pytest.mark.parametrize("endpoint", PROTECTED, ids=lambda e: e.operation)
def test_every_route_except_public_ones_needs_a_token(endpoint: Endpoint) -> None:
    assert refusal(endpoint, authorizer=None)[0] == 401


@pytest.mark.parametrize(
    "endpoint", [e for e in PROTECTED if e.permission], ids=lambda e: e.operation
)
def test_every_route_needs_exactly_its_own_permission(endpoint: Endpoint) -> None:
    others = " ".join(p for p in Permission if p not in (endpoint.permission, Permission.ADMIN))
    assert refusal(endpoint, authorizer=token_of("mer_1", others))[0] == 403
    assert refusal(endpoint, authorizer=token_of("mer_1", "admin"))[0] == 403, (
        "a merchant's token does not make an operator"
    )


PUBLIC = [e for e in ENDPOINTS if e.public]


@pytest.mark.parametrize("endpoint", PUBLIC, ids=lambda e: e.operation)
def test_public_routes_need_no_token(endpoint: Endpoint) -> None:
    form = {"headers": {"content-type": FORM}, "raw": "decision=approve"} if endpoint.form else {}
    assert read(endpoint, authorizer=None, **form).call is None


DECIDE = BY_NAME["decideSandboxAction"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", (422, "invalid_value", "decision")),
        ("decision=maybe", (422, "invalid_value", "decision")),
        ("decision=approve&more=1", (400, "unknown_field", "more")),
        ("decision=approve&decision=fail", (400, "malformed_json", None)),
        ("decision", (400, "malformed_json", None)),
        ("decision=%ff", (400, "malformed_json", None)),
        ("decision=" + "x" * MAX_FORM_BYTES, (413, "payload_too_large", None)),
    ],
)
def test_a_form_is_parsed_strictly(raw: str, expected: tuple[int, str, str | None]) -> None:
    sent = {"headers": {"content-type": FORM}, "raw": raw}
    assert refusal(DECIDE, authorizer=None, **sent) == expected


def test_a_form_is_not_json() -> None:
    assert refusal(DECIDE, authorizer=None, raw="{}")[:2] == (415, "unsupported_media_type")


def test_a_request_knows_where_it_reached_the_api() -> None:
    event = HttpEvent.of(http_event("GET", "/v1/payments"))
    event = replace(event, address={"domain": "d.example", "api_id": "a1", "host": "h:1"})
    assert event.api_url() == "https://d.example"
    local = "http://{host}/_aws/execute-api/{api_id}/$default"
    assert event.api_url(local) == "http://h:1/_aws/execute-api/a1/$default"


NOTIFY = BY_NAME["receiveProcessorEvent"]


def test_a_notification_keeps_the_signed_bytes() -> None:
    body = b'{"amount": 1,  "token": "4111111111111111"}'
    sent = {"raw": body, "query": "merchant_id=mer_1", "headers": {"X-Signature": "s"}}
    notification = read(NOTIFY, authorizer=None, **sent).notification
    assert (notification.processor, notification.merchant_id) == ("sandbox", "mer_1")
    assert notification.body == body
    assert notification.headers["x-signature"] == "s"


def test_a_notification_without_a_merchant_is_left_to_signature_verification() -> None:
    assert read(NOTIFY, authorizer=None, raw="{}").notification.merchant_id is None


def test_an_oversized_notification_or_one_with_other_parameters_is_refused() -> None:
    large = {"raw": "x" * (MAX_NOTIFICATION_BYTES + 1)}
    assert refusal(NOTIFY, authorizer=None, **large)[:2] == (413, "payload_too_large")
    odd = {"raw": "{}", "query": "merchant=mer_1"}
    assert refusal(NOTIFY, authorizer=None, **odd)[:2] == (400, "unknown_parameter")


CREATE = BY_NAME["createMerchant"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"payments_per_minut": 5}, (400, "unknown_field", "rate_limits.payments_per_minut")),
        ({"payments_per_minute": "5"}, (422, "invalid_value", "rate_limits.payments_per_minute")),
        ({"payments_per_day": 0}, (422, "invalid_value", "rate_limits.payments_per_day")),
        ({"payments_per_day": 10**9 + 1}, (422, "invalid_value", "rate_limits.payments_per_day")),
        (
            {"payments_per_minute": 10**40},
            (422, "invalid_value", "rate_limits.payments_per_minute"),
        ),
        ({"max_payment_amount": 1.0}, (422, "invalid_value", "rate_limits.max_payment_amount")),
    ],
)
def test_a_merchants_limits_are_validated_strictly(
    limits: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    body = {"name": "Shop", "email": "shop@example.com", "rate_limits": limits}
    assert refusal(CREATE, body=body, authorizer=OPERATOR) == expected


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"sla": 5}, (400, "unknown_field", "reconciliation.sla")),
        ({"sla_days": "5"}, (422, "invalid_value", "reconciliation.sla_days")),
        ({"sla_days": 91}, (422, "invalid_value", "reconciliation.sla_days")),
        ({"tolerance_minor": -1}, (422, "invalid_value", "reconciliation.tolerance_minor")),
        ({"tolerance_minor": 1_001}, (422, "invalid_value", "reconciliation.tolerance_minor")),
    ],
)
def test_a_merchants_reconciliation_settings_are_validated_strictly(
    terms: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    body = {"name": "Shop", "email": "shop@example.com", "reconciliation": terms}
    assert refusal(CREATE, body=body, authorizer=OPERATOR) == expected


def test_a_resolution_that_moves_money_needs_another_permission_and_names_it() -> None:
    def body(*actions: str) -> dict[str, Any]:
        one = {"settlement_id": "set_1", "line": 2, "note": "n"}
        return {"lines": [{**one, "action": action} for action in actions]}

    endpoint, reports = BY_NAME["resolveExceptions"], token_of("mer_1", "reports")
    with pytest.raises(
        Forbidden, match="lacks the permission transfers, which the action accept needs"
    ):
        read(endpoint, body=body("ignore", "accept"), authorizer=reports)
    assert read(endpoint, body=body("ignore"), authorizer=reports)
    both = token_of("mer_1", "reports transfers")
    assert read(endpoint, body=body("accept"), authorizer=both)
    assert read(endpoint, body=body("accept"), authorizer=OPERATOR)


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_webhook_secret_of_24_to_64_bytes_is_accepted(size: int) -> None:
    secret = "whsec_" + base64.b64encode(bytes(range(size))).decode()
    body = {"name": "Shop", "email": "shop@example.com", "webhook_secret": secret}
    assert read(CREATE, body=body, authorizer=OPERATOR).body(MerchantRequest).webhook_secret


@pytest.mark.parametrize(
    "encoded",
    [
        base64.b64encode(bytes(23)).decode(),
        base64.b64encode(bytes(65)).decode(),
        base64.b64encode(bytes(66)).decode(),
        base64.b64encode(bytes(32)).decode().rstrip("="),
        "=" * 44,
        "AA==" * 11,
        "A" * 33,
    ],
)
def test_an_unusable_webhook_secret_is_refused_and_not_repeated(encoded: str) -> None:
    body = {"name": "Shop", "email": "shop@example.com", "webhook_secret": f"whsec_{encoded}"}
    assert refusal(CREATE, body=body, authorizer=OPERATOR) == (
        422,
        "invalid_value",
        "webhook_secret",
    )


def test_secrets_in_a_request_are_not_in_its_text() -> None:
    secret = "whsec_" + "S" * 44
    body = {"name": "Shop", "email": "shop@example.com", "webhook_secret": secret}
    request = read(CREATE, body=body, authorizer=OPERATOR)
    assert secret not in repr(request)
