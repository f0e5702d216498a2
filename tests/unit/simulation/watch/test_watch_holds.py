"""The ledger's rules on holds: correct commits pass, each violation is found."""

from __future__ import annotations

import pytest

from tests.support.simulation.ledger_commits import LATER, account, hold, opened, post, transfer


@pytest.fixture
def engine():
    return opened()


# -------------------------------------------------------------------- correct commits


def test_a_partially_posted_hold_is_correct(engine):
    hold(engine)
    post(engine, 20)
    assert engine.found == []


def test_a_canceled_hold_is_correct(engine):
    hold(engine)
    engine.commit(
        accounts=[
            account("alice", 3, balance=100, operation="cnl_1"),
            account("bob", 3, operation="cnl_1"),
        ],
        transfers={"id": "trf_1", "status": "canceled", "operation_id": "cnl_1", "version": 2},
    )
    assert engine.found == []


# -------------------------------------------------------------------- violations


def test_a_hold_posted_above_its_amount_is_found(engine):
    hold(engine)
    post(engine, 40)
    assert "transfer" in engine.found


def test_a_hold_posted_after_its_expiry_is_found(engine):
    hold(engine)
    post(engine, updated_at=LATER)
    assert engine.found == ["transfer"]


def test_a_hold_that_does_not_release_the_rest_is_found(engine):
    hold(engine)
    engine.commit(
        accounts=[
            account("alice", 3, balance=80, held_out=10, operation="pst_1"),
            account("bob", 3, balance=20, operation="pst_1"),
        ],
        transfers=transfer(1, ("alice", "bob", 30), posted=20, version=2, operation_id="pst_1"),
    )
    assert engine.found == ["double entry"]


def test_a_hold_posted_twice_is_found(engine):
    hold(engine)
    post(engine)
    engine.commit(
        accounts=[
            account("alice", 4, balance=40, operation="pst_2"),
            account("bob", 4, balance=60, operation="pst_2"),
        ],
        transfers={"id": "trf_1", "operation_id": "pst_2", "version": 3},
    )
    assert "transfer" in engine.found
    assert "double entry" in engine.found
