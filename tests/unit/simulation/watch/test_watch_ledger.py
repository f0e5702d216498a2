"""The ledger's rules on transfers and accounts: correct commits pass, each violation is found."""

from __future__ import annotations

import pytest

from tests.support.simulation.ledger_commits import LATER, account, debit, opened, transfer


@pytest.fixture
def engine():
    return opened()


# -------------------------------------------------------------------- correct commits


def test_an_immediate_transfer_is_correct(engine):
    debit(engine)
    assert engine.found == []


# -------------------------------------------------------------------- violations


def test_money_from_nowhere_is_found(engine):
    engine.commit(accounts=account("bob", 2, balance=5, operation="trf_1"))
    assert engine.found == ["double entry", "conservation"]


def test_a_debit_without_its_credit_is_found(engine):
    engine.commit(
        accounts=account("alice", 2, balance=70, operation="trf_1"),
        transfers=transfer(1, ("alice", "bob", 30)),
    )
    assert engine.found == ["double entry", "conservation"]


def test_an_amount_that_differs_from_the_transfers_is_found(engine):
    debit(engine, alice=60, bob=40)
    assert engine.found == ["double entry", "double entry"]


def test_a_transfer_booked_without_its_row_is_found(engine):
    engine.commit(
        accounts=[
            account("alice", 2, balance=70, operation="trf_1"),
            account("bob", 2, balance=30, operation="trf_1"),
        ]
    )
    assert engine.found == ["double entry", "double entry"]


def test_an_immediate_account_below_its_floor_is_found(engine):
    debit(engine, alice=-30, bob=130, amount=130)
    assert engine.found == ["floor"]


def test_a_wrong_spendable_amount_is_found(engine):
    engine.commit(accounts=account("alice", 2, balance=100, spendable=90))
    assert "spendable" in engine.found


def test_a_debit_of_an_inactive_or_locked_account_is_found(engine):
    engine.commit(accounts=account("alice", 2, balance=100, status="inactive"))
    engine.commit(
        accounts=[
            account("alice", 3, balance=70, operation="trf_1", status="inactive"),
            account("bob", 2, balance=30, operation="trf_1", locked_until=LATER),
        ],
        transfers=transfer(1, ("alice", "bob", 30)),
    )
    engine.commit(
        accounts=[
            account("alice", 4, balance=71, operation="trf_2", status="active"),
            account("bob", 3, balance=29, operation="trf_2", locked_until=LATER),
        ],
        transfers=transfer(2, ("bob", "alice", 1)),
    )
    assert engine.found == ["inactive", "inactive", "locked"]


def test_a_changed_final_transfer_is_found(engine):
    debit(engine)
    engine.commit(transfers={"id": "trf_1", "description": "another", "version": 2})
    assert engine.found == ["transfer"]


def test_an_account_closed_with_money_or_used_when_closed_is_found(engine):
    engine.commit(accounts=account("alice", 2, balance=100, status="closed"))
    engine.commit(accounts=account("bob", 2, status="closed"))
    assert engine.found == ["closed"]
    engine.commit(
        accounts=[
            account("alice", 3, balance=70, operation="pst_1", status="closed"),
            account("bob", 3, balance=30, operation="pst_1", status="closed"),
        ],
        transfers=transfer(1, ("alice", "bob", 30)),
    )
    assert engine.found == ["closed"] * 3


def test_only_a_declared_edit_moves_the_baseline(engine):
    with engine.watch.by_hand("a row was edited"):
        engine.commit(accounts={"id": "alice", "shard": "00", "balance": 150, "spendable": 150})
    assert engine.found == []
    assert engine.rules.ledger.edited == {"USD": 50}
    (edit,) = engine.watch.edits
    assert edit[:3] == ("accounts", ("alice", "00"), "a row was edited")
    debit(engine, alice=120)
    assert engine.found == []
    engine.commit(accounts=account("bob", 3, balance=31, operation="trf_2"))
    assert engine.found == ["double entry", "conservation"]
