"""The ledger's rules on hot accounts and entries: each violation is found."""

from __future__ import annotations

import pytest

from tests.support.simulation.ledger_commits import (
    account,
    debit,
    entry,
    fold_opening,
    opened,
    shard,
    transfer,
)


@pytest.fixture
def engine():
    return opened()


# -------------------------------------------------------------------- correct commits


def test_a_transfer_is_owed_until_it_is_added_to_a_balance_shard(engine):
    assert engine.rules.ledger.owed == {("opening", "trf_0"): -100}
    fold_opening(engine)
    assert engine.rules.ledger.owed == {}
    assert engine.found == []


def test_two_transfers_that_cancel_out_leave_the_shard_unchanged(engine):
    engine.commit(
        accounts=account("alice", 2, balance=0, operation="trf_1"),
        transfers=transfer(1, ("alice", "opening", 100), folded_accounts=["opening"]),
    )
    engine.commit(
        accounts=shard("opening", "01", 1, 0, "trf_1"),
        entries=[
            entry("opening#01", "0", -100, "trf_0", fold_version=1),
            entry("opening#01", "1", 100, "trf_1", fold_version=1),
        ],
    )
    assert engine.rules.ledger.owed == {}
    assert engine.found == []


def test_a_consolidation_moves_no_money(engine):
    fold_opening(engine)
    engine.commit(
        accounts=[
            account("opening", 2, balance=-100, posting="folded", operation="swp_1"),
            shard("opening", "01", 2, 0, "swp_1"),
        ],
        entries=entry("opening#01", "1", 100, "swp_1", fold_version=2),
    )
    assert engine.found == []


def test_entries_follow_versions(engine):
    engine.commit(entries=entry("alice#00", f"{1:012d}", 100, "trf_0", after=100))
    debit(engine)
    engine.commit(entries=entry("alice#00", f"{2:012d}", -30, "trf_1", after=70))
    assert engine.found == []
    assert ("alice#00", f"{2:012d}") not in engine.rules.ledger.awaited
    assert ("bob#00", f"{2:012d}") in engine.rules.ledger.awaited


def test_a_refund_debits_a_debit_shard(engine):
    engine.commit(
        accounts=shard("acc_receivable_m_USD", "d07", 1, -5, "pos_1"),
        transfers=transfer(
            1,
            ("acc_receivable_m_USD", "acc_clearing_USD", 5),
            operation_id="pos_1",
            folded_accounts=["acc_clearing_USD"],
            debited_accounts=["acc_receivable_m_USD"],
            debit_shard="d07",
        ),
    )
    assert engine.found == []


def test_a_capture_and_its_fee_are_two_legs(engine):
    """The amount of a posting is the gross amount; the fee is taken from it."""
    engine.commit(
        transfers={
            **transfer(
                1,
                ("acc_clearing_USD", "acc_receivable_m_USD", 100),
                ("acc_receivable_m_USD", "acc_fees_USD", 3),
                operation_id="pos_1",
                payment_id="pay_1",
                folded_accounts=["acc_clearing_USD", "acc_receivable_m_USD", "acc_fees_USD"],
            ),
            "amount": 100,
            "posted_amount": 100,
        }
    )
    owed = engine.rules.ledger.owed
    assert owed["acc_receivable_m_USD", "pos_1"] == 97
    assert engine.found == []


# -------------------------------------------------------------------- violations


def test_a_transfer_added_twice_is_found(engine):
    fold_opening(engine)
    engine.commit(
        accounts=shard("opening", "02", 1, -100, "trf_0"),
        entries=entry("opening#02", "0", -100, "trf_0", fold_version=1),
    )
    assert engine.found == ["fold", "conservation"]


def test_a_wrong_added_amount_is_found(engine):
    fold_opening(engine, -90)
    assert "fold" in engine.found


def test_a_shard_raised_without_an_entry_is_found(engine):
    engine.commit(accounts=shard("opening", "01", 1, -100, "trf_0"))
    assert engine.found == ["double entry", "conservation"]


def test_a_shard_that_row_00_does_not_count_is_found(engine):
    engine.commit(
        accounts=shard("opening", "17", 1, -100, "trf_0"),
        entries=entry("opening#e00", "0", -100, "trf_0", fold_version=1, balance_shard="17"),
    )
    assert engine.found == ["shards"]


def test_a_number_of_shards_may_grow_and_never_falls(engine):
    engine.commit(accounts=account("opening", 2, posting="folded", credit_shards=32))
    fold_opening(engine)
    assert engine.found == []
    engine.commit(accounts=account("opening", 3, posting="folded", credit_shards=16))
    assert engine.found == ["shards"]


def test_a_consolidation_that_loses_money_is_found(engine):
    fold_opening(engine)
    engine.commit(
        accounts=[
            account("opening", 2, balance=-90, posting="folded", operation="swp_1"),
            shard("opening", "01", 2, 0, "swp_1"),
        ],
        entries=entry("opening#01", "1", 100, "swp_1", fold_version=2),
    )
    assert engine.found == ["double entry", "conservation"]


def test_a_guarded_debit_that_ignores_the_shards_is_found(engine):
    """Row 00 has 50, a refund has taken 30 of it: a payout of 40 leaves -20."""
    receivable = {"posting": "folded"}
    engine.commit(
        accounts=[
            account("acc_receivable_m_USD", balance=50, operation="trf_1", **receivable),
            account("alice", 2, balance=50, operation="trf_1"),
        ],
        transfers=transfer(1, ("alice", "acc_receivable_m_USD", 50)),
    )
    engine.commit(
        accounts=[
            shard("acc_receivable_m_USD", "d01", 1, -30, "pos_1"),
            account("alice", 3, balance=80, operation="pos_1"),
        ],
        transfers=transfer(
            2,
            ("acc_receivable_m_USD", "alice", 30),
            operation_id="pos_1",
            debited_accounts=["acc_receivable_m_USD"],
            debit_shard="d01",
        ),
    )
    assert engine.found == []
    engine.commit(
        accounts=[
            account("acc_receivable_m_USD", 2, balance=10, operation="trf_3", **receivable),
            account("alice", 4, balance=120, operation="trf_3"),
        ],
        transfers=transfer(3, ("acc_receivable_m_USD", "alice", 40)),
    )
    assert engine.found == ["floor"]
    assert "-20 left" in engine.watch.findings[0].detail


def test_a_guarded_debit_that_ignores_a_pending_refund_is_found(engine):
    """Row 00 has 50; a refund of 30 is left to the change stream: a payout of 40 leaves -20."""
    name, more = "acc_receivable_m_USD", {"posting": "folded"}
    engine.commit(
        accounts=[
            account(name, balance=50, operation="trf_1", **more),
            account("alice", 2, balance=50, operation="trf_1"),
        ],
        transfers=transfer(1, ("alice", name, 50)),
    )
    refund = transfer(2, (name, "alice", 30), operation_id="pos_1", folded_accounts=[name])
    engine.commit(accounts=account("alice", 3, balance=80, operation="pos_1"), transfers=refund)
    assert engine.found == []
    engine.commit(
        accounts=[
            account(name, 2, balance=10, operation="trf_3", **more),
            account("alice", 4, balance=120, operation="trf_3"),
        ],
        transfers=transfer(3, (name, "alice", 40)),
    )
    assert engine.found == ["floor"]


def test_an_entry_with_a_wrong_value_is_found(engine):
    engine.commit(entries=entry("alice#00", f"{1:012d}", 90, "trf_0", after=90))
    assert engine.found == ["entry"]


def test_an_entry_without_a_version_is_found(engine):
    engine.commit(entries=entry("alice#00", f"{9:012d}", 0, "trf_9", after=100))
    assert engine.found == ["entry"]


def test_a_changed_entry_is_found(engine):
    line = entry("alice#00", f"{1:012d}", 100, "trf_0", after=100)
    engine.commit(entries=line)
    engine.commit(entries={**line, "amount": 99})
    engine.commit(entries={**line, "deleted": True})
    assert engine.found == ["entry", "entry"]
