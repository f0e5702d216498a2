"""One effect per key, and the independent model, on handwritten exchanges."""

from __future__ import annotations

import pytest

from simulation.watch.made import Made, MadeRule
from simulation.watch.settled.effects import effect_faults
from simulation.watch.settled.model import model_faults
from simulation.watch.settled.rows import Rows
from tests.support.simulation.commits import KEYS, HandMade
from tests.support.simulation.exchanges import exchange

NOW = "2026-03-20T00:00:00.000Z"
NO_ROWS = Rows({table: {} for table in KEYS})


def post(path="/v1/transfers", status=None, answer=None, body=None, key="k", **more):
    return exchange(1, 2, "POST", path, body or {}, key=key, status=status, answer=answer, **more)


def effects(tries, *made):
    """`made`: the rows created by each attempt."""
    rule = MadeRule()
    for attempt, rows in zip(tries, made, strict=False):
        rule.by_request[attempt.request_id] = rows
    return list(effect_faults(tries, rule, NO_ROWS))


ONE, TWO = Made("transfers", "trf_1", "processed"), Made("transfers", "trf_2", "processed")
REFUSED = Made("transfers", "trf_3", "failed")


def test_one_key_creates_one_row_and_returns_it():
    tries = [post(), post(status=201, answer={"id": "trf_1"}, replayed=True)]
    assert effects(tries, [ONE], []) == []


def test_a_request_with_a_lost_answer_may_have_taken_effect_or_not():
    lost = post(status=503, answer={"code": "unavailable"})
    assert effects([lost], [ONE]) == []
    assert effects([lost], []) == []
    assert effects([post(status=500, by_gateway=True)], [ONE]) == []


def test_a_refused_transfer_leaves_a_failed_row():
    assert effects([post(status=423, answer={"code": "locked"})], [REFUSED]) == []


@pytest.mark.parametrize(
    ("tries", "made"),
    [
        ([post(), post(status=201, answer={"id": "trf_1"})], [[ONE], [TWO]]),
        ([post(status=201, answer={"id": "trf_1"})], [[]]),
        ([post(status=201, answer={"id": "trf_1"})], [[TWO]]),
        ([post(status=422, answer={"code": "insufficient_funds"})], [[ONE]]),
        ([post(status=404, answer={"code": "not_found"})], [[ONE]]),
        ([post(), post(status=422, answer={"code": "insufficient_funds"})], [[ONE], []]),
    ],
    ids=["twice", "not at all", "another", "though refused", "though not found", "by a lost one"],
)
def test_a_key_with_a_wrong_effect_is_found(tries, made):
    assert len(effects(tries, *made)) == 1


def test_a_declined_payment_is_one_payment():
    declined = {"code": "declined", "payment_id": "pay_1"}
    tries = [post("/v1/payments", 402, declined)]
    assert effects(tries, [Made("payments", "pay_1", "processing")]) == []
    assert len(effects(tries, [Made("payments", "pay_2", "processing")])) == 1


def test_two_refunds_of_one_key_are_found():
    row = {"claim_key": {"S": "mer#POST#/v1/payments/pay_1/refund#k"}}
    rows = Rows({**NO_ROWS.items, "transactions": {("txn_1",): row, ("txn_2",): row}})
    assert len(list(effect_faults([], MadeRule(), rows))) == 1


def test_new_rows_are_recorded_by_request_and_derived_ones_are_not():
    engine = HandMade()
    row = {"version": 1, "request_id": "req-1", "status": "failed"}
    engine.commit(transfers={**row, "id": "trf_1", "legs": [], "amount": 0})
    engine.commit(transfers={**row, "id": "trf_2", "payment_id": "pay_1", "legs": []})
    engine.commit(accounts={**row, "id": "a", "shard": "01", "currency": "USD"})
    engine.commit(accounts={"id": "number#mer#1", "shard": "00", "request_id": "req-1"})
    engine.commit(transfers={**row, "id": "trf_1", "version": 2, "request_id": "req-2"})
    assert engine.rules.made.by_request == {"req-1": [Made("transfers", "trf_1", "failed")]}


# -------------------------------------------------------------------- the model


def opened(name, balance):
    return post("/v1/accounts", 201, {"id": name}, {"opening_balance": balance}, name)


def moved(number, *legs, key=None, status=201, hold=False, **more):
    document = {
        "id": f"trf_{number}",
        "legs": [
            {"from_account_id": source, "to_account_id": target, "amount": amount}
            for source, target, amount in legs
        ],
        "expires_at": "2026-03-21T00:00:00.000Z",
        **more,
    }
    body = {"hold": hold, "legs": document["legs"]}
    return post("/v1/transfers", status, document, body, key or f"t{number}")


OPENED = [opened("a", 100), opened("b", 0)]


def model(found, *exchanges):
    return list(model_faults([*OPENED, *exchanges], found, NOW))


def test_accepted_requests_add_up():
    history = [
        moved(1, ("a", "b", 30)),
        moved(1, ("a", "b", 30), replayed=True),
        moved(2, ("a", "b", 20), hold=True),
        moved(3, ("a", "b", 10), hold=True),
        post("/v1/transfers/trf_3/post", 200, {"posted_amount": 4}, key="p3"),
        moved(4, ("a", "b", 5), hold=True),
        post("/v1/transfers/trf_4/cancel", 200, {"posted_amount": None}, key="c4"),
        moved(5, ("a", "b", 7), hold=True, expires_at="2026-03-19T00:00:00.000Z"),
        moved(6, ("a", "b", 1), status=422),
    ]
    assert model({"a": (66, 20, 0), "b": (34, 0, 20)}, *history) == []
    assert len(model({"a": (66, 20, 0), "b": (35, 0, 20)}, *history)) == 1
    assert len(model({"a": (67, 20, 0)}, *history)) == 2


def test_a_stored_refusal_determines_an_attempt_without_an_answer():
    refused = post(status=422, answer={"code": "insufficient_funds"}, key="t1", replayed=True)
    history = [moved(1, ("a", "b", 30), status=None), refused]
    assert model({"a": (100, 0, 0), "b": (0, 0, 0)}, *history) == []
    assert len(model({"a": (70, 0, 0), "b": (30, 0, 0)}, *history)) == 2


def test_accounts_of_an_unanswered_request_are_not_checked():
    lost = [moved(1, ("a", "b", 30), status=None)]
    assert model({"a": (70, 0, 0), "b": (30, 0, 0)}, *lost) == []
    held = [moved(2, ("a", "b", 20), hold=True)]
    unknown = post("/v1/transfers/trf_2/post", 503, {"code": "unavailable"}, key="p")
    assert model({"a": (80, 0, 0), "b": (20, 0, 0)}, *held, unknown) == []


def test_a_stored_refusal_determines_the_result_of_an_unanswered_attempt():
    lost = moved(1, ("a", "b", 30), status=None)
    refused = moved(1, ("a", "b", 30), status=422, code="insufficient_funds")
    assert model({"a": (100, 0, 0), "b": (0, 0, 0)}, lost, refused) == []
    assert len(model({"a": (70, 0, 0), "b": (30, 0, 0)}, lost, refused)) == 2
