"""Answers to idempotency keys: one value each, once it is stored."""

from __future__ import annotations

import json

import pytest

from simulation.watch.registers import KEPT_SECONDS, KeyedCall, RegisterKey, register_faults

KEY = RegisterKey("mer_1", "POST", "/v1/transfers", "k")
PAYMENT = RegisterKey("mer_1", "POST", "/v1/payments", "k")
SEVERAL = RegisterKey("mer_1", "POST", "/v1/settlement-lines/resolve", "k")


def call(began, ended, status=None, body="", *, code="", replayed=False, payload="a", key=KEY):
    return KeyedCall(key, payload, began, ended, status, body, code, replayed)


def lines(began, ended, *statuses, note="", **more):
    """An answer with one result for each status."""
    data = [{"status_code": status, "note": note} for status in statuses]
    return call(began, ended, 200, json.dumps({"data": data}), key=SEVERAL, **more)


def first(**changes):
    return call(1, 2, 201, "one", **changes)


GOOD = {
    "nothing": [],
    "repeated": [first(), call(3, 4, 201, "one", replayed=True)],
    "the first answer was lost": [call(0, 9), call(3, 4, 201, "one", replayed=True)],
    "in flight, then answered": [
        first(),
        call(1.1, 1.5, 409, code="idempotency_in_flight"),
        call(3, 4, 201, "one", replayed=True),
    ],
    "an error stores nothing": [
        call(0, 1, 503, code="unavailable"),
        call(2, 3, 404, code="not_found"),
        call(4, 5, 422, code="invalid_value"),
        call(6, 7, 201, "one"),
    ],
    "an error after the answer": [first(), call(3, 4, 503, code="unavailable")],
    "another payload is refused": [
        first(),
        call(3, 4, 422, code="idempotency_key_reused", payload="b"),
    ],
    "a refusal is repeated": [
        call(1, 2, 422, "no", code="insufficient_funds"),
        call(3, 4, 422, "no", code="insufficient_funds", replayed=True),
    ],
    "an unknown payment is not decided yet": [
        call(1, 2, 202, "unknown", key=PAYMENT),
        call(3, 4, 202, "unknown, later", key=PAYMENT),
        call(5, 6, 201, "one", key=PAYMENT, replayed=True),
        call(7, 8, 201, "one", key=PAYMENT, replayed=True),
    ],
    "forgotten after a day": [first(), call(KEPT_SECONDS + 10, KEPT_SECONDS + 11, 201, "two")],
    "an answer with an error of ours is continued": [
        lines(1, 2, 200, 422, 503),
        lines(3, 4, 200, 422, 500),
        lines(5, 6, 200, 422, 409),
        lines(7, 8, 200, 422, 409, replayed=True),
    ],
    "no time was left to repeat a result": [lines(1, 2, 200, 503), lines(3, 4, 503, 503)],
    "keys of two paths are independent": [
        first(),
        call(3, 4, 201, "two", key=PAYMENT),
    ],
}


@pytest.mark.parametrize("calls", GOOD.values(), ids=GOOD)
def test_one_value_explains(calls):
    assert register_faults(calls) == []


BAD = {
    "a refused line is refused otherwise": [lines(1, 2, 422, 503), lines(3, 4, 409, 503)],
    "a refused line is resolved": [lines(1, 2, 422, 503), lines(3, 4, 200, 200)],
    "a resolved line is another one": [lines(1, 2, 200, 503), lines(3, 4, 200, 503, note="new")],
    "two payloads have results": [lines(1, 2, 200, 503), lines(3, 4, 200, 503, payload="b")],
    "results of all lines are not marked": [lines(1, 2, 200, 422), lines(3, 4, 200, 422)],
    "two answers": [first(), call(3, 4, 201, "two", replayed=True)],
    "done twice, with the same answer": [first(), call(1.5, 4, 201, "one")],
    "another status": [first(), call(3, 4, 200, "one", replayed=True)],
    "not marked": [call(0, 9), call(1, 2, 201, "one", replayed=True), call(3, 4, 201, "one")],
    "two payloads": [first(), call(1.5, 4, 201, "two", payload="b")],
    "forgotten": [first(), call(3, 4, 409, code="idempotency_in_flight")],
    "refused like a new request": [first(), call(3, 4, 409, code="invalid_state")],
    "a decided payment becomes unknown": [
        call(1, 2, 201, "one", key=PAYMENT),
        call(3, 4, 202, "unknown", key=PAYMENT),
    ],
    "a refusal turns into success": [
        call(1, 2, 422, "no", code="insufficient_funds"),
        call(3, 4, 201, "yes"),
    ],
}


@pytest.mark.parametrize("calls", BAD.values(), ids=BAD)
def test_no_value_explains(calls):
    faults = register_faults(calls)
    assert faults
    assert all("key k of POST /v1/" in fault for fault in faults)
