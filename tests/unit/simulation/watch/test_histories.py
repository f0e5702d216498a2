"""Recorded HTTP exchanges become histories of keys and powers of two; and the contract."""

from __future__ import annotations

import pytest

from simulation.watch.answers import answer_faults, documented, honours_keys
from simulation.watch.histories import MARK, OPENING, linearizable, power_histories
from simulation.watch.linearizability import NEVER, Outcome
from tests.support.simulation.exchanges import exchange

PAIR = ("acc_a", "acc_b")


def move(began, ended, power, status=201, **more):
    body = {"from_account_id": "acc_a", "to_account_id": "acc_b", "amount": 2**power}
    body |= {"description": MARK, **more.pop("ordered", {})}
    more.setdefault("answer", {"id": f"trf_{power}"})
    return exchange(
        began, ended, "POST", "/v1/transfers", body, key=f"k{power}", status=status, **more
    )


def look(began, ended, name, balance):
    return exchange(
        began, ended, "GET", f"/v1/accounts/{name}", status=200, answer={"balance": balance}
    )


def test_attempts_under_one_key_are_one_transfer():
    history = [move(1, 2, 0, None), move(3, 4, 0, replayed=True), look(5, 6, "acc_a", OPENING - 1)]
    transfers, reads = power_histories(history)[PAIR]
    (transfer,) = transfers
    assert (transfer.began, transfer.ended, transfer.outcome) == (1, 4, Outcome.DONE)
    assert [read.total for read in reads] == [1]
    assert linearizable(history) == []


def test_a_transfer_without_an_answer_may_have_taken_effect():
    (transfer,) = power_histories([move(1, 2, 0, None)])[PAIR][0]
    assert (transfer.ended, transfer.outcome) == (NEVER, Outcome.UNKNOWN)


def test_a_hold_moves_nothing_until_it_is_posted():
    held = move(1, 2, 3, ordered={"hold": True})
    posted = exchange(5, 6, "POST", "/v1/transfers/trf_3/post", {}, key="p", status=200)
    good = [held, look(3, 4, "acc_b", 0), posted, look(7, 8, "acc_b", 8)]
    assert linearizable(good) == []
    assert linearizable([held, look(3, 4, "acc_b", 8), posted])


BAD = {
    "an acknowledged transfer is missing": [move(1, 2, 0), look(3, 4, "acc_b", 0)],
    "the two accounts disagree": [
        move(1, 9, 0),
        look(2, 3, "acc_a", OPENING - 1),
        look(4, 5, "acc_b", 0),
    ],
    "a refused transfer moved money": [
        move(1, 2, 0, 422, answer={"code": "insufficient_funds"}),
        look(3, 4, "acc_b", 1),
    ],
    "the balance after it is not the sum of the one before and itself": [
        move(1, 2, 0),
        move(3, 4, 1, answer={"id": "trf_1", "balances_after": {"acc_b": 2}}),
    ],
    "a replay that differs": [move(1, 2, 0), move(3, 4, 0, answer={"id": "x"}, replayed=True)],
}


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_no_order_explains_the_exchanges(history):
    assert len(linearizable(history)) == 1


def test_edited_accounts_are_ignored():
    assert linearizable(BAD["an acknowledged transfer is missing"], {"acc_b"}) == []


def test_a_dry_run_and_an_answer_of_the_gateway_store_no_key():
    dry = {"dry_run": True}
    history = [
        exchange(1, 2, "POST", "/v1/transfers", dry, key="k", status=201, answer={"id": "a"}),
        exchange(3, 4, "POST", "/v1/transfers", dry, key="k", status=201, answer={"id": "b"}),
        exchange(1, 2, "POST", "/v1/payments", {}, key="p", status=500, by_gateway=True),
        exchange(3, 4, "POST", "/v1/payments", {}, key="p", status=201, answer={"id": "c"}),
    ]
    assert linearizable(history) == []


def test_statuses_come_from_the_contract():
    assert 201 in documented("POST", "/v1/transfers")
    assert 409 in documented("POST", "/v1/transfers/trf_1/post")
    assert 201 not in documented("GET", "/v1/transfers")
    assert documented("GET", "/nowhere") == {404, 405}


def test_keys_are_honoured_where_the_contract_says_so():
    assert honours_keys("POST", "/v1/transfers/trf_1/post")
    assert not honours_keys("POST", "/v1/api-keys/k/revoke")


RETRY = {"Retry-After": "1"}


@pytest.mark.parametrize(
    ("status", "answer", "more"),
    [
        (None, None, {}),
        (201, {"id": "trf_1"}, {}),
        (422, {"code": "insufficient_funds"}, {}),
        (503, {"code": "unavailable"}, {"headers": RETRY}),
        (500, {}, {"by_gateway": True}),
    ],
)
def test_answers_that_the_contract_allows(status, answer, more):
    history = [exchange(1, 2, "POST", "/v1/transfers", {}, status=status, answer=answer, **more)]
    assert list(answer_faults(history)) == []


@pytest.mark.parametrize(
    ("status", "answer", "more"),
    [
        (500, {"code": "internal"}, {}),
        (503, {"code": "unavailable"}, {}),
        (503, {"code": "integrity_error"}, {"headers": RETRY}),
        (418, {"code": "teapot"}, {}),
        (422, {"message": "no code"}, {}),
        (404, {"message": "not found"}, {"by_gateway": True}),
    ],
)
def test_answers_that_the_contract_does_not_allow(status, answer, more):
    history = [exchange(1, 2, "POST", "/v1/transfers", {}, status=status, answer=answer, **more)]
    assert len(list(answer_faults(history))) == 1
