"""The ledger's rules on commits made by hand: what is right passes, each wrong thing is found."""

from __future__ import annotations

import pytest

from tests.support.commits import HandMade

AT = "2026-03-14T09:00:0{}.000Z"
LATER = "2026-03-20T00:00:00.000Z"


def account(name, version=1, *, balance=0, held_out=0, held_in=0, operation="chg_1", **more):
    credit = more.get("credit_limit", 0)
    return {
        "id": name,
        "shard": "00",
        "version": version,
        "currency": "USD",
        "status": "active",
        "posting": "immediate",
        "balance": balance,
        "held_out": held_out,
        "held_in": held_in,
        "credit_limit": credit,
        "spendable": balance - held_out + credit,
        "last_operation_id": operation,
        "updated_at": AT.format(1),
        **more,
    }


def shard(name, number, version, balance, operation):
    return {
        "id": name,
        "shard": number,
        "version": version,
        "currency": "USD",
        "posting": "folded",
        "balance": balance,
        "last_operation_id": operation,
        "updated_at": AT.format(1),
    }


def transfer(number, *legs, status="processed", posted=None, **more):
    total = sum(amount for _, _, amount in legs)
    return {
        "id": f"trf_{number}",
        "version": 1,
        "operation_id": f"trf_{number}",
        "currency": "USD",
        "status": status,
        "legs": [
            {"from_account_id": source, "to_account_id": target, "amount": amount}
            for source, target, amount in legs
        ],
        "amount": total,
        "posted_amount": posted or (total if status == "processed" else None),
        "updated_at": AT.format(1),
        **more,
    }


def entry(place, sequence, amount, operation, *, after=None, fold_version=None, **more):
    return {
        "account_shard": place,
        "sequence": sequence,
        "account_id": place.partition("#")[0],
        "operation_id": operation,
        "amount": amount,
        "balance_after": after,
        "fold_version": fold_version,
        "currency": "USD",
        **more,
    }


@pytest.fixture
def engine():
    """Alice has 100 from the opening account, whose part is folded; Bob has nothing."""
    made = HandMade()
    made.commit(accounts=account("opening", posting="folded"))
    made.commit(
        accounts=account("alice", balance=100, operation="trf_0"),
        transfers=transfer(0, ("opening", "alice", 100), folded_accounts=["opening"]),
    )
    made.commit(accounts=account("bob"))
    assert made.found == []
    return made


def fold_opening(engine, amount=-100, name="trf_0"):
    engine.commit(
        accounts=shard("opening", "01", 1, amount, name),
        entries=entry("opening#01", name[4:], amount, name, fold_version=1),
    )


def hold(engine, amount=30):
    engine.commit(
        accounts=[
            account("alice", 2, balance=100, held_out=amount, operation="trf_1"),
            account("bob", 2, held_in=amount, operation="trf_1"),
        ],
        transfers=transfer(1, ("alice", "bob", amount), status="pending", expires_at=LATER),
    )


def post(engine, posted=30, **more):
    engine.commit(
        accounts=[
            account("alice", 3, balance=100 - posted, operation="pst_1"),
            account("bob", 3, balance=posted, operation="pst_1"),
        ],
        transfers=transfer(
            1,
            ("alice", "bob", 30),
            **{"posted": posted, "version": 2, "operation_id": "pst_1", **more},
        ),
    )


def debit(engine, *, alice=70, bob=30, amount=30, **more):
    engine.commit(
        accounts=[
            account("alice", 2, balance=alice, operation="trf_1"),
            account("bob", 2, balance=bob, operation="trf_1"),
        ],
        transfers=transfer(1, ("alice", "bob", amount), **more),
    )


# -------------------------------------------------------------------- what is right


def test_a_transfer_at_once(engine):
    debit(engine)
    assert engine.found == []


def test_a_hold_posted_in_part(engine):
    hold(engine)
    post(engine, 20)
    assert engine.found == []


def test_a_hold_canceled(engine):
    hold(engine)
    engine.commit(
        accounts=[
            account("alice", 3, balance=100, operation="cnl_1"),
            account("bob", 3, operation="cnl_1"),
        ],
        transfers={"id": "trf_1", "status": "canceled", "operation_id": "cnl_1", "version": 2},
    )
    assert engine.found == []


def test_what_is_folded_is_owed_until_then(engine):
    assert engine.rules.ledger.owed == {("opening", "trf_0"): -100}
    fold_opening(engine)
    assert engine.rules.ledger.owed == {}
    assert engine.found == []


def test_two_folded_at_once_that_cancel_out_leave_the_shard_as_it_was(engine):
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


def test_a_sweep_moves_nothing(engine):
    fold_opening(engine)
    engine.commit(
        accounts=[
            account("opening", 2, balance=-100, posting="folded", operation="swp_1"),
            shard("opening", "01", 2, 0, "swp_1"),
        ],
        entries=entry("opening#01", "1", 100, "swp_1", fold_version=2),
    )
    assert engine.found == []


def test_entries_of_versions(engine):
    engine.commit(entries=entry("alice#00", f"{1:012d}", 100, "trf_0", after=100))
    debit(engine)
    engine.commit(entries=entry("alice#00", f"{2:012d}", -30, "trf_1", after=70))
    assert engine.found == []
    assert ("alice#00", f"{2:012d}") not in engine.rules.ledger.awaited
    assert ("bob#00", f"{2:012d}") in engine.rules.ledger.awaited


def test_a_refund_lowers_a_debit_shard(engine):
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
    """The amount of a posting is the gross; the fee goes out of it."""
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


# -------------------------------------------------------------------- what is wrong


def test_money_from_nowhere(engine):
    engine.commit(accounts=account("bob", 2, balance=5, operation="trf_1"))
    assert engine.found == ["double entry", "conservation"]


def test_a_debit_without_its_credit(engine):
    engine.commit(
        accounts=account("alice", 2, balance=70, operation="trf_1"),
        transfers=transfer(1, ("alice", "bob", 30)),
    )
    assert engine.found == ["double entry", "conservation"]


def test_an_amount_that_is_not_the_transfers(engine):
    debit(engine, alice=60, bob=40)
    assert engine.found == ["double entry", "double entry"]


def test_a_transfer_booked_without_its_row(engine):
    engine.commit(
        accounts=[
            account("alice", 2, balance=70, operation="trf_1"),
            account("bob", 2, balance=30, operation="trf_1"),
        ]
    )
    assert engine.found == ["double entry", "double entry"]


def test_an_immediate_account_below_its_floor(engine):
    debit(engine, alice=-30, bob=130, amount=130)
    assert engine.found == ["floor"]


def test_spendable_that_is_no_sum(engine):
    engine.commit(accounts=account("alice", 2, balance=100, spendable=90))
    assert "spendable" in engine.found


def test_a_debit_of_an_inactive_or_locked_account(engine):
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


def test_a_hold_posted_for_more_than_it_holds(engine):
    hold(engine)
    post(engine, 40)
    assert "transfer" in engine.found


def test_a_hold_posted_after_it_has_expired(engine):
    hold(engine)
    post(engine, updated_at=LATER)
    assert engine.found == ["transfer"]


def test_a_hold_that_does_not_give_back_the_rest(engine):
    hold(engine)
    engine.commit(
        accounts=[
            account("alice", 3, balance=80, held_out=10, operation="pst_1"),
            account("bob", 3, balance=20, operation="pst_1"),
        ],
        transfers=transfer(1, ("alice", "bob", 30), posted=20, version=2, operation_id="pst_1"),
    )
    assert engine.found == ["double entry"]


def test_a_hold_posted_twice(engine):
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


def test_a_final_transfer_that_changes(engine):
    debit(engine)
    engine.commit(transfers={"id": "trf_1", "description": "another", "version": 2})
    assert engine.found == ["transfer"]


def test_a_transfer_folded_twice(engine):
    fold_opening(engine)
    engine.commit(
        accounts=shard("opening", "02", 1, -100, "trf_0"),
        entries=entry("opening#02", "0", -100, "trf_0", fold_version=1),
    )
    assert engine.found == ["fold", "conservation"]


def test_another_amount_folded(engine):
    fold_opening(engine, -90)
    assert "fold" in engine.found


def test_a_shard_raised_without_an_entry(engine):
    engine.commit(accounts=shard("opening", "01", 1, -100, "trf_0"))
    assert engine.found == ["double entry", "conservation"]


def test_a_sweep_that_loses_money(engine):
    fold_opening(engine)
    engine.commit(
        accounts=[
            account("opening", 2, balance=-90, posting="folded", operation="swp_1"),
            shard("opening", "01", 2, 0, "swp_1"),
        ],
        entries=entry("opening#01", "1", 100, "swp_1", fold_version=2),
    )
    assert engine.found == ["double entry", "conservation"]


def test_a_guarded_debit_that_ignores_the_shards(engine):
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


def test_a_guarded_debit_of_what_a_refund_will_take_later(engine):
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


def test_an_entry_that_says_something_else(engine):
    engine.commit(entries=entry("alice#00", f"{1:012d}", 90, "trf_0", after=90))
    assert engine.found == ["entry"]


def test_an_entry_of_no_version(engine):
    engine.commit(entries=entry("alice#00", f"{9:012d}", 0, "trf_9", after=100))
    assert engine.found == ["entry"]


def test_an_entry_that_changes(engine):
    line = entry("alice#00", f"{1:012d}", 100, "trf_0", after=100)
    engine.commit(entries=line)
    engine.commit(entries={**line, "amount": 99})
    engine.commit(entries={**line, "deleted": True})
    assert engine.found == ["entry", "entry"]


def test_an_account_closed_with_money_or_used_when_closed(engine):
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


def test_an_edit_by_hand_moves_the_baseline_and_nothing_else_does(engine):
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
