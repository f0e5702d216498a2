"""Rows of the ledger, and commits of them made by hand, as `HandMade` takes them."""

from __future__ import annotations

from tests.support.simulation.commits import HandMade

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
        "id": f"{name}#{number}",
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


def opened():
    """Alice has 100 from the opening account, which is hot; Bob has nothing."""
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
